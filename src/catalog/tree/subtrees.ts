import type { FrontierEntry } from "../../../protocols/catalog-sync/messages.ts";
import { bitAt, combine, splitAt as splitEntries } from "../../../protocols/checkpoint/map.ts";
import { childPrefix, ROOT_PREFIX, type Prefix } from "../../../protocols/checkpoint/prefix.ts";
import { ProtocolError } from "../../../protocols/lib/errors.ts";
import { LEAF_BYTES } from "./slab.ts";
import { splitAt, subtreeHashOf, type MapHeap } from "./map-heap.ts";

/** Views of a map by prefix: hashes, leaves, proofs, and the frontiers of sync answers. The map's hashes must be up to date. */

/** Work that a foreign frontier may cost: the sum of its prefixes' lengths in bits. An honest one of 10 million keys needs 0.7 million. */
export const FOLD_BITS_MAX = 1_048_576;

export function subtreeHash(map: MapHeap, prefix: Prefix): Uint8Array {
  if (prefix.length <= map.depth) return map.heapHash(2 ** prefix.length + topBits(prefix.bits, prefix.length));
  return subtreeHashOf(leavesUnder(map, prefix), prefix.length);
}

/** The sorted leaves (K ‖ V) under a prefix: a view while they lie in one bucket, else a copy. */
export function leavesUnder(map: MapHeap, prefix: Prefix): Uint8Array {
  if (prefix.length >= map.depth) {
    const bytes = map.bucket(topBits(prefix.bits, map.depth));
    let [from, to] = [0, bytes.length / LEAF_BYTES];
    for (let depth = map.depth; depth < prefix.length && from < to; depth++) {
      const split = splitAt(bytes, from, to, depth);
      if (bitAt(prefix.bits, depth) === 0) to = split;
      else from = split;
    }
    return bytes.subarray(from * LEAF_BYTES, to * LEAF_BYTES);
  }
  const { first, count } = buckets(map, prefix);
  const parts: Uint8Array[] = [];
  for (let i = 0; i < count; i++) parts.push(map.bucket(first + i));
  return Buffer.concat(parts);
}

/** The frontier that brings every key under `prefix`: subtrees of at most `changesMax` keys. Hand in `counts` when asking often. */
export function wholeFrontier(
  map: MapHeap,
  changesMax: number,
  prefix: Prefix = ROOT_PREFIX,
  counts: LeafCounts = new LeafCounts(map),
): FrontierEntry[] {
  const entries: FrontierEntry[] = [];
  const visit = (at: Prefix): void => {
    const changes = counts.under(at);
    if (changes === 0) return;
    if (changes <= changesMax) entries.push({ prefix: at, hash: subtreeHash(map, at), changes });
    else for (const bit of [0, 1] as const) visit(childPrefix(at, bit));
  };
  const all = counts.under(prefix);
  if (all === 0) return [{ prefix, hash: subtreeHash(map, prefix), changes: 0 }];
  visit(prefix);
  // An empty subtree inside the prefix is part of what must be replaced, unless nothing at all was asked for.
  return prefix.length === 0 ? entries : covering(map, prefix, entries);
}

/** The frontier that brings `keys` (ascending, unique), whether the map still holds them or not. */
export function changesFrontier(map: MapHeap, keys: readonly Uint8Array[], changesMax: number): FrontierEntry[] {
  const entries: FrontierEntry[] = [];
  const visit = (prefix: Prefix, from: number, to: number): void => {
    if (from === to) return;
    if (to - from <= changesMax) {
      entries.push({ prefix, hash: subtreeHash(map, prefix), changes: to - from });
      return;
    }
    let middle = from;
    while (middle < to && bitAt(keys[middle] as Uint8Array, prefix.length) === 0) middle += 1;
    visit(childPrefix(prefix, 0), from, middle);
    visit(childPrefix(prefix, 1), middle, to);
  };
  visit(ROOT_PREFIX, 0, keys.length);
  return entries;
}

