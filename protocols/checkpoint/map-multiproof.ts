import { compare, equal } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import { HASH_BYTES } from "../lib/hash.ts";
import { EMPTY, isEmpty, isLeaf, KEY_BITS, leafHash, type MapEntry, splitAt } from "./map.ts";
import { joinProven, type MapReader, siblingKey } from "./map-reader.ts";
import { containsKey, prefixOf } from "./prefix.ts";
import { WireReader, WireWriter } from "../lib/wire.ts";

/**
 * One proof for a batch of keys (README.md, "Proof of many keys"): the trie walked from the root, left before right, into
 * every subtree that holds a key of the batch. `codes` says what stands at each step, and what the batch cannot tell follows
 * in `hashes` and `leaves`, in the order of the walk.
 */
export interface MapMultiproof {
  /** One code a step, 0 to 3. */
  readonly codes: Uint8Array;
  /** Subtrees without a key of the batch. */
  readonly hashes: readonly Uint8Array[];
  /** Leaves that stand where keys of the batch are absent. */
  readonly leaves: readonly MapEntry[];
}

/** What the batch says of a key: its value, or `undefined` for "not in the map". */
export type Claim = readonly [key: Uint8Array, value: Uint8Array | undefined];

export const MULTIPROOF_KEYS_MAX = 4_096;
/** Bytes of a multiproof: about 300 a key at a million agents; an author can grind deep keys, so the sum is bounded, not the shape. */
export const MULTIPROOF_BYTES_MAX = 4_194_304;

/** Nothing stands here; with or without keys of the batch. */
const CODE_EMPTY = 0;
/** An inner node: with keys of the batch the walk goes down, without them its hash (or a leaf's) is the next of `hashes`. */
const CODE_HASH = 1;
/** The leaf of the batch's own claim with a value under this prefix; every other claim here is of absence. */
const CODE_OWN_LEAF = 2;
/** The next of `leaves`; every claim here is of absence. */
const CODE_OTHER_LEAF = 3;

/** Steps of the longest walk: both halves at every level of every key. */
const CODES_MAX = MULTIPROOF_KEYS_MAX * 2 * KEY_BITS + 1;

/** @param keys strictly ascending, 1 to MULTIPROOF_KEYS_MAX @throws ProtocolError `out_of_order`, `limit_exceeded` */
export function proveMany(map: MapReader, keys: readonly Uint8Array[]): MapMultiproof {
  checkKeys(keys);
  const codes: number[] = [];
  const hashes: Uint8Array[] = [];
  const leaves: MapEntry[] = [];
  const walk = (low: number, high: number, depth: number, path: Uint8Array): void => {
    const hash = map.nodeAt(path, depth);
    if (isEmpty(hash)) {
      codes.push(CODE_EMPTY);
    } else if (low === high) {
      codes.push(CODE_HASH);
      hashes.push(hash);
    } else if (isLeaf(hash)) {
      const leaf = map.leafAt(path, depth);
      const own = keys.slice(low, high).some((key) => equal(key, leaf[0]));
      codes.push(own ? CODE_OWN_LEAF : CODE_OTHER_LEAF);
      if (!own) leaves.push(leaf);
    } else {
      codes.push(CODE_HASH);
      const middle = splitAt(keys, (key) => key, low, high, depth);
      const first = keys[low] as Uint8Array;
      walk(low, middle, depth + 1, middle > low ? first : siblingKey(first, depth));
      walk(middle, high, depth + 1, middle < high ? (keys[middle] as Uint8Array) : siblingKey(first, depth));
    }
  };
  walk(0, keys.length, 0, keys[0] as Uint8Array);
  return { codes: Uint8Array.from(codes), hashes, leaves };
}

/**
 * @param claims strictly ascending by key, 1 to MULTIPROOF_KEYS_MAX
 * @throws ProtocolError `bad_proof` unless every claim holds in the map under `root`; `out_of_order`, `limit_exceeded`
 */
