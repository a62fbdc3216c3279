import { decodeCommit } from "../../protocols/checkpoint/commit.ts";
import { HASH_BYTES } from "../../protocols/lib/hash.ts";
import type { Store, StoreOperation } from "../ports/store.ts";
import type { Catalogue } from "./catalogue.ts";
import { deleteRange, readU48, rowKey, rowSuffix, tableRange, u48 } from "./rows.ts";
import { tombstoneTime } from "./tombstone.ts";

/** The change log and tombstones reach back this far; a follower with an older base compares subtrees instead. */
export const CHANGES_KEPT_MS: number = 30 * 24 * 3_600_000;
/** Versions whose age is looked at in one pass. */
const PRUNE_VERSIONS_MAX = 10_000;

/**
 * Removes the change and root rows of versions that are too old, and old tombstones. Returns the new floor, if it moved; call it
 * between commits or beside them, as it touches nothing that a newer version writes.
 */
export async function prune(store: Store, catalogue: Catalogue, nowMs: number): Promise<number | undefined> {
  const { number, sequenceBase, floor } = catalogue;
  const oldestMs = nowMs - CHANGES_KEPT_MS;
  let reached = Math.max(floor, sequenceBase);
  const from = u48(reached - sequenceBase);
  const roots: StoreOperation[] = [];
  scan: for await (const rows of store.scan({ ...tableRange(number, "leaf", from), limit: PRUNE_VERSIONS_MAX })) {
    for (const [, leaf] of rows) {
      const commit = leaf.length === HASH_BYTES ? undefined : decodeCommit(leaf);
      if (commit !== undefined && commit.time > oldestMs) break scan;
      reached += 1;
      const root = commit && rowKey(number, "root", Buffer.from(commit.roots.map, "hex"), u48(reached));
      if (root !== undefined) roots.push({ type: "del", key: root });
    }
  }
  if (reached <= floor || reached >= catalogue.sequence) return undefined;
  await deleteRange(store, tableRange(number, "change", u48(0), u48(reached + 1)));
  await store.batch(roots, { durable: false });
  // Of the epoch before no leaves are left that would name its roots.
  if (floor < sequenceBase) await pruneRoots(store, number, sequenceBase);
  for await (const rows of store.scan(tableRange(number, "tombstone"))) {
    const old = rows.filter(([, value]) => tombstoneTime(value) < oldestMs);
    await store.batch(
      old.map(([key]) => ({ type: "del", key })),
      { durable: false },
    );
  }
  return reached;
}

async function pruneRoots(store: Store, number: number, reached: number): Promise<void> {
  for await (const rows of store.scan(tableRange(number, "root"))) {
    const old = rows.filter(([key]) => readU48(rowSuffix(key).subarray(HASH_BYTES)) <= reached);
    await store.batch(
      old.map(([key]) => ({ type: "del", key })),
      { durable: false },
    );
  }
}