/** The root that the map would have if the frontier's subtrees took the place of its own. @throws ProtocolError `limit_exceeded` */
export function fold(map: MapHeap, frontier: readonly FrontierEntry[]): Uint8Array {
  const bits = frontier.reduce((sum, { prefix }) => sum + prefix.length, 0);
  if (bits > FOLD_BITS_MAX) {
    throw new ProtocolError("limit_exceeded", `folding ${bits} bits of prefixes, at most ${FOLD_BITS_MAX} are taken`);
  }
  const lengthAt = (i: number): number => (frontier[i] as FrontierEntry).prefix.length;
  const hashAt = (i: number): Uint8Array => (frontier[i] as FrontierEntry).hash;
  const bitsOf = ({ prefix }: FrontierEntry): Uint8Array => prefix.bits;
  // Heap nodes by number down to the buckets, then leaves by range: nothing is looked up from the top again.
  const inHeap = (node: number, depth: number, from: number, to: number): Uint8Array => {
    if (from === to) return map.heapHash(node);
    if (lengthAt(from) === depth) return hashAt(from);
    if (depth === map.depth) {
      const leaves = map.bucket(node - 2 ** depth);
      return inBucket(leaves, 0, leaves.length / LEAF_BYTES, depth, from, to);
    }
    const middle = splitEntries(frontier, bitsOf, from, to, depth);
    return combine(inHeap(node * 2, depth + 1, from, middle), inHeap(node * 2 + 1, depth + 1, middle, to));
  };
  const inBucket = (bytes: Uint8Array, low: number, high: number, depth: number, from: number, to: number): Uint8Array => {
    if (from === to) return subtreeHashOf(bytes.subarray(low * LEAF_BYTES, high * LEAF_BYTES), depth);
    if (lengthAt(from) === depth) return hashAt(from);
    const split = splitAt(bytes, low, high, depth);
    const middle = splitEntries(frontier, bitsOf, from, to, depth);
    return combine(inBucket(bytes, low, split, depth + 1, from, middle), inBucket(bytes, split, high, depth + 1, middle, to));
  };
  return inHeap(1, 0, 0, frontier.length);
}

/** Adds the empty subtrees beside `entries`, so that together they cover all of `prefix`. */
function covering(map: MapHeap, prefix: Prefix, entries: readonly FrontierEntry[]): FrontierEntry[] {
  const covered: FrontierEntry[] = [];
  let next = 0;
  const visit = (at: Prefix): void => {
    const entry = entries[next];
    const inside = entry !== undefined && entry.prefix.length >= at.length && topEqual(entry.prefix, at);
    if (!inside) covered.push({ prefix: at, hash: subtreeHash(map, at), changes: 0 });
    else if (entry.prefix.length === at.length) {
      covered.push(entry);
      next += 1;
    } else for (const bit of [0, 1] as const) visit(childPrefix(at, bit));
  };
  visit(prefix);
  return covered;
}

function topEqual(inner: Prefix, outer: Prefix): boolean {
  for (let depth = 0; depth < outer.length; depth++) if (bitAt(inner.bits, depth) !== bitAt(outer.bits, depth)) return false;
  return true;
}

/** Leaves under prefixes in constant time above the buckets: running totals over them. */
export class LeafCounts {
  readonly #map: MapHeap;
  readonly #totals: Float64Array;

  constructor(map: MapHeap) {
    this.#map = map;
    const count = 2 ** map.depth;
    this.#totals = new Float64Array(count + 1);
    for (let i = 0; i < count; i++) this.#totals[i + 1] = (this.#totals[i] as number) + map.bucket(i).length / LEAF_BYTES;
  }

  under(prefix: Prefix): number {
    if (prefix.length > this.#map.depth) return leavesUnder(this.#map, prefix).length / LEAF_BYTES;
    const { first, count } = buckets(this.#map, prefix);
    return (this.#totals[first + count] as number) - (this.#totals[first] as number);
  }
}

function buckets(map: MapHeap, prefix: Prefix): { first: number; count: number } {
  const count = 2 ** (map.depth - prefix.length);
  return { first: topBits(prefix.bits, prefix.length) * count, count };
}

/** The first `length` (0 to 32) bits as a number. */
function topBits(bits: Uint8Array, length: number): number {
  if (length === 0) return 0;
  const word =
    (((bits[0] as number) << 24) | ((bits[1] as number) << 16) | ((bits[2] as number) << 8) | (bits[3] as number)) >>> 0;
  return word >>> (32 - length);
}