export function verifyMultiproof(root: Uint8Array, claims: readonly Claim[], proof: MapMultiproof): void {
  checkKeys(claims.map((claim) => claim[0]));
  let [code, hash, leaf] = [0, 0, 0];
  const nextHash = (): Uint8Array => {
    const next = proof.hashes[hash++];
    if (next === undefined || isEmpty(next)) throw bad("a subtree's hash is missing or empty");
    return next;
  };
  const ownLeaf = (low: number, high: number): Uint8Array => {
    const present = claims.slice(low, high).filter((claim) => claim[1] !== undefined);
    const [key, value] = present[0] ?? [];
    if (key === undefined || value === undefined || present.length > 1)
      throw bad("a single leaf stands for another number of values");
    return leafHash(key, value);
  };
  const otherLeaf = (low: number, high: number, depth: number): Uint8Array => {
    const other = proof.leaves[leaf++];
    if (other === undefined) throw bad("the other leaf is missing");
    checkAbsent(low, high);
    if (claims.slice(low, high).some((claim) => equal(claim[0], other[0]))) throw bad("the other leaf is a key of the batch");
    if (!containsKey(prefixOf((claims[low] as Claim)[0], depth), other[0])) throw bad("the other leaf stands elsewhere");
    return leafHash(other[0], other[1]);
  };
  const checkAbsent = (low: number, high: number): void => {
    if (claims.slice(low, high).some((claim) => claim[1] !== undefined)) throw bad("a value is claimed where none stands");
  };
  const fold = (low: number, high: number, depth: number): Uint8Array => {
    const step = proof.codes[code++];
    if (step === CODE_EMPTY) {
      checkAbsent(low, high);
      return EMPTY;
    }
    if (step === CODE_HASH && low === high) return nextHash();
    if (step === CODE_HASH && depth < KEY_BITS) {
      const middle = splitAt(claims, (claim) => claim[0], low, high, depth);
      return joinProven(fold(low, middle, depth + 1), fold(middle, high, depth + 1), depth);
    }
    if (step === CODE_OWN_LEAF && low < high) return ownLeaf(low, high);
    if (step === CODE_OTHER_LEAF && low < high) return otherLeaf(low, high, depth);
    throw bad(step === undefined ? "the proof ends before the walk" : `code ${step} cannot stand at depth ${depth}`);
  };
  const folded = fold(0, claims.length, 0);
  if (code !== proof.codes.length || hash !== proof.hashes.length || leaf !== proof.leaves.length) {
    throw bad("the proof goes on after the walk");
  }
  if (!equal(folded, root)) throw bad("the batch is not proven by the map root");
}

/** u32 number of codes, the codes (2 bits each, first in the high bits), u32 hashes, u32 leaves (key, value). @throws `too_large` */
export function encodeMultiproof(proof: MapMultiproof): Uint8Array {
  const packed = new Uint8Array((proof.codes.length + 3) >> 2);
  proof.codes.forEach((code, i) => (packed[i >> 2] = (packed[i >> 2] as number) | (code << (6 - 2 * (i & 3)))));
  const writer = new WireWriter().u32(proof.codes.length).raw(packed).u32(proof.hashes.length);
  for (const hash of proof.hashes) writer.raw(hash);
  writer.u32(proof.leaves.length);
  for (const [key, value] of proof.leaves) writer.raw(key).raw(value);
  const bytes = writer.finish();
  if (bytes.length > MULTIPROOF_BYTES_MAX) {
    throw new ProtocolError(
      "too_large",
      `a multiproof of ${bytes.length} bytes, at most ${MULTIPROOF_BYTES_MAX}: split the batch`,
    );
  }
  return bytes;
}

/** @throws ProtocolError `too_large`, `truncated`, `bad_frame`, `bad_proof`, `limit_exceeded` */
export function decodeMultiproof(bytes: Uint8Array): MapMultiproof {
  const reader = new WireReader(bytes, MULTIPROOF_BYTES_MAX);
  const count = reader.count(4, CODES_MAX, "codes");
  const packed = reader.raw((count + 3) >> 2);
  if (count % 4 !== 0 && ((packed.at(-1) as number) & (0xff >> (2 * (count % 4)))) !== 0)
    throw bad("the codes' padding is not zero");
  const codes = Uint8Array.from({ length: count }, (_, i) => ((packed[i >> 2] as number) >> (6 - 2 * (i & 3))) & 3);
  const hashCount = reader.count(4, MULTIPROOF_BYTES_MAX / HASH_BYTES, "hashes");
  const hashes = Array.from({ length: hashCount }, () => reader.hash());
  const leafCount = reader.count(4, MULTIPROOF_KEYS_MAX, "leaves");
  const leaves = Array.from({ length: leafCount }, (): MapEntry => [reader.hash(), reader.hash()]);
  reader.end();
  return { codes, hashes, leaves };
}

function checkKeys(keys: readonly Uint8Array[]): void {
  if (keys.length === 0 || keys.length > MULTIPROOF_KEYS_MAX) {
    throw new ProtocolError("limit_exceeded", `a batch has 1 to ${MULTIPROOF_KEYS_MAX} keys, not ${keys.length}`);
  }
  for (let i = 1; i < keys.length; i++) {
    if (compare(keys[i - 1] as Uint8Array, keys[i] as Uint8Array) >= 0) {
      throw new ProtocolError("out_of_order", `key ${i} does not follow key ${i - 1}`, { index: i });
    }
  }
}

function bad(message: string): ProtocolError {
  return new ProtocolError("bad_proof", message);
}
