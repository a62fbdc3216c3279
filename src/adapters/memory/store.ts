import {
  KEY_BYTES_MAX,
  SCAN_CHUNK_ENTRIES,
  StoreError,
  type Store,
  type StoreEntry,
  type StoreOperation,
  type StoreRange,
  type StoreSnapshot,
} from "../../ports/store.ts";
import { SortedMap } from "./sorted-map.ts";

/** Batches that are not yet durable; beyond it the oldest become so, as an operating system writes back on its own. */
export const WRITTEN_BACK_AFTER_BATCHES = 4_096;

export interface MemoryStoreHooks {
  /**
   * Called in order before each batch is applied; the batch waits for it. What it throws fails the batch with `write_failed`.
   * Nothing else happens meanwhile on the write side, so it is the place for a crash at any write.
   */
  readonly beforeWrite?: (operations: readonly StoreOperation[], options: { readonly durable: boolean }) => void | Promise<void>;
}

type Change = readonly [key: Uint8Array, value: Uint8Array | undefined];

/**
 * The `Store` port in memory, for tests and the simulator: deterministic (it waits for microtasks and for its hook, nothing
 * else), with power cuts and bit rot on demand. Values and keys are copied on the way in and out, as an engine would.
 */
export class MemoryStore implements Store {
  readonly #hooks: MemoryStoreHooks;
  /** What survives a power cut. */
  #durable: SortedMap;
  #current: SortedMap;
  /** Applied batches since the last durable one. */
  #volatile: (readonly Change[])[] = [];
  /** Submitted batches that are not applied yet. */
  readonly #submitted: Set<readonly Change[]> = new Set();
  #writing: Promise<void> = Promise.resolve();
  #open = true;
  #closing = false;

  constructor(hooks: MemoryStoreHooks = {}, content: SortedMap = SortedMap.EMPTY) {
    this.#hooks = hooks;
    this.#durable = content;
    this.#current = content;
  }

