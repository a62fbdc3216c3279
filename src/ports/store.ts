/**
 * An ordered, durable map of bytes to bytes with atomic batches and snapshots: all that the node keeps is in one of these.
 *
 * Keys are 1 to KEY_BYTES_MAX bytes, ordered as unsigned bytes. Every implementation passes `test/contract/store.ts`.
 * Errors are `StoreError`s; `damaged` names a key whose value failed its checksum, and such a value is never returned.
 */
export interface Store extends StoreReader {
  /**
   * Applies all operations or none. With `durable` it resolves once the batch survives a power cut, otherwise once it survives
   * the death of this process. Batches become visible, and durable, in the order in which they were submitted. Later
   * operations of a batch win over earlier ones on the same key. The store keeps the given arrays until it resolves: do not
   * change them.
   */
  batch(operations: readonly StoreOperation[], options: { readonly durable: boolean }): Promise<void>;
  /** A consistent view of everything resolved before this call. Close it; SNAPSHOT_AGE_MS_MAX is the owner's duty. */
  snapshot(): StoreSnapshot;
  close(): Promise<void>;
}

export interface StoreReader {
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  /** Values in the order of `keys`, `undefined` where there is none. */
  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]>;
  /** Entries with from ≤ key < to in ascending order (descending with `reverse`), in arrays of at most `chunkEntries`. */
  scan(range: StoreRange): AsyncIterable<StoreEntry[]>;
}

export interface StoreSnapshot extends StoreReader {
  close(): Promise<void>;
}

export interface StoreRange {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  readonly reverse?: boolean;
  /** Stop after this many entries; no limit by default. */
  readonly limit?: number;
  /** Entries in a chunk; SCAN_CHUNK_ENTRIES by default. */
  readonly chunkEntries?: number;
}

export type StoreEntry = readonly [key: Uint8Array, value: Uint8Array];

export type StoreOperation =
  | { readonly type: "put"; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: "del"; readonly key: Uint8Array };

export const KEY_BYTES_MAX = 256;
export const SCAN_CHUNK_ENTRIES = 256;

export type StoreErrorCode =
  /** A value failed its checksum. */
  | "damaged"
  /** No space left, or the disk refused the write. Nothing of the batch was applied. */
  | "write_failed"
  /** Another process holds the data directory. */
  | "in_use"
  /** The store was closed. */
  | "closed"
  /** Anything else the engine reported on open or read. */
  | "unavailable";

export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: StoreErrorCode;
  readonly key: Uint8Array | undefined;

  constructor(code: StoreErrorCode, message: string, options: { cause?: unknown; key?: Uint8Array } = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.key = options.key;
  }
}
