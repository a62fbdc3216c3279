import { EMPTY, leafHash } from "../../../protocols/checkpoint/map.ts";
import { compare } from "../../../protocols/lib/bytes.ts";
import { HASH_BYTES } from "../../../protocols/lib/hash.ts";
import { BatchHasher } from "./hasher.ts";
import { LEAF_BYTES, Slab } from "./slab.ts";

const WORDS = HASH_BYTES / 4;
const KEY_BYTES = HASH_BYTES;

/** Depth of the heap, in bits of the key: between these bounds it grows with the number of leaves and never shrinks. */
export const HEAP_DEPTH_MIN = 4;
export const HEAP_DEPTH_MAX = 24;
/** A mean of this many leaves a bucket makes the heap one level deeper. */
export const BUCKET_LEAVES_GROW = 12;

/** Buckets whose hashes are computed together: bounds the scratch memory of a full build. */
const HASH_BUCKETS_MAX = 8_192;

/**
 * The authenticated map (sync.md, "The map") laid out as a heap: the top `depth` levels of the trie are an array of hashes,
 * below each of its 2^depth lowest nodes lies a bucket, a sorted run of K ‖ V. `set` and `delete` change buckets only;
 * `update` brings the hashes up to date and gives the root.
 */
export class MapHeap {
  /** Room is made ahead for this many leaves at most: who announces more has to bring them first. */
  static readonly RESERVE_MAX = 4_194_304;

  readonly #slab = new Slab();
  readonly #hasher = new BatchHasher();
  #depth: number;
  #size = 0;
  /** Node i has the children 2i and 2i + 1; node 1 is the root, bucket b hangs below node 2^depth + b. */
  #heap: Uint32Array;
  /** The same as bytes. */
  #heapBytes: Uint8Array;
  #run: Float64Array;
  #count: Uint32Array;
  #room: Uint32Array;
  /** Buckets whose hashes are out of date. */
  readonly #stale = new Set<number>();
  /** Buckets changed since `takeChanged`. */
  #changed = new Set<number>();
  #allChanged = true;

  constructor(depth: number = HEAP_DEPTH_MIN) {
    this.#depth = depth;
    const buckets = 2 ** depth;
    this.#heap = new Uint32Array(buckets * 2 * WORDS);
    this.#heapBytes = new Uint8Array(this.#heap.buffer);
    this.#run = new Float64Array(buckets);
    this.#count = new Uint32Array(buckets);
    this.#room = new Uint32Array(buckets);
  }

  get size(): number {
    return this.#size;
  }

  get depth(): number {
    return this.#depth;
  }

  /** The heap's depth for `leaves` leaves: about 6 to 12 a bucket. */
  static depthFor(leaves: number): number {
    let depth = HEAP_DEPTH_MIN;
    while (depth < HEAP_DEPTH_MAX && leaves > 2 ** depth * BUCKET_LEAVES_GROW) depth += 1;
    return depth;
  }

  /** V of the key, a copy. */
  get(key: Uint8Array): Uint8Array | undefined {
    const bucket = this.bucketOf(key);
    const bytes = this.bucket(bucket);
    const at = search(bytes, key);
    return at >= 0 ? bytes.slice(at * LEAF_BYTES + KEY_BYTES, (at + 1) * LEAF_BYTES) : undefined;
  }

  /** Puts V under K and returns the V before. */
  set(key: Uint8Array, value: Uint8Array): Uint8Array | undefined {
    const bucket = this.bucketOf(key);
    const bytes = this.bucket(bucket);
    const at = search(bytes, key);
    this.#touch(bucket);
    if (at >= 0) {
      const before = bytes.slice(at * LEAF_BYTES + KEY_BYTES, (at + 1) * LEAF_BYTES);
      bytes.set(value, at * LEAF_BYTES + KEY_BYTES);
      return before;
    }
    this.#insert(bucket, ~at, key, value);
    return undefined;
  }

  /** Removes K and returns the V before, if there was one. */
  delete(key: Uint8Array): Uint8Array | undefined {
    const bucket = this.bucketOf(key);
    const bytes = this.bucket(bucket);
    const at = search(bytes, key);
    if (at < 0) return undefined;
    const before = bytes.slice(at * LEAF_BYTES + KEY_BYTES, (at + 1) * LEAF_BYTES);
    bytes.copyWithin(at * LEAF_BYTES, (at + 1) * LEAF_BYTES);
    this.#count[bucket] = (this.#count[bucket] as number) - 1;
    this.#size -= 1;
    this.#touch(bucket);
    return before;
  }

