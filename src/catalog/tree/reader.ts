import { bitAt, EMPTY, type MapEntry } from "../../../protocols/checkpoint/map.ts";
import type { MapReader } from "../../../protocols/checkpoint/map-reader.ts";
import { prefixOf } from "../../../protocols/checkpoint/prefix.ts";
import { HASH_BYTES } from "../../../protocols/lib/hash.ts";
import { BatchHasher } from "./hasher.ts";
import { splitAt, type MapHeap } from "./map-heap.ts";
import { LEAF_BYTES } from "./slab.ts";
import { leavesUnder } from "./subtrees.ts";

/**
 * What a prover reads of the map (protocols/checkpoint): for one turn, as the next change of the map spoils it.
 * @param keys that will be proven, if they are known: what lies around them is hashed together
 */
export function mapReader(map: MapHeap, keys: readonly Uint8Array[] = []): MapReader {
  const tries = new BucketTries(map);
  tries.prepare(new Set(keys.map((key) => map.bucketOf(key))));
  return {
    nodeAt: (key, depth) => {
      const bucket = map.bucketOf(key);
      if (depth <= map.depth) return map.heapHash(2 ** depth + (bucket >>> (map.depth - depth)));
      return tries.nodeAt(bucket, key, depth);
    },
    leafAt: (key, depth): MapEntry => {
      const leaves = leavesUnder(map, prefixOf(key, depth));
      return [leaves.slice(0, HASH_BYTES), leaves.slice(HASH_BYTES, LEAF_BYTES)];
    },
  };
}

/** A subtree of one bucket with at least one leaf; without halves it is a leaf. */
interface Subtree {
  /** Its number in the hasher. */
  readonly node: number;
  readonly height: number;
  /** Of its first leaf among the bucket's. */
  readonly from: number;
  readonly halves?: readonly [Subtree | undefined, Subtree | undefined];
}

interface BucketTrie {
  readonly leaves: Uint8Array;
  readonly top: Subtree | undefined;
}

/** The tries below buckets' nodes, all of whose hashes are made together. */
class BucketTries {
  readonly #map: MapHeap;
  readonly #hasher = new BatchHasher();
  readonly #tries = new Map<number, BucketTrie>();

  constructor(map: MapHeap) {
    this.#map = map;
  }

  prepare(buckets: Iterable<number>): void {
    for (const bucket of buckets) {
      const leaves = this.#map.bucket(bucket);
      const first = this.#hasher.leaves(leaves);
      const top = this.#build(leaves, first, 0, leaves.length / LEAF_BYTES, this.#map.depth);
      this.#tries.set(bucket, { leaves, top });
    }
    this.#hasher.run();
  }

  nodeAt(bucket: number, key: Uint8Array, depth: number): Uint8Array {
    if (!this.#tries.has(bucket)) this.prepare([bucket]);
    const { leaves, top } = this.#tries.get(bucket) as BucketTrie;
    let subtree = top;
    for (let level = this.#map.depth; level < depth && subtree !== undefined; level++) {
      if (subtree.halves !== undefined) subtree = subtree.halves[bitAt(key, level)];
      else if (bitAt(leaves.subarray(subtree.from * LEAF_BYTES), level) !== bitAt(key, level)) subtree = undefined;
    }
    return subtree === undefined ? EMPTY : this.#hasher.hash(subtree.node);
  }

  #build(leaves: Uint8Array, first: number, from: number, to: number, depth: number): Subtree | undefined {
    if (from === to) return undefined;
    if (to - from === 1) return { node: first + from, height: 0, from };
    const split = splitAt(leaves, from, to, depth);
    const left = this.#build(leaves, first, from, split, depth + 1);
    const right = this.#build(leaves, first, split, to, depth + 1);
    const height = Math.max(left?.height ?? 0, right?.height ?? 0) + 1;
    const node = this.#hasher.node(left?.node ?? BatchHasher.EMPTY, right?.node ?? BatchHasher.EMPTY, height);
    return { node, height, from, halves: [left, right] };
  }
}
