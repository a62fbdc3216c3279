import { decodeCommit, type Commit } from "../../protocols/checkpoint/commit.ts";
import { HASH_BYTES } from "../../protocols/lib/hash.ts";
import type { PageRequest } from "../../protocols/http/catalog-page.ts";
import type { StoreReader } from "../ports/store.ts";
import { readU48, rowKey, rowSuffix, tableRange, u48 } from "./rows.ts";

/** Where the versions of a catalogue stand in the store. */
export interface Versions {
  readonly number: number;
  /** Sequence number of the last version of the epoch before. */
  readonly sequenceBase: number;
  /** Versions of this epoch. */
  readonly logSize: number;
}

const SEQUENCE_MAX = 2 ** 48 - 1;

/**
 * The sequence number of the version that an asker names; 0 is the beginning. `undefined` when we never had it, or do not know
 * it any more.
 */
export async function findBase(store: StoreReader, versions: Versions, request: PageRequest): Promise<number | undefined> {
  if (request.baseRoot !== undefined) return sequenceOfRoot(store, versions.number, request.baseRoot);
  if (request.lastSyncMs !== undefined) return sequenceAt(store, versions, request.lastSyncMs);
  return 0;
}

/** The commit of a version of this epoch by its sequence number. */
export async function commitOf(store: StoreReader, versions: Versions, sequence: number): Promise<Commit | undefined> {
  const index = sequence - versions.sequenceBase - 1;
  if (index < 0 || index >= versions.logSize) return undefined;
  const leaf = await store.get(rowKey(versions.number, "leaf", u48(index)));
  return leaf === undefined || leaf.length === HASH_BYTES ? undefined : decodeCommit(leaf);
}

/** The newest version with this map root: what changed since an older one that was the same is nothing. */
async function sequenceOfRoot(store: StoreReader, number: number, root: Uint8Array): Promise<number | undefined> {
  const [from, to] = [0, SEQUENCE_MAX].map((sequence) => Buffer.concat([root, u48(sequence)]));
  for await (const rows of store.scan({ ...tableRange(number, "root", from, to), reverse: true, limit: 1 })) {
    for (const [key] of rows) return readU48(rowSuffix(key).subarray(HASH_BYTES));
  }
  return undefined;
}

/** The last version that was committed at or before `timeMs`; commit times never go back. */
async function sequenceAt(store: StoreReader, versions: Versions, timeMs: number): Promise<number | undefined> {
  let [low, high] = [0, versions.logSize];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const commit = await commitOf(store, versions, versions.sequenceBase + middle + 1);
    if (commit === undefined) return undefined;
    if (commit.time <= timeMs) low = middle + 1;
    else high = middle;
  }
  // Before the first version of the first epoch there was nothing; of an earlier epoch no times are kept.
  if (low === 0 && versions.sequenceBase > 0) return undefined;
  return versions.sequenceBase + low;
}
