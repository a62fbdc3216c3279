import { decodeCommit } from "../../protocols/checkpoint/commit.ts";
import { HASH_BYTES } from "../../protocols/lib/hash.ts";
import type { Store } from "../ports/store.ts";
import type { Catalogue } from "./catalogue.ts";
import { deleteRange, readU48, tableRange, u48 } from "./rows.ts";

/** The change log and tombstones reach back this far; a follower with an older base compares subtrees instead. */
export const CHANGES_KEPT_MS: number = 30 * 24 * 3_600_000;
/** Versions whose age is looked at in one pass. */
const PRUNE_VERSIONS_MAX = 10_000;

/**
 * Removes the change rows of versions that are too old, and old tombstones. Returns the new floor, if it moved; call it
 * between commits or beside them, as it touches nothing that a newer version writes.
 */
export async function prune(store: Store, catalogue: Catalogue, nowMs: number): Promise<number | undefined> {
  const { number, sequenceBase, floor } = catalogue;
  const oldestMs = nowMs - CHANGES_KEPT_MS;
  let reached = Math.max(floor, sequenceBase);
  const from = u48(reached - sequenceBase);
  scan: for await (const rows of store.scan({ ...tableRange(number, "leaf", from), limit: PRUNE_VERSIONS_MAX })) {
    for (const [, leaf] of rows) {
      if (leaf.length !== HASH_BYTES && decodeCommit(leaf).time > oldestMs) break scan;
      reached += 1;
    }
  }
  if (reached <= floor || reached >= catalogue.sequence) return undefined;
  await deleteRange(store, tableRange(number, "change", u48(0), u48(reached + 1)));
  for await (const rows of store.scan(tableRange(number, "tombstone"))) {
    const old = rows.filter(([, value]) => readU48(value.subarray(6)) < oldestMs);
    await store.batch(
      old.map(([key]) => ({ type: "del", key })),
      { durable: false },
    );
  }
  return reached;
}
