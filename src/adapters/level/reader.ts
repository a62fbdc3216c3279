import type { LevelDatastore } from "datastore-level";
import { SCAN_CHUNK_ENTRIES, type StoreEntry, type StoreRange, type StoreReader } from "../../ports/store.ts";
import { readError } from "./errors.ts";
import { engineBound, engineKey, nodeKey } from "./keys.ts";
import { SCAN_CHUNK_BYTES } from "./options.ts";

export type Db = LevelDatastore["db"];
export type DbSnapshot = ReturnType<Db["snapshot"]>;

/** The engine as readers see it. */
export interface Engine {
  readonly db: Db;
  /** Set while the engine is being opened again after a failed write. */
  readonly reopening: Promise<void> | undefined;
}

const BINARY = { keyEncoding: "view", valueEncoding: "view" } as const;

/** Reads of the store, or of one snapshot of it. */
export class LevelReader implements StoreReader {
  readonly #engine: Engine;
  readonly #options: typeof BINARY & { readonly snapshot?: DbSnapshot };

  constructor(engine: Engine, snapshot?: DbSnapshot) {
    this.#engine = engine;
    this.#options = snapshot === undefined ? BINARY : { ...BINARY, snapshot };
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    const at = engineKey(key);
    if (this.#engine.reopening !== undefined) await this.#engine.reopening;
    try {
      return await this.#engine.db.get<Uint8Array, Uint8Array>(at, this.#options);
    } catch (error) {
      throw readError(error, key);
    }
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    const at = keys.map(engineKey);
    if (this.#engine.reopening !== undefined) await this.#engine.reopening;
    try {
      return await this.#engine.db.getMany<Uint8Array, Uint8Array>(at, this.#options);
    } catch (error) {
      throw readError(error);
    }
  }

  async *scan(range: StoreRange): AsyncGenerator<StoreEntry[]> {
    const chunkEntries = range.chunkEntries ?? SCAN_CHUNK_ENTRIES;
    if (this.#engine.reopening !== undefined) await this.#engine.reopening;
    try {
      const iterator = this.#engine.db.iterator<Uint8Array, Uint8Array>({
        ...this.#options,
        gte: engineBound(range.from),
        lt: engineBound(range.to),
        reverse: range.reverse ?? false,
        limit: range.limit ?? -1,
        highWaterMarkBytes: SCAN_CHUNK_BYTES,
      });
      try {
        for (;;) {
          const entries = await iterator.nextv(chunkEntries);
          if (entries.length === 0) return;
          yield entries.map(([key, value]) => [nodeKey(key), value] as const);
        }
      } finally {
        await iterator.close();
      }
    } catch (error) {
      throw readError(error);
    }
  }
}
