/** A leaf of the map as it lies in memory: K ‖ V. */
export const LEAF_BYTES = 64;

/** Buckets get room for a multiple of this many leaves, so that most inserts move nothing. */
const ROOM_STEP_LEAVES = 4;
/** Leaves in a chunk: the first is small, since most catalogues are, and each next one twice as large up to the bound. */
const CHUNK_LEAVES_FIRST = 64;
const CHUNK_LEAVES = 16_384;

/**
 * Memory for the buckets of a map: runs of leaves in large chunks, so that a million leaves are some hundred typed arrays and
 * not a million objects. Freed runs are handed out again by size.
 */
export class Slab {
  readonly #chunks: Uint8Array[] = [];
  /** Free runs by room in steps; each run is chunk · CHUNK_LEAVES + first leaf. */
  readonly #free: number[][] = [];
  /** Runs larger than a chunk have a chunk of their own; its number returns here when freed. */
  readonly #freeChunks: number[] = [];
  #current = -1;
  /** Leaves that the current chunk holds, and how many are given out. */
  #leaves = 0;
  #used = 0;

  /** Room, in leaves, that holds at least `leaves`. */
  static room(leaves: number): number {
    return Math.ceil(leaves / ROOM_STEP_LEAVES) * ROOM_STEP_LEAVES;
  }

  /** A run with `room` leaves (a multiple of the step); its bytes are not cleared. */
  allocate(room: number): number {
    const reuse = this.#free[room / ROOM_STEP_LEAVES]?.pop();
    if (reuse !== undefined) return reuse;
    if (room > CHUNK_LEAVES) return this.#own(room);
    if (this.#used + room > this.#leaves) {
      this.#leaves = Math.max(Slab.#step(room), Math.min(CHUNK_LEAVES, this.#leaves * 2));
      this.#current = this.#chunks.push(new Uint8Array(this.#leaves * LEAF_BYTES)) - 1;
      this.#used = 0;
    }
    const run = this.#current * CHUNK_LEAVES + this.#used;
    this.#used += room;
    return run;
  }

  release(run: number, room: number): void {
    if (room > CHUNK_LEAVES) {
      const chunk = Math.floor(run / CHUNK_LEAVES);
      this.#chunks[chunk] = new Uint8Array(0);
      this.#freeChunks.push(chunk);
      return;
    }
    (this.#free[room / ROOM_STEP_LEAVES] ??= []).push(run);
  }

  /** The bytes of `leaves` leaves from `run` on: a view, not a copy. */
  view(run: number, leaves: number): Uint8Array {
    const chunk = this.#chunks[Math.floor(run / CHUNK_LEAVES)] as Uint8Array;
    const start = (run % CHUNK_LEAVES) * LEAF_BYTES;
    return chunk.subarray(start, start + leaves * LEAF_BYTES);
  }

  /** The smallest chunk for a run of `room` leaves. */
  static #step(room: number): number {
    let leaves = CHUNK_LEAVES_FIRST;
    while (leaves < room) leaves *= 2;
    return leaves;
  }

  #own(room: number): number {
    const bytes = new Uint8Array(room * LEAF_BYTES);
    const reuse = this.#freeChunks.pop();
    if (reuse === undefined) return (this.#chunks.push(bytes) - 1) * CHUNK_LEAVES;
    this.#chunks[reuse] = bytes;
    return reuse * CHUNK_LEAVES;
  }
}
