import type { Store, StoreOperation, StoreReader } from "../ports/store.ts";
import { readIntact, readU48, rowKey, rowSuffix, scanIntact, tableRange, u48 } from "./rows.ts";
import { tombstoneRevision, tombstoneTime } from "./tombstone.ts";

/**
 * What stays of agents of ours that were deleted longer ago than the change log reaches. A revision restarts for no DID: else a
 * record that an agent signed once could be handed in again by anybody, and its home would sign two records of one revision. So
 * each has a row, K → the revision that it had reached. Where these become too many, those of the lowest revisions go together,
 * and a floor rises to them: a DID without rows begins above it. It holds across epochs, which agents do not sign.
 */

/** Rows at the most; about 50 bytes each. */
export const REACHED_ROWS_MAX = 1_000_000;
/** Tombstones that become such rows in one batch, while no commit is under way. */
export const RETIRED_ROWS_MAX = 2_048;
/** Of the rows there may be, those left at the most where there were too many: the next time is not soon. */
const SHARE_LEFT = 0.75;

export function reachedRevision(row: Uint8Array): number {
  return readU48(row);
}

export interface OldTombstones {
  /** K of each. */
  readonly keys: readonly Uint8Array[];
  /** K from which to look on; `undefined` at the end. */
  readonly next: Uint8Array | undefined;
}

/** Tombstones from before `oldestMs`, about as many as one batch takes. One that has rotted names nobody any more: it counts as old. */
export async function findOldTombstones(
  store: StoreReader,
  number: number,
  oldestMs: number,
  from: Uint8Array | undefined,
): Promise<OldTombstones> {
  const keys: Uint8Array[] = [];
  const add = (row: Uint8Array): void => void keys.push(Uint8Array.from(rowSuffix(row)));
  for await (const rows of scanIntact(store, tableRange(number, "tombstone", from), add)) {
    for (const [row, value] of rows) if (tombstoneTime(value) < oldestMs) add(row);
    const last = rows.at(-1);
    if (keys.length < RETIRED_ROWS_MAX || last === undefined) continue;
    return { keys, next: Buffer.concat([rowSuffix(last[0]), Buffer.of(0)]) };
  }
  return { keys, next: undefined };
}

export interface Bounds {
  readonly number: number;
  /** No agent without rows ever reached a higher revision; no agent at all a higher one than the number of versions. */
  readonly revisionFloor: number;
  readonly sequence: number;
}

/**
 * Turns these tombstones into rows of revisions, in one batch and while nobody else writes: a commit in between may have put
 * another tombstone in the place of one. @returns how many rows were written
 */
export async function retireTombstones(
  store: Store,
  { number, revisionFloor, sequence }: Bounds,
  keys: readonly Uint8Array[],
): Promise<number> {
  const tombstones = await readIntact(
    store,
    keys.map((key) => rowKey(number, "tombstone", key)),
  );
  const operations: StoreOperation[] = [];
  let written = 0;
  keys.forEach((key, i) => {
    const tombstone = tombstones[i];
    if (tombstone === undefined) return;
    operations.push({ type: "del", key: rowKey(number, "tombstone", key) });
    const revision = tombstone === "damaged" ? sequence : tombstoneRevision(tombstone);
    if (revision <= revisionFloor) return;
    operations.push({ type: "put", key: rowKey(number, "reached", key), value: u48(revision) });
    written += 1;
  });
  await store.batch(operations, { durable: false });
  return written;
}

export interface ReachedRows {
  readonly count: number;
  /** Where there are too many: the floor under which enough of them lie. */
  readonly floor: number | undefined;
}

/** Counts the rows but those that have rotted, which stay: their revision can only be bounded (see `group-commit.ts`). */
export async function countReached(store: StoreReader, number: number, rowsMax: number): Promise<ReachedRows> {
  const revisions: number[] = [];
  for await (const rows of scanIntact(store, tableRange(number, "reached"), () => undefined)) {
    for (const [, value] of rows) revisions.push(reachedRevision(value));
  }
  if (revisions.length <= rowsMax) return { count: revisions.length, floor: undefined };
  const ascending = Float64Array.from(revisions).sort();
  return { count: revisions.length, floor: ascending[revisions.length - Math.floor(rowsMax * SHARE_LEFT) - 1] };
}

/** Deletes the rows that say no more than the floor. */
export async function deleteReached(store: Store, number: number, revisionFloor: number): Promise<void> {
  for await (const rows of scanIntact(store, tableRange(number, "reached"), () => undefined)) {
    const low = rows.filter(([, value]) => reachedRevision(value) <= revisionFloor);
    await store.batch(
      low.map(([key]) => ({ type: "del", key })),
      { durable: false },
    );
  }
}
