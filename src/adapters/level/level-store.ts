import type { Level } from "level";
import { mkdir, statfs } from "node:fs/promises";
import type { Datastore } from "interface-datastore";
import {
  StoreError,
  type Store,
  type StoreEntry,
  type StoreOperation,
  type StoreRange,
  type StoreSnapshot,
} from "../../ports/store.ts";
import { NodeDatastore } from "./datastore.ts";
import { isLocked, openError, readError, writeError } from "./errors.ts";
import { engineKey } from "./keys.ts";
import { LEVEL_OPTIONS, type LevelOptions } from "./options.ts";
import { readOwner, removeOwner, writeOwner } from "./owner.ts";
import { LevelReader, type Db, type DbSnapshot, type Engine } from "./reader.ts";
import { WriteQueue, type EngineOperation } from "./write-queue.ts";

export interface LevelStoreOptions {
  /** Where the engine keeps its files; created (0700) when missing. */
  readonly directory: string;
  /** Overrides of LEVEL_OPTIONS, for measurements. */
  readonly tuning?: Partial<LevelOptions>;
}

export interface OpenedLevelStore {
  readonly store: Store;
  /** The same engine as libp2p's datastore, under its own keys. Closing the store closes it. */
  readonly datastore: Datastore;
}

/**
 * Free bytes that the disk must have before the engine is opened again after a failed write: opening writes the log's content
 * as a table (up to two write buffers) and a few small files.
 */
export const REOPEN_FREE_BYTES: number = 2 * LEVEL_OPTIONS.writeBufferSize + 1_048_576;

/**
 * The `Store` port over LevelDB, through datastore-level's `db`.
 *
 * Errors: StoreError `in_use` when another process holds the directory (naming it where it can be had), `unavailable` when it
 * cannot be opened, `write_failed` when the disk refuses a batch. After `write_failed` reads go on; writes are tried again as
 * soon as REOPEN_FREE_BYTES are free.
 */
export async function openLevelStore(options: LevelStoreOptions): Promise<OpenedLevelStore> {
  const { directory } = options;
  let writer: ((operations: readonly EngineOperation[]) => Promise<void>) | undefined;
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw openError(error, directory);
  }
  const datastore = new NodeDatastore(directory, { ...LEVEL_OPTIONS, ...options.tuning }, (operations) =>
    (writer as NonNullable<typeof writer>)(operations),
  );
  try {
    await datastore.db.open();
  } catch (error) {
    if (isLocked(error)) throw await inUse(error, directory);
    throw openError(error, directory);
  }
  await writeOwner(directory);
  const store = new LevelStore(datastore.db, directory);
  writer = (operations) => store.write(operations, false);
  return { store, datastore };
}

async function inUse(cause: unknown, directory: string): Promise<StoreError> {
  const pid = await readOwner(directory);
  const owner = pid === undefined ? "another process" : pid === process.pid ? "this process already" : `process ${pid}`;
  const message = `${owner} holds the store in ${directory}; stop that registry first, or choose another data directory`;
  return new StoreError("in_use", message, { cause });
}

class LevelStore implements Store, Engine {
  readonly db: Db;
  readonly #directory: string;
  readonly #reader: LevelReader;
  readonly #queue: WriteQueue = new WriteQueue((operations, durable) => this.#writeGroup(operations, durable));
  #reopening: Promise<void> | undefined;
  /** What takes back a write that failed, see `#writeGroup`. */
  #undo: readonly EngineOperation[] | undefined;
  #closed: Promise<void> | undefined;

  constructor(db: Db, directory: string) {
    this.db = db;
    this.#directory = directory;
    this.#reader = new LevelReader(this);
  }

  get reopening(): Promise<void> | undefined {
    return this.#reopening;
  }

  async batch(operations: readonly StoreOperation[], options: { readonly durable: boolean }): Promise<void> {
    await this.write(
      operations.map((operation) => ({ ...operation, key: engineKey(operation.key) })),
      options.durable,
    );
  }

  async write(operations: readonly EngineOperation[], durable: boolean): Promise<void> {
    if (this.#closed !== undefined) throw new StoreError("closed", "the store was closed");
    await this.#queue.submit(operations, durable);
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#reader.get(key);
  }

  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#reader.getMany(keys);
  }

  scan(range: StoreRange): AsyncIterable<StoreEntry[]> {
    return this.#reader.scan(range);
  }

  snapshot(): StoreSnapshot {
    try {
      return new LevelSnapshot(this, this.db.snapshot());
    } catch (error) {
      if (this.#reopening === undefined) throw readError(error);
      throw new StoreError("unavailable", "the store is being opened again after a failed write; try again", { cause: error });
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#queue.idle();
    if (this.#undo !== undefined) await this.#recover().catch(() => undefined);
    await this.db.close();
    await removeOwner(this.#directory);
  }

  /**
   * A write that failed leaves LevelDB's log in doubt. On a full disk its end is torn, and later writes behind the torn record
   * are lost on the next start although they were acknowledged; where only the sync failed, the refused batch comes back on the
   * next start. Therefore nothing more is written before the engine was opened again, which starts a new log, and the refused
   * batch was taken back.
   */
  async #writeGroup(operations: readonly EngineOperation[], durable: boolean): Promise<void> {
    if (this.#undo !== undefined) await this.#recover();
    try {
      const batch = (this.db as unknown as Level<Uint8Array, Uint8Array>).batch();
      for (const operation of operations) {
        if (operation.type === "put") batch.put(operation.key, operation.value);
        else batch.del(operation.key);
      }
      await batch.write({ sync: durable } as object);
    } catch (error) {
      const failure = writeError(error);
      // Where the old values cannot be read either, opening again is still worth it.
      if (failure.code === "write_failed") this.#undo = await this.#undoOf(operations).catch(() => []);
      throw failure;
    }
  }

  async #undoOf(operations: readonly EngineOperation[]): Promise<EngineOperation[]> {
    const keys = operations.map((operation) => operation.key);
    const values = await this.db.getMany<Uint8Array, Uint8Array>(keys, BINARY);
    return keys.map((key, i) => {
      const value = values[i];
      return value === undefined ? { type: "del", key } : { type: "put", key, value };
    });
  }

  async #recover(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#directory);
    const free = bavail * bsize;
    if (free < REOPEN_FREE_BYTES) {
      const message = `the disk of ${this.#directory} is full: ${free} bytes are free, ${REOPEN_FREE_BYTES} are needed; free some space`;
      throw new StoreError("write_failed", message);
    }
    const reopened = this.#reopen();
    // Readers only wait for the end of it; if it failed, their read reports why.
    this.#reopening = reopened.catch(() => undefined);
    try {
      await reopened;
    } finally {
      this.#reopening = undefined;
    }
  }

  async #reopen(): Promise<void> {
    try {
      await this.db.close();
      await this.db.open();
      await this.db.batch<Uint8Array, Uint8Array>(this.#undo as EngineOperation[], { ...BINARY, sync: true });
      this.#undo = undefined;
    } catch (error) {
      throw new StoreError("write_failed", `the store could not be opened again after a failed write: ${String(error)}`, {
        cause: error,
      });
    }
  }
}

const BINARY = { keyEncoding: "view", valueEncoding: "view" } as const;

class LevelSnapshot extends LevelReader implements StoreSnapshot {
  readonly #snapshot: DbSnapshot;

  constructor(engine: Engine, snapshot: DbSnapshot) {
    super(engine, snapshot);
    this.#snapshot = snapshot;
  }

  async close(): Promise<void> {
    await this.#snapshot.close();
  }
}
