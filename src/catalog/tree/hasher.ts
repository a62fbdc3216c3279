import { hashInto } from "@chainsafe/hashtree";
import { HASH_BYTES } from "../../../protocols/lib/hash.ts";
import { LEAF_BYTES } from "./slab.ts";

const WORDS = HASH_BYTES / 4;
/** On a little-endian machine the first byte of a hash is the lowest of its first word; its top bit labels a leaf. */
const LEAF_BIT = 0x80;

if (new Uint8Array(Uint32Array.of(1).buffer)[0] !== 1) throw new Error("the tree's memory layout needs a little-endian machine");

/**
 * Computes the map's hashes in batches: nodes are named by number in a pool, and `run` hashes them level by level, so that
 * the native function sees thousands of nodes at a time (it costs 40–90 ns for each then, and 340 ns one by one).
 */
export class BatchHasher {
  #pool = new Uint32Array(POOL_HASHES_MIN * WORDS);
  #poolBytes = new Uint8Array(this.#pool.buffer);
  #size = 1; // number 0 is EMPTY
  /** Pairs (node, left, right) by height above the leaves. */
  readonly #levels: number[][] = [];
  #input = new Uint32Array(POOL_HASHES_MIN * WORDS * 2);

  static readonly EMPTY = 0;

  /** Forgets all nodes but EMPTY. */
  reset(): void {
    this.#size = 1;
    for (const level of this.#levels) level.length = 0;
  }

  /** Hashes `count` leaves (K ‖ V each) and returns the number of the first; the others follow. */
  leaves(bytes: Uint8Array): number {
    const count = bytes.length / LEAF_BYTES;
    const first = this.#take(count);
    const output = this.#poolBytes.subarray(first * HASH_BYTES, (first + count) * HASH_BYTES);
    if (count > 0) hashInto(bytes, output);
    for (let i = 0; i < count; i++) output[i * HASH_BYTES] = (output[i * HASH_BYTES] as number) | LEAF_BIT;
    return first;
  }

  /** A node above `left` and `right`, `height` ≥ 1 above the leaves and above both children's heights. Known after `run`. */
  node(left: number, right: number, height: number): number {
    const node = this.#take(1);
    (this.#levels[height - 1] ??= []).push(node, left, right);
    return node;
  }

  run(): void {
    for (const level of this.#levels) {
      const count = level.length / 3;
      if (count === 0) continue;
      this.#reserveInput(count);
      const pool = this.#pool;
      const input = this.#input;
      for (let i = 0; i < count; i++) {
        const left = (level[i * 3 + 1] as number) * WORDS;
        const right = (level[i * 3 + 2] as number) * WORDS;
        const at = i * WORDS * 2;
        for (let w = 0; w < WORDS; w++) {
          input[at + w] = pool[left + w] as number;
          input[at + WORDS + w] = pool[right + w] as number;
        }
      }
      const output = this.#hashInput(count);
      for (let i = 0; i < count; i++) {
        const to = (level[i * 3] as number) * WORDS;
        for (let w = 0; w < WORDS; w++) pool[to + w] = output[i * WORDS + w] as number;
        pool[to] = (pool[to] as number) & ~LEAF_BIT;
      }
      level.length = 0;
    }
  }

  /** Copies a node's hash, known after `run`, to word `at` of `target`. */
  copy(node: number, target: Uint32Array, at: number): void {
    for (let w = 0; w < WORDS; w++) target[at + w] = this.#pool[node * WORDS + w] as number;
  }

  /** A node's hash, known after `run`, as bytes of its own. */
  hash(node: number): Uint8Array {
    return this.#poolBytes.slice(node * HASH_BYTES, (node + 1) * HASH_BYTES);
  }

  /**
   * One level of a heap of hashes: sets each of `parents` from its two children, by the rule that an EMPTY beside a lone leaf
   * gives that leaf.
   */
  heapLevel(heap: Uint32Array, parents: readonly number[]): void {
    this.#reserveInput(parents.length);
    const input = this.#input;
    const hashed: number[] = [];
    for (const parent of parents) {
      const left = parent * 2 * WORDS;
      const collapsed = collapse(heap, left, left + WORDS);
      const to = parent * WORDS;
      if (collapsed >= 0) {
        for (let w = 0; w < WORDS; w++) heap[to + w] = heap[collapsed + w] as number;
        continue;
      }
      const at = hashed.length * WORDS * 2;
      for (let w = 0; w < WORDS * 2; w++) input[at + w] = heap[left + w] as number;
      hashed.push(to);
    }
    const output = this.#hashInput(hashed.length);
    for (let i = 0; i < hashed.length; i++) {
      const to = hashed[i] as number;
      for (let w = 0; w < WORDS; w++) heap[to + w] = output[i * WORDS + w] as number;
      heap[to] = (heap[to] as number) & ~LEAF_BIT;
    }
  }

  #output = new Uint32Array(POOL_HASHES_MIN * WORDS);

  #hashInput(count: number): Uint32Array {
    if (this.#output.length < count * WORDS) this.#output = new Uint32Array(count * WORDS * 2);
    if (count > 0) {
      hashInto(
        new Uint8Array(this.#input.buffer, 0, count * LEAF_BYTES),
        new Uint8Array(this.#output.buffer, 0, count * HASH_BYTES),
      );
    }
    return this.#output;
  }

  #reserveInput(count: number): void {
    if (this.#input.length < count * WORDS * 2) this.#input = new Uint32Array(count * WORDS * 4);
  }

  #take(count: number): number {
    const first = this.#size;
    this.#size += count;
    if (this.#size * WORDS > this.#pool.length) {
      const larger = new Uint32Array(this.#size * WORDS * 2);
      larger.set(this.#pool);
      this.#pool = larger;
      this.#poolBytes = new Uint8Array(larger.buffer);
    }
    return first;
  }
}

/** Hashes that a hasher has room for at first: a follower has one for each of its catalogues, and most are small. */
const POOL_HASHES_MIN = 64;

/** Where the subtree's hash stands when no hashing is needed (both empty, or one leaf beside an EMPTY); −1 otherwise. */
function collapse(heap: Uint32Array, left: number, right: number): number {
  if (isEmpty(heap, left)) return isEmpty(heap, right) || isLeaf(heap, right) ? right : -1;
  return isEmpty(heap, right) && isLeaf(heap, left) ? left : -1;
}

function isLeaf(heap: Uint32Array, at: number): boolean {
  return ((heap[at] as number) & LEAF_BIT) !== 0;
}

function isEmpty(heap: Uint32Array, at: number): boolean {
  for (let w = 0; w < WORDS; w++) if (heap[at + w] !== 0) return false;
  return true;
}