  batch(operations: readonly StoreOperation[], options: { readonly durable: boolean }): Promise<void> {
    let changes: Change[];
    try {
      if (this.#closing) throw new StoreError("closed", "the store was closed");
      this.#assertOpen();
      changes = operations.map(changeOf);
    } catch (error) {
      return Promise.reject(error as Error);
    }
    this.#submitted.add(changes);
    const written = this.#writing.then(() => this.#write(operations, changes, options.durable));
    this.#writing = written.catch(() => undefined);
    return written;
  }

  async #write(operations: readonly StoreOperation[], changes: readonly Change[], durable: boolean): Promise<void> {
    try {
      if (this.#open) await this.#hooks.beforeWrite?.(operations, { durable });
    } catch (cause) {
      this.#submitted.delete(changes);
      throw new StoreError("write_failed", `the write was refused, nothing of it was applied: ${String(cause)}`, { cause });
    }
    this.#assertOpen();
    this.#submitted.delete(changes);
    this.#current = this.#current.with(changes);
    this.#volatile.push(changes);
    if (durable) {
      this.#durable = this.#current;
      this.#volatile = [];
    } else if (this.#volatile.length > WRITTEN_BACK_AFTER_BATCHES) {
      this.#durable = this.#durable.with(this.#volatile.shift() as readonly Change[]);
    }
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#read().get(key);
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#read().getMany(keys);
  }

  async *scan(range: StoreRange): AsyncGenerator<StoreEntry[]> {
    yield* this.#read().scan(range);
  }

  snapshot(): StoreSnapshot {
    return this.#read();
  }

  /** Waits for the batches that were submitted, then refuses everything. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#writing;
    this.#open = false;
  }

  /** All that is stored now, as the disk holds it: a copy of the disk, which later writes do not change. */
  get content(): SortedMap {
    return this.#current;
  }

  /** Batches whose fate a power cut would decide: applied but not durable, then submitted but not resolved. */
  get pendingBatches(): number {
    return this.#volatile.length + this.#submitted.size;
  }

  /**
   * Cuts the power and opens the store again: the first `survivors` of the pending batches are kept, whole and in order. With
   * the number of applied ones, or after `close`, it is a restart. This handle is closed, its unresolved batches reject.
   */
  crash(survivors = 0): MemoryStore {
    this.#open = false;
    const pending = [...this.#volatile, ...this.#submitted];
    return new MemoryStore(this.#hooks, this.#durable.with(pending.slice(0, survivors).flat()));
  }

  /** Flips one bit of the value stored under `key`, as rot on the disk would; false when there is no such bit. */
  flipBit(key: Uint8Array, bit: number): boolean {
    const rotten = flipped(this.#current, key, bit);
    if (rotten === undefined) return false;
    this.#current = this.#current.with([[key, rotten]]);
    const durable = flipped(this.#durable, key, bit);
    if (durable !== undefined) this.#durable = this.#durable.with([[key, durable]]);
    return true;
  }

  #read(): MemorySnapshot {
    this.#assertOpen();
    return new MemorySnapshot(this.#current, () => this.#open);
  }

  #assertOpen(): void {
    if (!this.#open) throw new StoreError("closed", "the store was closed");
  }
}

class MemorySnapshot implements StoreSnapshot {
  readonly #content: SortedMap;
  readonly #storeIsOpen: () => boolean;
  #open = true;

  constructor(content: SortedMap, storeIsOpen: () => boolean) {
    this.#content = content;
    this.#storeIsOpen = storeIsOpen;
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#assertOpen();
    return this.#valueOf(key);
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    this.#assertOpen();
    return keys.map((key) => this.#valueOf(key));
  }

  async *scan(range: StoreRange): AsyncGenerator<StoreEntry[]> {
    const chunkEntries = range.chunkEntries ?? SCAN_CHUNK_ENTRIES;
    const reverse = range.reverse ?? false;
    let { from, to } = range;
    let left = range.limit ?? Infinity;
    for (;;) {
      this.#assertOpen();
      const chunk: StoreEntry[] = [];
      while (chunk.length < Math.min(chunkEntries, left)) {
        const entry = this.#content.nearest(reverse ? to : from, reverse);
        if (entry === undefined || isOutside(entry[0], range, reverse)) break;
        chunk.push([copyOf(entry[0]), copyOf(entry[1])]);
        if (reverse) to = entry[0];
        else from = successorOf(entry[0]);
      }
      if (chunk.length === 0) return;
      left -= chunk.length;
      yield chunk;
    }
  }

  async close(): Promise<void> {
    this.#open = false;
  }

  #valueOf(key: Uint8Array): Uint8Array | undefined {
    assertKey(key);
    const value = this.#content.get(key);
    return value && copyOf(value);
  }

  #assertOpen(): void {
    if (!this.#open || !this.#storeIsOpen()) throw new StoreError("closed", "the store or snapshot was closed");
  }
}

function changeOf(operation: StoreOperation): Change {
  assertKey(operation.key);
  return [copyOf(operation.key), operation.type === "put" ? copyOf(operation.value) : undefined];
}

function assertKey(key: Uint8Array): void {
  if (key.length === 0 || key.length > KEY_BYTES_MAX) {
    throw new RangeError(`a key has 1 to ${KEY_BYTES_MAX} bytes, this one has ${key.length}`);
  }
}

/** Buffers, as the real engine gives them. */
function copyOf(bytes: Uint8Array): Uint8Array {
  return Buffer.from(bytes);
}

/** Whether a walk in that direction has left the range. */
function isOutside(key: Uint8Array, range: StoreRange, reverse: boolean): boolean {
  return reverse ? Buffer.compare(key, range.from) < 0 : Buffer.compare(key, range.to) >= 0;
}

/** The least key above `key`. */
function successorOf(key: Uint8Array): Uint8Array {
  return Buffer.concat([key, Buffer.of(0)]);
}

function flipped(map: SortedMap, key: Uint8Array, bit: number): Uint8Array | undefined {
  const value = map.get(key);
  if (value === undefined || bit >= value.length * 8) return undefined;
  const rotten = Buffer.from(value);
  rotten[bit >>> 3] = (rotten[bit >>> 3] as number) ^ (1 << (bit & 7));
  return rotten;
}
