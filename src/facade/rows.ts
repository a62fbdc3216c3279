import { SCAN_CHUNK_ENTRIES, StoreError, type Store, type StoreRange } from "../ports/store.ts";

/** Rows of the facade in the store: their own first byte, then a table letter (compare `catalog/rows.ts`). */
const FACADE = 0x05;

const TABLES = {
  /** Nonces of registries: bucket (u48), serial (u48) → sender and nonce of each. */
  registryNonces: "n",
  /** The same for everybody else who signs. */
  otherNonces: "o",
  /** Buckets of either that were forgotten: first (u48), last (u48) → nothing (see `closed-buckets.ts`). */
  registryNoncesClosed: "p",
  otherNoncesClosed: "q",
  /** Idempotency keys (see `agents/`). */
  idempotency: "i",
  /** DID of an agent that its own key alone let in → nothing (see `agents/self-registered.ts`). */
  selfRegistered: "s",
} as const;

export type FacadeTable = keyof typeof TABLES;

export function facadeKey(table: FacadeTable, suffix: Uint8Array = new Uint8Array(0)): Uint8Array {
  return Buffer.concat([Buffer.of(FACADE), Buffer.from(TABLES[table]), suffix]);
}

export function facadeRange(table: FacadeTable): StoreRange {
  const from = facadeKey(table);
  const to = Buffer.from(from);
  to[1] = (to[1] as number) + 1;
  return { from, to };
}

/** What a load does with each row. */
export interface RowReader {
  readonly read: (key: Uint8Array, value: Uint8Array) => void;
  /** Its value has rotted: only the key is left of it. */
  readonly damaged: (key: Uint8Array) => void;
}

/**
 * Reads a whole table, also past rows that have rotted: one of them must not keep all others away.
 * @param chunkEntries rows that are held at a time
 * @throws StoreError when the store cannot be read
 */
export async function readTable(
  store: Store,
  table: FacadeTable,
  { read, damaged }: RowReader,
  chunkEntries: number = SCAN_CHUNK_ENTRIES,
): Promise<void> {
  const range = { ...facadeRange(table), chunkEntries };
  for (let from: Uint8Array | undefined = range.from; from !== undefined;) {
    const rest = { ...range, from };
    from = undefined;
    try {
      for await (const rows of store.scan(rest)) for (const [key, value] of rows) read(key, value);
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== "damaged" || error.key === undefined) throw error;
      damaged(error.key);
      from = Buffer.concat([error.key, Buffer.of(0)]);
    }
  }
}
