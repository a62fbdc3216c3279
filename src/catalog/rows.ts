import { StoreError, type Store, type StoreEntry, type StoreRange, type StoreReader } from "../ports/store.ts";

/**
 * Where the rows of catalogues stand in the store. Every key begins with a byte outside of ASCII text, so that libraries which
 * share the store under text keys never meet them: 0x01, the catalogue's number (u16), a table letter, the row's own key.
 */
const CATALOGUES = 0x01;
const HEADER_BYTES = 4;

/** Numbers of catalogues in one store: our own is 0, replicas count up. */
export const CATALOGUE_NUMBER_MAX = 65_535;
export const OWN_CATALOGUE = 0;

const TABLES = {
  /** One row: the head (see `head-row.ts`). */
  head: "h",
  /** K → exact record bytes. */
  record: "r",
  /** K → why the record is replicated but not admitted. */
  refused: "x",
  /** K → what stays of a deleted agent of ours (see `tombstone.ts`). */
  tombstone: "d",
  /** K → the revision that an agent of ours had reached whose tombstone is gone (see `reached.ts`). */
  reached: "v",
  /** Hash of a humanReadableId → K: only for agents whose DID does not already spell it. */
  name: "n",
  /** Sequence, K → nothing: K changed in that version. */
  change: "s",
  /** Map root, sequence → nothing: our own catalogue had that root in that version. */
  root: "m",
  /** Depth, index → sorted K ‖ V. */
  bucket: "t",
  /** Index → leaf of the log: commit bytes where we know them, else the leaf hash alone. */
  leaf: "l",
} as const;

export type Table = keyof typeof TABLES;

export function rowKey(catalogue: number, table: Table, ...parts: readonly Uint8Array[]): Uint8Array {
  let length = HEADER_BYTES;
  for (const part of parts) length += part.length;
  const key = Buffer.allocUnsafe(length);
  key[0] = CATALOGUES;
  key[1] = catalogue >>> 8;
  key[2] = catalogue & 0xff;
  key[3] = TABLES[table].charCodeAt(0);
  let at = HEADER_BYTES;
  for (const part of parts) {
    key.set(part, at);
    at += part.length;
  }
  return key;
}

/** The key's own part. */
export function rowSuffix(key: Uint8Array): Uint8Array {
  return key.subarray(HEADER_BYTES);
}

/** All rows of a table, or those whose own key lies in [from, to). */
export function tableRange(catalogue: number, table: Table, from?: Uint8Array, to?: Uint8Array): StoreRange {
  const start = rowKey(catalogue, table, ...(from === undefined ? [] : [from]));
  if (to !== undefined) return { from: start, to: rowKey(catalogue, table, to) };
  const end = Buffer.from(rowKey(catalogue, table));
  end[HEADER_BYTES - 1] = (end[HEADER_BYTES - 1] as number) + 1;
  return { from: start, to: end };
}

/** All rows of all catalogues. */
export const ALL_CATALOGUES: StoreRange = { from: Buffer.of(CATALOGUES), to: Buffer.of(CATALOGUES + 1) };

/** Whose record a row is, and its K; `undefined` for a row of another table. */
export function recordOfRow(row: Uint8Array): { readonly catalogue: number; readonly key: Uint8Array } | undefined {
  if (row[0] !== CATALOGUES || row[HEADER_BYTES - 1] !== TABLES.record.charCodeAt(0)) return undefined;
  return { catalogue: ((row[1] as number) << 8) | (row[2] as number), key: Uint8Array.from(rowSuffix(row)) };
}

/** All rows of a catalogue. */
export function catalogueRange(catalogue: number): StoreRange {
  const edge = (table: number): Uint8Array => {
    const key = Buffer.from(rowKey(catalogue, "head"));
    key[HEADER_BYTES - 1] = table;
    return key;
  };
  return { from: edge(0), to: edge(0xff) };
}

export function u48(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(6);
  bytes.writeUIntBE(value, 0, 6);
  return bytes;
}

export function readU48(bytes: Uint8Array): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readUIntBE(0, 6);
}

export function bucketKey(catalogue: number, depth: number, index: number): Uint8Array {
  const place = Buffer.allocUnsafe(5);
  place[0] = depth;
  place.writeUInt32BE(index, 1);
  return rowKey(catalogue, "bucket", place);
}

/** Rows deleted in one batch when a whole range goes. */
const DELETE_ROWS_MAX = 4_096;

/** Deletes a range in batches, damaged rows too. Not atomic: only for what nothing refers to any more. */
export async function deleteRange(store: Store, range: StoreRange): Promise<void> {
  const remove = (keys: readonly Uint8Array[]): Promise<void> =>
    store.batch(
      keys.map((key) => ({ type: "del", key })),
      { durable: false },
    );
  const damaged: Uint8Array[] = [];
  for await (const rows of scanIntact(store, { ...range, chunkEntries: DELETE_ROWS_MAX }, (key) => damaged.push(key))) {
    await remove(rows.map(([key]) => key));
  }
  await remove(damaged);
}

/** Scans on behind rows that have rotted, whose keys are given to `damaged`. A limit counts anew behind each. @throws StoreError */
export async function* scanIntact(
  store: StoreReader,
  range: StoreRange,
  damaged: (key: Uint8Array) => void,
): AsyncGenerator<StoreEntry[]> {
  for (let from: Uint8Array | undefined = range.from; from !== undefined;) {
    const rest = { ...range, from };
    from = undefined;
    try {
      yield* store.scan(rest);
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== "damaged" || error.key === undefined) throw error;
      damaged(error.key);
      from = Buffer.concat([error.key, Buffer.of(0)]);
    }
  }
}

/** The rows of these keys; a damaged one keeps none of the others away. @throws StoreError */
export async function readIntact(
  store: StoreReader,
  keys: readonly Uint8Array[],
): Promise<(Uint8Array | "damaged" | undefined)[]> {
  const isDamage = (error: unknown): boolean => error instanceof StoreError && error.code === "damaged";
  try {
    return await store.getMany(keys);
  } catch (error) {
    if (!isDamage(error)) throw error;
  }
  const rows: (Uint8Array | "damaged" | undefined)[] = [];
  for (const key of keys) {
    const read = store.get(key).catch((error: unknown) => {
      if (!isDamage(error)) throw error;
      return "damaged" as const;
    });
    rows.push(await read);
  }
  return rows;
}
