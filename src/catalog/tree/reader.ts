import { bitAt, combine, EMPTY, leafHash, type MapEntry } from "../../../protocols/checkpoint/map.ts";
import type { MapReader } from "../../../protocols/checkpoint/map-reader.ts";
import { prefixOf } from "../../../protocols/checkpoint/prefix.ts";
import { HASH_BYTES } from "../../../protocols/lib/hash.ts";
import { splitAt, type MapHeap } from "./map-heap.ts";
import { LEAF_BYTES } from "./slab.ts";
import { leavesUnder } from "./subtrees.ts";

/** What a prover reads of the map (protocols/checkpoint): for one turn, as the next change of the map spoils it. */
export function mapReader(map: MapHeap): MapReader {
  // Provers go through the keys in order, so the nodes of one bucket are asked for together.
  let current: BucketNodes | undefined;
  const nodesOf = (bucket: number): BucketNodes => {
    if (current?.bucket !== bucket) current = new BucketNodes(bucket, map.bucket(bucket), map.depth);
    return current;
  };
  return {
    nodeAt: (key, depth) => {
      const bucket = map.bucketOf(key);
      if (depth <= map.depth) return map.heapHash(2 ** depth + (bucket >>> (map.depth - depth)));
      return nodesOf(bucket).at(key, depth);
    },
    leafAt: (key, depth): MapEntry => {
      const leaves = leavesUnder(map, prefixOf(key, depth));
      return [leaves.slice(0, HASH_BYTES), leaves.slice(HASH_BYTES, LEAF_BYTES)];
    },
  };
}

/** The hashes below one bucket's node, each made once. */
class BucketNodes {
  readonly bucket: number;
  readonly #leaves: Uint8Array;
  readonly #top: number;
  /** By depth, and the first leaf of a subtree with more than one. */
  readonly #hashes = new Map<number, Uint8Array>();

  constructor(bucket: number, leaves: Uint8Array, top: number) {
    this.bucket = bucket;
    this.#leaves = leaves;
    this.#top = top;
  }

  at(key: Uint8Array, depth: number): Uint8Array {
    let [from, to] = [0, this.#leaves.length / LEAF_BYTES];
    for (let level = this.#top; level < depth && from < to; level++) {
      const split = splitAt(this.#leaves, from, to, level);
      if (bitAt(key, level) === 0) to = split;
      else from = split;
    }
    return this.#hash(from, to, depth);
  }

  #hash(from: number, to: number, depth: number): Uint8Array {
    if (from === to) return EMPTY;
    const name = depth * LEAVES_MAX + from;
    const known = this.#hashes.get(name);
    if (known !== undefined) return known;
    const made = this.#make(from, to, depth);
    this.#hashes.set(name, made);
    return made;
  }

  #make(from: number, to: number, depth: number): Uint8Array {
    if (to - from === 1) {
      const leaf = this.#leaves.subarray(from * LEAF_BYTES, to * LEAF_BYTES);
      return leafHash(leaf.subarray(0, HASH_BYTES), leaf.subarray(HASH_BYTES));
    }
    const split = splitAt(this.#leaves, from, to, depth);
    return combine(this.#hash(from, split, depth + 1), this.#hash(split, to, depth + 1));
  }
}

/** More than one bucket can hold: names of its nodes do not meet. */
const LEAVES_MAX = 2 ** 32;
