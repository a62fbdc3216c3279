import { crc32c } from "@node-rs/crc32";
import {
  StoreError,
  type Store,
  type StoreEntry,
  type StoreOperation,
  type StoreRange,
  type StoreReader,
  type StoreSnapshot,
} from "../../ports/store.ts";

/** CRC32C (RFC 3720 §12.1), big-endian, before every value. */
export const CHECKSUM_BYTES = 4;

/**
 * The same store with a checksum before every value, checked on every read: LevelDB's binding does not verify blocks, so rot
 * would be read as data. The checksum covers key and value, so that a value in another key's place is found too.
 *
 * A read that meets a bad value rejects with StoreError `damaged`, which names its key; a scan first gives the good entries
 * before it, so that a scrub can note the key and go on behind it.
 */
export function checksummed(store: Store): Store {
  return new ChecksummedStore(store);
}

class ChecksummedReader implements StoreReader {
  readonly #reader: StoreReader;

  constructor(reader: StoreReader) {
    this.#reader = reader;
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    const stored = await this.#reader.get(key);
    return stored && opened(key, stored);
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    const values = await this.#reader.getMany(keys);
    return values.map((stored, i) => stored && opened(keys[i] as Uint8Array, stored));
  }

  async *scan(range: StoreRange): AsyncGenerator<StoreEntry[]> {
    for await (const chunk of this.#reader.scan(range)) {
      const good: StoreEntry[] = [];
      for (const [key, stored] of chunk) {
        const value = intactValue(key, stored);
        if (value === undefined) {
          if (good.length > 0) yield good;
          throw damaged(key);
        }
        good.push([key, value]);
      }
      yield good;
    }
  }
}

class ChecksummedStore extends ChecksummedReader implements Store {
  readonly #store: Store;

  constructor(store: Store) {
    super(store);
    this.#store = store;
  }

  async batch(operations: readonly StoreOperation[], options: { readonly durable: boolean }): Promise<void> {
    await this.#store.batch(operations.map(sealed), options);
  }

  snapshot(): StoreSnapshot {
    return new ChecksummedSnapshot(this.#store.snapshot());
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

class ChecksummedSnapshot extends ChecksummedReader implements StoreSnapshot {
  readonly #snapshot: StoreSnapshot;

  constructor(snapshot: StoreSnapshot) {
    super(snapshot);
    this.#snapshot = snapshot;
  }

  close(): Promise<void> {
    return this.#snapshot.close();
  }
}

function sealed(operation: StoreOperation): StoreOperation {
  if (operation.type === "del") return operation;
  const { key, value } = operation;
  const stored = Buffer.allocUnsafe(CHECKSUM_BYTES + value.length);
  stored.writeUInt32BE(checksum(key, value), 0);
  stored.set(value, CHECKSUM_BYTES);
  return { type: "put", key, value: stored };
}

function opened(key: Uint8Array, stored: Uint8Array): Uint8Array {
  const value = intactValue(key, stored);
  if (value === undefined) throw damaged(key);
  return value;
}

function intactValue(key: Uint8Array, stored: Uint8Array): Uint8Array | undefined {
  if (stored.length < CHECKSUM_BYTES) return undefined;
  const value = stored.subarray(CHECKSUM_BYTES);
  const [a, b, c, d] = stored as unknown as readonly [number, number, number, number];
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0 === checksum(key, value) ? value : undefined;
}

function checksum(key: Uint8Array, value: Uint8Array): number {
  return crc32c(value, crc32c(key));
}

function damaged(key: Uint8Array): StoreError {
  const name = Buffer.from(key).toString("hex");
  return new StoreError("damaged", `the value stored under ${name} fails its checksum; it must be fetched again or restored`, {
    key,
  });
}