  /** Makes room for `leaves` leaves in all, so that filling the map does not grow it step by step. */
  reserve(leaves: number): void {
    const depth = MapHeap.depthFor(leaves);
    while (this.#depth < depth) this.#deepen();
  }

  /** Brings all hashes up to date. */
  update(): void {
    // Buckets that were loaded did not grow the heap on their way.
    this.reserve(this.#size);
    if (this.#stale.size === 0) return;
    const buckets = Uint32Array.from(this.#stale).sort();
    this.#stale.clear();
    for (let from = 0; from < buckets.length; from += HASH_BUCKETS_MAX) {
      this.#hashBuckets(buckets.subarray(from, from + HASH_BUCKETS_MAX));
    }
    let level = parentsOf(buckets, 2 ** this.#depth);
    while (level.length > 0) {
      this.#hasher.heapLevel(this.#heap, level);
      level = level[0] === 1 ? [] : parentsOf(level, 0);
    }
  }

  /** The root, a copy; call `update` first. */
  root(): Uint8Array {
    return this.heapHash(1);
  }

  /** Hash of a heap node (1 to 2^(depth+1) − 1), a copy; call `update` first. */
  heapHash(node: number): Uint8Array {
    return this.#heapBytes.slice(node * HASH_BYTES, (node + 1) * HASH_BYTES);
  }

  /** The sorted leaves of a bucket (0 to 2^depth − 1) as K ‖ V ‖ K ‖ V …: a view that the next change spoils. */
  bucket(index: number): Uint8Array {
    return this.#room[index] === 0 ? EMPTY_BUCKET : this.#slab.view(this.#run[index] as number, this.#count[index] as number);
  }

  /** Fills an empty bucket with stored leaves. Returns false if they are not whole, not ascending, or not this bucket's. */
  loadBucket(index: number, bytes: Uint8Array): boolean {
    const leaves = bytes.length / LEAF_BYTES;
    if (!Number.isInteger(leaves) || this.#count[index] !== 0) return false;
    for (let i = 0; i < leaves; i++) {
      const key = bytes.subarray(i * LEAF_BYTES, i * LEAF_BYTES + KEY_BYTES);
      if (this.bucketOf(key) !== index) return false;
      if (i > 0 && compare(bytes.subarray((i - 1) * LEAF_BYTES, (i - 1) * LEAF_BYTES + KEY_BYTES), key) >= 0) return false;
    }
    this.#replace(index, bytes);
    this.#stale.add(index);
    return true;
  }

  /** What must be stored since the last call: all buckets after the depth changed, else those that changed. */
  takeChanged(): { readonly all: boolean; readonly buckets: readonly number[] } {
    const taken = { all: this.#allChanged, buckets: this.#allChanged ? this.#filled() : [...this.#changed] };
    this.markStored();
    return taken;
  }

  /** Says that the store holds every bucket as it is now. */
  markStored(): void {
    this.#changed = new Set();
    this.#allChanged = false;
  }

  /** Says that what `takeChanged` gave was not stored after all. */
  markUnstored(taken: { readonly all: boolean; readonly buckets: readonly number[] }): void {
    if (taken.all) this.#allChanged = true;
    for (const bucket of taken.buckets) this.#changed.add(bucket);
  }

  #filled(): number[] {
    const filled: number[] = [];
    for (let bucket = 0; bucket < this.#count.length; bucket++) if ((this.#count[bucket] as number) > 0) filled.push(bucket);
    return filled;
  }

  #touch(bucket: number): void {
    this.#stale.add(bucket);
    this.#changed.add(bucket);
  }

  /** The bucket in which a key has its place. */
  bucketOf(key: Uint8Array): number {
    const word = (((key[0] as number) << 24) | ((key[1] as number) << 16) | ((key[2] as number) << 8) | (key[3] as number)) >>> 0;
    return word >>> (32 - this.#depth);
  }

  #insert(bucket: number, at: number, key: Uint8Array, value: Uint8Array): void {
    const count = this.#count[bucket] as number;
    if (count === this.#room[bucket]) this.#enlarge(bucket, count + 1);
    const bytes = this.#slab.view(this.#run[bucket] as number, count + 1);
    bytes.copyWithin((at + 1) * LEAF_BYTES, at * LEAF_BYTES, count * LEAF_BYTES);
    bytes.set(key, at * LEAF_BYTES);
    bytes.set(value, at * LEAF_BYTES + KEY_BYTES);
    this.#count[bucket] = count + 1;
    this.#size += 1;
    if (this.#size > 2 ** this.#depth * BUCKET_LEAVES_GROW && this.#depth < HEAP_DEPTH_MAX) this.#deepen();
  }

  #enlarge(bucket: number, leaves: number): void {
    // A bucket that outgrew its depth (ground keys) grows by half, so that filling it stays linear.
    const room = Slab.room(Math.max(leaves, leaves > 4 * BUCKET_LEAVES_GROW ? Math.ceil(leaves * 1.5) : 0));
    const run = this.#slab.allocate(room);
    const before = this.#room[bucket] as number;
    if (before > 0) {
      this.#slab.view(run, leaves).set(this.bucket(bucket));
      this.#slab.release(this.#run[bucket] as number, before);
    }
    this.#run[bucket] = run;
    this.#room[bucket] = room;
  }

  #replace(bucket: number, bytes: Uint8Array): void {
    const leaves = bytes.length / LEAF_BYTES;
    if (leaves > (this.#room[bucket] as number)) this.#enlarge(bucket, leaves);
    this.#size += leaves - (this.#count[bucket] as number);
    this.#count[bucket] = leaves;
    if (leaves > 0) this.bucket(bucket).set(bytes);
  }

  /** One level more: every bucket splits by its next bit. All hashes become stale. */
  #deepen(): void {
    const before = { count: this.#count, room: this.#room, run: this.#run };
    this.#depth += 1;
    const buckets = 2 ** this.#depth;
    this.#heap = new Uint32Array(buckets * 2 * WORDS);
    this.#heapBytes = new Uint8Array(this.#heap.buffer);
    this.#run = new Float64Array(buckets);
    this.#count = new Uint32Array(buckets);
    this.#room = new Uint32Array(buckets);
    this.#size = 0;
    this.#stale.clear();
    this.#allChanged = true;
    for (let old = 0; old < before.count.length; old++) {
      if (before.room[old] === 0) continue;
      const bytes = this.#slab.view(before.run[old] as number, before.count[old] as number).slice();
      this.#slab.release(before.run[old] as number, before.room[old] as number);
      const split = splitAt(bytes, 0, bytes.length / LEAF_BYTES, this.#depth - 1) * LEAF_BYTES;
      for (const [bucket, part] of [
        [old * 2, bytes.subarray(0, split)],
        [old * 2 + 1, bytes.subarray(split)],
      ] as const) {
        this.#replace(bucket, part);
        if (part.length > 0) this.#stale.add(bucket);
      }
    }
  }

  #hashBuckets(buckets: Uint32Array): void {
    const hasher = this.#hasher;
    hasher.reset();
    const tops: number[] = [];
    for (const bucket of buckets) {
      const bytes = this.bucket(bucket);
      tops.push(trie(hasher, bytes, hasher.leaves(bytes), 0, bytes.length / LEAF_BYTES, this.#depth).node);
    }
    hasher.run();
    buckets.forEach((bucket, i) => hasher.copy(tops[i] as number, this.#heap, (2 ** this.#depth + bucket) * WORDS));
  }
}

const EMPTY_BUCKET = new Uint8Array(0);

// One for all: a new one costs a hundred times what it takes to hash the few leaves of a small subtree.
const subtreeHasher = new BatchHasher();

/** Hash of the subtree of `bytes` (sorted K ‖ V) that share their first `depth` bits. */
export function subtreeHashOf(bytes: Uint8Array, depth: number): Uint8Array {
  const leaves = bytes.length / LEAF_BYTES;
  if (leaves === 0) return EMPTY;
  if (leaves === 1) return leafHash(bytes.subarray(0, KEY_BYTES), bytes.subarray(KEY_BYTES));
  subtreeHasher.reset();
  const top = trie(subtreeHasher, bytes, subtreeHasher.leaves(bytes), 0, leaves, depth).node;
  subtreeHasher.run();
  return subtreeHasher.hash(top);
}

/** The first leaf in [from, to) of sorted leaves whose key has bit `depth` set; `to` if none has. */
export function splitAt(bytes: Uint8Array, from: number, to: number, depth: number): number {
  const byte = depth >>> 3;
  const mask = 0x80 >>> (depth & 7);
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (((bytes[middle * LEAF_BYTES + byte] as number) & mask) === 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

interface Trie {
  readonly node: number;
  readonly height: number;
}

const NOTHING: Trie = { node: BatchHasher.EMPTY, height: 0 };

function trie(hasher: BatchHasher, bytes: Uint8Array, first: number, from: number, to: number, depth: number): Trie {
  if (to === from) return NOTHING;
  if (to - from === 1) return { node: first + from, height: 0 };
  const split = splitAt(bytes, from, to, depth);
  const left = trie(hasher, bytes, first, from, split, depth + 1);
  const right = trie(hasher, bytes, first, split, to, depth + 1);
  const height = Math.max(left.height, right.height) + 1;
  return { node: hasher.node(left.node, right.node, height), height };
}

/** Index of the key among sorted leaves, or ~(where it would stand). */
function search(bytes: Uint8Array, key: Uint8Array): number {
  let low = 0;
  let high = bytes.length / LEAF_BYTES;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compareKey(bytes, middle * LEAF_BYTES, key);
    if (order === 0) return middle;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return ~low;
}

function compareKey(bytes: Uint8Array, at: number, key: Uint8Array): number {
  for (let i = 0; i < KEY_BYTES; i++) {
    const difference = (bytes[at + i] as number) - (key[i] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The parents of ascending heap nodes (each index plus `offset`), ascending and unique. */
function parentsOf(indexes: ArrayLike<number>, offset: number): number[] {
  const parents: number[] = [];
  for (let i = 0; i < indexes.length; i++) {
    const parent = ((indexes[i] as number) + offset) >>> 1;
    if (parents.at(-1) !== parent) parents.push(parent);
  }
  return parents;
}
