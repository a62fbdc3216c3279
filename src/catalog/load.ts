import { decodeCommit } from "../../protocols/checkpoint/commit.ts";
import { verifyHead } from "../../protocols/checkpoint/head.ts";
import { commitLeafHash } from "../../protocols/checkpoint/log.ts";
import { equal, fromUtf8, hex } from "../../protocols/lib/bytes.ts";
import { HASH_BYTES, valueOf } from "../../protocols/lib/hash.ts";
import { StoreError, type StoreReader } from "../ports/store.ts";
import { Catalogue } from "./catalogue.ts";
import { decodeHeadRow, type HeadRow } from "./head-row.ts";
import { rowKey, rowSuffix, scanIntact, tableRange } from "./rows.ts";
import { MapHeap } from "./tree/map-heap.ts";

/** The rows do not add up to what was signed. What to do about it is the owner's decision: repair from peers, or refuse. */
export class CatalogueDamaged extends Error {
  override readonly name = "CatalogueDamaged";
}

/**
 * Reads a catalogue from its rows and checks all of it against its head: the map's root, the number of agents, the log's
 * root, the signature. A map whose stored buckets do not fit is built again from the records.
 * @throws CatalogueDamaged, StoreError
 */
export async function loadCatalogue(store: StoreReader, number: number, home: string): Promise<Catalogue> {
  const bytes = await store.get(rowKey(number, "head"));
  if (bytes === undefined) {
    const fresh = new Catalogue(number, home);
    await lookForRareRows(store, fresh);
    return fresh;
  }
  const row = decodeHeadRow(bytes);
  if (row.home !== home) throw new CatalogueDamaged(`the rows are ${row.home}'s, expected ${home}'s`);
  const fromBuckets = await loadFrom(store, number, row, fillFromBuckets);
  const catalogue = fits(fromBuckets) ? fromBuckets : await loadFrom(store, number, row, fillFromRecords);
  if (!fits(catalogue)) {
    const signed = decodeCommit(row.head?.commit ?? new Uint8Array(0));
    throw new CatalogueDamaged(
      `the stored records do not give the signed map root ${signed.roots.map} of ${signed.agents} agents`,
    );
  }
  await loadLog(store, catalogue);
  await loadRefused(store, catalogue);
  await lookForRareRows(store, catalogue);
  catalogue.recent.reset(catalogue.sequence);
  return catalogue;
}

type Fill = (store: StoreReader, catalogue: Catalogue, row: HeadRow) => Promise<boolean>;

async function loadFrom(store: StoreReader, number: number, row: HeadRow, fill: Fill): Promise<Catalogue | undefined> {
  const catalogue = new Catalogue(number, row.home, row.depth);
  const { epoch, sequenceBase, floor, revisionFloor, state, syncedAtMs, unchecked, previous } = row;
  Object.assign(catalogue, { epoch, sequenceBase, floor, revisionFloor, state, syncedAtMs, unchecked, previous });
  if (row.head !== undefined) catalogue.setHead(row.head, verifyHead(row.head));
  if (!(await fill(store, catalogue, row))) return undefined;
  catalogue.map.update();
  return catalogue;
}

/** Between versions there is no signed root: the next sync compares the map with its home's, subtree by subtree. */
function fits(catalogue: Catalogue | undefined): catalogue is Catalogue {
  if (catalogue === undefined) return false;
  if (catalogue.state !== "complete") return true;
  const commit = catalogue.head?.commit;
  if (commit === undefined) return true;
  return hex(catalogue.map.root()) === commit.roots.map && catalogue.map.size === commit.agents;
}

async function fillFromBuckets(store: StoreReader, catalogue: Catalogue, row: HeadRow): Promise<boolean> {
  try {
    for await (const rows of store.scan(tableRange(catalogue.number, "bucket"))) {
      for (const [key, leaves] of rows) {
        const place = Buffer.from(rowSuffix(key));
        if (place[0] !== row.depth || !catalogue.map.loadBucket(place.readUInt32BE(1), leaves)) return false;
      }
    }
  } catch (error) {
    if (error instanceof StoreError && error.code === "damaged") return false;
    throw error;
  }
  catalogue.map.update();
  if (catalogue.map.depth !== row.depth) return false;
  catalogue.markLoaded();
  return true;
}

async function fillFromRecords(store: StoreReader, catalogue: Catalogue, row: HeadRow): Promise<boolean> {
  catalogue.markRebuilt(row.depth);
  if (catalogue.head !== undefined) catalogue.map.reserve(Math.min(catalogue.head.commit.agents, MapHeap.RESERVE_MAX));
  for await (const rows of store.scan(tableRange(catalogue.number, "record"))) {
    for (const [key, record] of rows) catalogue.map.set(Uint8Array.from(rowSuffix(key)), valueOf(record));
  }
  return true;
}

async function loadLog(store: StoreReader, catalogue: Catalogue): Promise<void> {
  const size = catalogue.head?.checkpoint.size ?? 0;
  for await (const rows of store.scan(tableRange(catalogue.number, "leaf"))) {
    // Leaves beyond the head belong to a version that was never completed.
    for (const [, leaf] of rows) if (catalogue.log.size < size) catalogue.log.append(leafHashOf(leaf));
  }
  const { checkpoint } = catalogue.head ?? {};
  if (checkpoint !== undefined && (catalogue.log.size !== size || !equal(catalogue.log.root(), checkpoint.root))) {
    throw new CatalogueDamaged(`the stored log of ${catalogue.log.size} leaves is not the one that was signed with ${size}`);
  }
}

/** A leaf row holds commit bytes (JSON, so it begins with a brace and is longer than a hash) or the leaf hash alone. */
export function leafHashOf(leaf: Uint8Array): Uint8Array {
  return leaf.length === HASH_BYTES ? leaf : commitLeafHash(leaf);
}

async function lookForRareRows(store: StoreReader, { number, mayHave }: Catalogue): Promise<void> {
  for (const [kind, table] of [
    ["names", "name"],
    ["tombstones", "tombstone"],
    ["reached", "reached"],
  ] as const) {
    mayHave[kind] = false;
    const found = (): void => void (mayHave[kind] = true);
    for await (const rows of scanIntact(store, { ...tableRange(number, table), limit: 1 }, found)) if (rows.length > 0) found();
  }
}

async function loadRefused(store: StoreReader, catalogue: Catalogue): Promise<void> {
  for await (const rows of store.scan(tableRange(catalogue.number, "refused"))) {
    for (const [key, reason] of rows) catalogue.refused.set(hex(rowSuffix(key)), fromUtf8(reason));
  }
}
