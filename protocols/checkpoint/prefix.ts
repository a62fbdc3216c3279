import { compare } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import { HASH_BYTES } from "../lib/hash.ts";
import { bitAt, KEY_BITS } from "./map.ts";
import { type WireReader, WireWriter } from "../lib/wire.ts";

/** The first `length` bits (0 to 256) that all keys of a subtree share. `bits` has 32 bytes, zero after `length` bits. */
export interface Prefix {
  readonly bits: Uint8Array;
  readonly length: number;
}

/** The prefix of every key. */
export const ROOT_PREFIX: Prefix = { bits: new Uint8Array(HASH_BYTES), length: 0 };

/** The first `length` bits of a key. */
export function prefixOf(key: Uint8Array, length: number): Prefix {
  const bits = new Uint8Array(HASH_BYTES);
  bits.set(key.subarray(0, bytesOf(length)));
  const spare = bytesOf(length) * 8 - length;
  if (spare > 0) bits[length >> 3] = (bits[length >> 3] as number) & (0xff << spare);
  return { bits, length };
}

/** The half of a subtree. @throws ProtocolError `bad_prefix` below the deepest level */
export function childPrefix(prefix: Prefix, bit: 0 | 1): Prefix {
  if (prefix.length >= KEY_BITS) throw new ProtocolError("bad_prefix", "a prefix of 256 bits is a single key and has no halves");
  const bits = Uint8Array.from(prefix.bits);
  if (bit === 1) bits[prefix.length >> 3] = (bits[prefix.length >> 3] as number) | (0x80 >> (prefix.length & 7));
  return { bits, length: prefix.length + 1 };
}

export function containsKey(prefix: Prefix, key: Uint8Array): boolean {
  const whole = prefix.length >> 3;
  for (let i = 0; i < whole; i++) if (prefix.bits[i] !== key[i]) return false;
  for (let depth = whole * 8; depth < prefix.length; depth++) if (bitAt(prefix.bits, depth) !== bitAt(key, depth)) return false;
  return true;
}

/** Whether `outer` covers `inner`; a prefix covers itself. */
export function isPrefixOf(outer: Prefix, inner: Prefix): boolean {
  return outer.length <= inner.length && containsKey(outer, inner.bits);
}

/** The order of the trie, a prefix before what it covers: negative, zero or positive. */
export function comparePrefixes(a: Prefix, b: Prefix): number {
  return compare(a.bits, b.bits) || a.length - b.length;
}

/**
 * Strictly ascending, and none covers another: each key lies under at most one of them.
 * @throws ProtocolError `out_of_order`, naming the position
 */
export function checkPrefixes(prefixes: readonly Prefix[]): void {
  for (let i = 1; i < prefixes.length; i++) {
    const [before, prefix] = [prefixes[i - 1] as Prefix, prefixes[i] as Prefix];
    // In ascending order whatever a prefix covers follows it directly, so neighbours are enough.
    if (comparePrefixes(before, prefix) >= 0 || isPrefixOf(before, prefix)) {
      throw new ProtocolError("out_of_order", `prefix ${i} does not follow prefix ${i - 1}, or lies under it`, { index: i });
    }
  }
}

/** u16 length in bits, then as many bytes as hold them. */
export function writePrefix(writer: WireWriter, prefix: Prefix): void {
  writer.u16(prefix.length).raw(prefix.bits.subarray(0, bytesOf(prefix.length)));
}

export function encodePrefix(prefix: Prefix): Uint8Array {
  const writer = new WireWriter();
  writePrefix(writer, prefix);
  return writer.finish();
}

/** @throws ProtocolError `bad_prefix` for a length over 256 or bits set in the padding, `truncated` */
export function readPrefix(reader: WireReader): Prefix {
  const length = reader.u16();
  if (length > KEY_BITS) throw new ProtocolError("bad_prefix", `a prefix of ${length} bits, keys have ${KEY_BITS}`, { length });
  const given = reader.raw(bytesOf(length));
  const prefix = prefixOf(given, length);
  if (compare(prefix.bits.subarray(0, given.length), given) !== 0) {
    throw new ProtocolError("bad_prefix", "bits are set after the end of the prefix");
  }
  return prefix;
}

function bytesOf(bits: number): number {
  return (bits + 7) >> 3;
}
