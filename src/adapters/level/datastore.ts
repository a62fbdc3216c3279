import { LevelDatastore } from "datastore-level";
import { Level } from "level";
import type { Batch, Key, Pair } from "interface-datastore";
import type { LevelOptions } from "./options.ts";
import type { EngineOperation } from "./write-queue.ts";

const BINARY = { keyEncoding: "view", valueEncoding: "view" } as const;

type AbortOptions = NonNullable<Parameters<LevelDatastore["put"]>[2]>;

/**
 * libp2p's datastore on the node's engine. It writes through the node's queue, so that a refused write is noticed and healed in
 * one place, and it sees only its own keys.
 */
export class NodeDatastore extends LevelDatastore {
  readonly #write: (operations: readonly EngineOperation[]) => Promise<void>;

  constructor(directory: string, options: LevelOptions, write: (operations: readonly EngineOperation[]) => Promise<void>) {
    // Bytes are the engine's default for keys, so that a batch names no encoding for each of its operations, which would double
    // its cost. The text keys of libp2p become the same bytes as before.
    super(new Level<Uint8Array, Uint8Array>(directory, { ...options, ...BINARY }) as unknown as LevelDatastore["db"]);
    this.#write = write;
  }

  /** The store that owns the engine opens and closes it. */
  override async open(): Promise<void> {}

  override async close(): Promise<void> {}

  override async put(key: Key, value: Uint8Array, options?: AbortOptions): Promise<Key> {
    options?.signal?.throwIfAborted();
    await this.#write([{ type: "put", key: key.uint8Array(), value }]);
    return key;
  }

  override async delete(key: Key, options?: AbortOptions): Promise<void> {
    options?.signal?.throwIfAborted();
    await this.#write([{ type: "del", key: key.uint8Array() }]);
  }

  override batch(): Batch {
    const operations: EngineOperation[] = [];
    return {
      put: (key, value) => void operations.push({ type: "put", key: key.uint8Array(), value }),
      delete: (key) => void operations.push({ type: "del", key: key.uint8Array() }),
      commit: async (options) => {
        options?.signal?.throwIfAborted();
        await this.#write(operations.splice(0));
      },
    };
  }

  override _query(query: { values: boolean; prefix?: string }): AsyncIterable<Pair> {
    return super._query({ ...query, prefix: query.prefix ?? "/" });
  }
}
