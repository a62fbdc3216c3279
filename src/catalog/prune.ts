import { decodeCommit } from "../../protocols/checkpoint/commit.ts";
import { HASH_BYTES } from "../../protocols/lib/hash.ts";
import type { Outcome } from "../actors/actor.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Store, StoreOperation, StoreReader } from "../ports/store.ts";
import type { Catalogue } from "./catalogue.ts";
import { deleteRange, readU48, rowKey, rowSuffix, tableRange, u48 } from "./rows.ts";
import type { RunTask } from "./tasks.ts";
import { tombstoneTime } from "./tombstone.ts";

/** The change log and tombstones reach back this far; a follower with an older base compares subtrees instead. */
export const CHANGES_KEPT_MS: number = 30 * 24 * 3_600_000;
/** Versions whose age is looked at in one pass. */
const PRUNE_VERSIONS_MAX = 10_000;

export interface PruningParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** The outcome comes in the actor's turn, and while no write is under way. */
  readonly task: RunTask;
  /** Writes rows durably, while no commit is under way. */
  readonly write: (rows: readonly StoreOperation[], then: (outcome: Outcome<void>) => void) => void;
}

/**
 * Takes old versions out of the change log. The new floor is durable before the first row goes: otherwise a crash between the
 * two would leave a log with holes that still claims to be whole.
 */
export class Pruning {
  readonly #parts: PruningParts;
  #busy = false;

  constructor(parts: PruningParts) {
    this.#parts = parts;
  }

  /** One pass, unless one is under way. `isCurrent` says whether the catalogue is still the actor's. */
  run(catalogue: Catalogue, isCurrent: () => boolean): void {
    if (this.#busy) return;
    this.#busy = true;
    const { store, clock, task } = this.#parts;
    const oldestMs = clock.now() - CHANGES_KEPT_MS;
    task(
      () => findOld(store, catalogue, oldestMs),
      (outcome) => {
        if (outcome.ok && outcome.value !== undefined && isCurrent()) this.#raiseFloor(catalogue, outcome.value);
        else this.#end(outcome);
      },
    );
  }

  #raiseFloor(catalogue: Catalogue, old: OldVersions): void {
    const { store, task, write } = this.#parts;
    const before = catalogue.floor;
    catalogue.floor = Math.max(before, old.floor);
    write([catalogue.headOperation()], (written) => {
      if (written.ok)
        return task(
          () => prune(store, catalogue.number, old),
          (outcome) => this.#end(outcome),
        );
      catalogue.floor = before;
      return this.#end(written);
    });
  }

  #end(outcome: Outcome<unknown>): void {
    this.#busy = false;
    if (!outcome.ok) this.#parts.log.warn("the change log could not be pruned", { error: outcome.error });
  }
}

interface OldVersions {
  /** The sequence up to which nothing is kept. */
  readonly floor: number;
  /** Deletes their root rows. */
  readonly roots: readonly StoreOperation[];
  /** The sequence at which the epoch began, where the floor lay before it: of the epoch before no leaves are left that would name its roots. */
  readonly epochBefore: number | undefined;
  readonly oldestMs: number;
}

/** The versions that are too old by now; `undefined` when there are none. */
async function findOld(store: StoreReader, catalogue: Catalogue, oldestMs: number): Promise<OldVersions | undefined> {
  const { number, sequenceBase, floor } = catalogue;
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
  return { floor: reached, roots, epochBefore: floor < sequenceBase ? sequenceBase : undefined, oldestMs };
}

/** Removes the change and root rows of old versions, and old tombstones: nothing of it is what a newer version writes. */
async function prune(store: Store, number: number, { floor, roots, epochBefore, oldestMs }: OldVersions): Promise<void> {
  await deleteRange(store, tableRange(number, "change", u48(0), u48(floor + 1)));
  await store.batch(roots, { durable: false });
  if (epochBefore !== undefined) await pruneRoots(store, number, epochBefore);
  for await (const rows of store.scan(tableRange(number, "tombstone"))) {
    const old = rows.filter(([, value]) => tombstoneTime(value) < oldestMs);
    await store.batch(
      old.map(([key]) => ({ type: "del", key })),
      { durable: false },
    );
  }
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
