import { hash as cryptoHash } from "node:crypto";
import { compare } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import { HASH_BYTES } from "../lib/hash.ts";

/**
 * The authenticated map: a binary trie over the bits of the key (README.md, "The map"). The top bit of a hash says what it
 * is: set on a leaf, clear on an inner node, so that a node can never pass as "the other leaf" of an absence proof.
 */
export type MapEntry = readonly [key: Uint8Array, value: Uint8Array];

/** Bits in a key, hence the deepest level of the trie. */
export const KEY_BITS = 256;

/** The hash of a subtree without keys: 32 zero bytes. Do not write to it. */
export const EMPTY: Uint8Array = new Uint8Array(HASH_BYTES);

const TOP_BIT = 0x80;
const pair = Buffer.allocUnsafeSlow(2 * HASH_BYTES);

/** LEAF = SHA-256(key ‖ value) with its top bit set; both are 32 bytes. */
export function leafHash(key: Uint8Array, value: Uint8Array): Uint8Array {
  const out = hashPair(key, value);
  out[0] = (out[0] as number) | TOP_BIT;
  return out;
}

export function isLeaf(hash: Uint8Array): boolean {
  return ((hash[0] as number) & TOP_BIT) !== 0;
}

export function isEmpty(hash: Uint8Array): boolean {
  return compare(hash, EMPTY) === 0;
}

/** The hash of a subtree from its halves: a lone leaf rises unchanged, so a subtree of one key *is* that key's leaf. */
export function combine(left: Uint8Array, right: Uint8Array): Uint8Array {
  if (isEmpty(left) && (isLeaf(right) || isEmpty(right))) return right;
  if (isEmpty(right) && isLeaf(left)) return left;
  return nodeHash(left, right);
}

/** NODE = SHA-256(left ‖ right) with its top bit clear; only for halves that hold at least two keys between them. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  const out = hashPair(left, right);
  out[0] = (out[0] as number) & ~TOP_BIT;
  return out;
}

/** The bit of the key that chooses the half at `depth` (0 to 255), most significant first. */
export function bitAt(key: Uint8Array, depth: number): 0 | 1 {
  return (((key[depth >> 3] as number) >> (7 - (depth & 7))) & 1) as 0 | 1;
}

/** The first of the ascending `entries` from `low` to `high` whose bit at `depth` is set: where the right half begins. */
export function splitAt<T>(
  entries: readonly T[],
  keyOf: (entry: T) => Uint8Array,
  low: number,
  high: number,
  depth: number,
): number {
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (bitAt(keyOf(entries[middle] as T), depth) === 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The root over entries in any order: the definition, written plainly. @throws ProtocolError `out_of_order` for a key twice */
export function rootOf(entries: readonly MapEntry[]): Uint8Array {
  const sorted = entries.toSorted((a, b) => compare(a[0], b[0]));
  sorted.forEach((entry, i) => {
    if (i > 0 && compare((sorted[i - 1] as MapEntry)[0], entry[0]) === 0)
      throw new ProtocolError("out_of_order", "a key stands twice");
  });
  const fold = (low: number, high: number, depth: number): Uint8Array => {
    if (low === high) return EMPTY;
    const [key, value] = sorted[low] as MapEntry;
    if (high - low === 1) return leafHash(key, value);
    const middle = splitAt(sorted, (entry) => entry[0], low, high, depth);
    return combine(fold(low, middle, depth + 1), fold(middle, high, depth + 1));
  };
  return fold(0, sorted.length, 0);
}

function hashPair(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length !== HASH_BYTES || b.length !== HASH_BYTES) {
    throw new ProtocolError("schema", `keys, values and hashes have ${HASH_BYTES} bytes, got ${a.length} and ${b.length}`);
  }
  pair.set(a, 0);
  pair.set(b, HASH_BYTES);
  const out = Buffer.allocUnsafe(HASH_BYTES);
  out.write(cryptoHash("sha256", pair, "binary"), 0, HASH_BYTES, "latin1");
  return out;
}
