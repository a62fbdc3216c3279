import { concat, equal } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import { HASH_BYTES, sha256 } from "../lib/hash.ts";

/** The append-only log of commits: Merkle tree hashing of RFC 6962 §2.1, proofs checked as in RFC 9162 §2.1.3 and §2.1.4. */

/** Leaves in a log: 48 bits, so that sizes are exact numbers. */
export const LOG_SIZE_MAX: number = 2 ** 48 - 1;

/** Hashes in an inclusion or consistency proof: a level each, and one more for consistency. */
export const LOG_PROOF_HASHES_MAX = 49;

/** The root of the empty log: SHA-256 of nothing. */
export const EMPTY_LOG_ROOT: Uint8Array = sha256(new Uint8Array(0));

const LEAF_PREFIX = Uint8Array.of(0);
const NODE_PREFIX = 1;
const scratch = Buffer.alloc(1 + 2 * HASH_BYTES, NODE_PREFIX);

/** The leaf of a commit: SHA-256(0x00 ‖ exact commit bytes). */
export function commitLeafHash(commit: Uint8Array): Uint8Array {
  return sha256(concat(LEAF_PREFIX, commit));
}

/** SHA-256(0x01 ‖ left ‖ right); both are 32 bytes. */
export function logNodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  if (left.length !== HASH_BYTES || right.length !== HASH_BYTES) throw bad(`hashes of a log have ${HASH_BYTES} bytes`);
  scratch.set(left, 1);
  scratch.set(right, 1 + HASH_BYTES);
  return sha256(scratch);
}

/** Gives the tree hash of the leaves from `low` up to, not including, `high`; the range is never empty. */
export type RangeHash = (low: number, high: number) => Uint8Array;

/** The range hash from leaf hashes alone: the definition, at the price of hashing the whole range. */
function rangeHash(leafHash: (index: number) => Uint8Array): RangeHash {
  const hash: RangeHash = (low, high) => {
    if (high - low === 1) return leafHash(low);
    const middle = low + splitOf(high - low);
    return logNodeHash(hash(low, middle), hash(middle, high));
  };
  return hash;
}

export function logRoot(leafHashes: readonly Uint8Array[]): Uint8Array {
  return leafHashes.length === 0 ? EMPTY_LOG_ROOT : rangeHash((i) => leafHashes[i] as Uint8Array)(0, leafHashes.length);
}

/** PATH of RFC 6962 §2.1.1, from the leaf to the root. @throws ProtocolError `bad_proof` unless index < size */
export function proveLogInclusion(leafHash: (index: number) => Uint8Array, index: number, size: number): Uint8Array[] {
  return inclusionPath(rangeHash(leafHash), index, size);
}

/** PROOF of RFC 6962 §2.1.2 that the log of `from` leaves is the start of the log of `to`; empty when `from` is 0 or `to`. */
export function proveConsistency(leafHash: (index: number) => Uint8Array, from: number, to: number): Uint8Array[] {
  return consistencyPath(rangeHash(leafHash), from, to);
}

export function inclusionPath(hash: RangeHash, index: number, size: number): Uint8Array[] {
  checkIndex(index, size);
  const path: Uint8Array[] = [];
  for (let low = 0, high = size; high - low > 1;) {
    const middle = low + splitOf(high - low);
    if (index < middle) {
      path.push(hash(middle, high));
      high = middle;
    } else {
      path.push(hash(low, middle));
      low = middle;
    }
  }
  return path.reverse();
}

export function consistencyPath(hash: RangeHash, from: number, to: number): Uint8Array[] {
  checkSizes(from, to);
  if (from === 0 || from === to) return [];
  const path: Uint8Array[] = [];
  let [low, high] = [0, to];
  while (high !== from) {
    const middle = low + splitOf(high - low);
    if (from <= middle) {
      path.push(hash(middle, high));
      high = middle;
    } else {
      path.push(hash(low, middle));
      low = middle;
    }
  }
  // Where the old tree is a whole subtree from the left edge, its verifier knows that hash already.
  if (low > 0) path.push(hash(low, high));
  return path.reverse();
}

/** RFC 9162 §2.1.3.2. @throws ProtocolError `bad_proof` unless the leaf stands at `index` in the log of `size` under `root` */
export function verifyLogInclusion(
  root: Uint8Array,
  size: number,
  index: number,
  leafHash: Uint8Array,
  proof: readonly Uint8Array[],
): void {
  checkIndex(index, size);
  let [node, last, hash] = [index, size - 1, leafHash];
  for (const sibling of proof) {
    if (last === 0) throw bad("the inclusion proof is longer than the log is high");
    if (node % 2 === 1 || node === last) {
      hash = logNodeHash(sibling, hash);
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      hash = logNodeHash(hash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  if (last !== 0) throw bad("the inclusion proof is shorter than the log is high");
  if (!equal(hash, root)) throw bad(`leaf ${index} is not proven by the log root`);
}

/** RFC 9162 §2.1.4.2. @throws ProtocolError `bad_proof` unless the log of `from` leaves is the start of the log of `to` */
export function verifyConsistency(
  from: number,
  fromRoot: Uint8Array,
  to: number,
  toRoot: Uint8Array,
  proof: readonly Uint8Array[],
): void {
  checkSizes(from, to);
  if (from === 0 || from === to) {
    if (proof.length > 0) throw bad("between these sizes the consistency proof is empty");
    if (!equal(fromRoot, from === 0 ? EMPTY_LOG_ROOT : toRoot)) throw bad("the roots of the two logs do not agree");
    return;
  }
  const path = isPowerOfTwo(from) ? [fromRoot, ...proof] : proof;
  let [node, last] = [from - 1, to - 1];
  while (node % 2 === 1) [node, last] = [half(node), half(last)];
  const first = path[0];
  if (first === undefined) throw bad("the consistency proof is empty");
  let [old, current] = [first, first];
  for (const sibling of path.slice(1)) {
    if (last === 0) throw bad("the consistency proof is longer than the log is high");
    if (node % 2 === 1 || node === last) {
      old = logNodeHash(sibling, old);
      current = logNodeHash(sibling, current);
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      current = logNodeHash(current, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  if (last !== 0) throw bad("the consistency proof is shorter than the log is high");
  if (!equal(old, fromRoot) || !equal(current, toRoot)) throw bad(`the log of ${to} does not continue the log of ${from}`);
}

/** The largest power of two below `count` (≥ 2): how many leaves stand in the left subtree. */
export function splitOf(count: number): number {
  let split = 1;
  while (split * 2 < count) split *= 2;
  return split;
}

export function isPowerOfTwo(count: number): boolean {
  return splitOf(count + 1) === count;
}

function half(count: number): number {
  return Math.floor(count / 2);
}

function checkIndex(index: number, size: number): void {
  checkSizes(index, size);
  if (index === size) throw bad(`a log of ${size} leaves has no leaf ${index}`);
}

function checkSizes(from: number, to: number): void {
  const fits = Number.isSafeInteger(from) && Number.isSafeInteger(to) && from >= 0 && from <= to && to <= LOG_SIZE_MAX;
  if (!fits) throw bad(`${from} of ${to} is not a range of a log`);
}

function bad(message: string): ProtocolError {
  return new ProtocolError("bad_proof", message);
}
