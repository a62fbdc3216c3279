import { decodeCommit } from "../../protocols/checkpoint/commit.ts";
import { HASH_BYTES } from "../../protocols/lib/hash.ts";
import type { Outcome } from "../actors/actor.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Store, StoreOperation, StoreReader } from "../ports/store.ts";
import type { Catalogue } from "./catalogue.ts";
import { countReached, deleteReached, findOldTombstones, REACHED_ROWS_MAX, retireTombstones } from "./reached.ts";
import { deleteRange, readU48, rowKey, rowSuffix, tableRange, u48 } from "./rows.ts";
import type { RunTask } from "./tasks.ts";

/** The change log and tombstones reach back this far; a follower with an older base compares subtrees instead. Revisions never restart. */
export const CHANGES_KEPT_MS: number = 30 * 24 * 3_600_000;
/** Versions whose age is looked at in one pass. */
const PRUNE_VERSIONS_MAX = 10_000;

export interface PruningParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** The outcome comes in the actor's turn, and while no write is under way. */
  readonly task: RunTask;
  /** A task for the time of which no commit and no other write begins; the outcome comes in the actor's turn. */
  readonly exclusively: RunTask;
  /** Revisions of deleted agents that are kept one by one; REACHED_ROWS_MAX by default. */
  readonly reachedRowsMax?: number;
}

interface Pass {
  readonly catalogue: Catalogue;
  readonly oldestMs: number;
  /** Whether the catalogue is still the actor's. */
  readonly isCurrent: () => boolean;
}

/**
 * Takes old versions out of the change log, and tombstones with them, of which the revision stays (`reached.ts`). A new floor is
 * durable before the first row under it goes: otherwise a crash between the two would leave rows with holes that claim to be whole.
 */
export class Pruning {
  readonly #parts: PruningParts;
  #busy = false;
  /** Rows of reached revisions, or more than there are; unknown until they were counted. */
  #reachedRows: number | undefined;

  constructor(parts: PruningParts) {
    this.#parts = parts;
  }

  /** One pass, unless one is under way. */
  run(catalogue: Catalogue, isCurrent: () => boolean): void {
    if (this.#busy) return;
    this.#busy = true;
    const { store, clock, task } = this.#parts;
    const pass = { catalogue, isCurrent, oldestMs: clock.now() - CHANGES_KEPT_MS };
    task(
      () => findOld(store, catalogue, pass.oldestMs),
      (outcome) => {
        if (outcome.ok && outcome.value !== undefined && isCurrent()) this.#raiseFloor(pass, outcome.value);
        else this.#end(outcome);
      },
    );
  }

  #raiseFloor(pass: Pass, old: OldVersions): void {
    const { store, task } = this.#parts;
    const floor = Math.max(pass.catalogue.floor, old.floor);
    this.#writeHead(pass.catalogue, { floor }, () =>
      task(
        () => prune(store, pass.catalogue.number, old),
        (outcome) => (outcome.ok ? this.#retire(pass, undefined) : this.#end(outcome)),
      ),
    );
  }

  /** Some tombstones after others, so that commits get their turn in between. */
  #retire(pass: Pass, from: Uint8Array | undefined): void {
    const { store, task, exclusively } = this.#parts;
    const { catalogue, oldestMs } = pass;
    task(
      () => findOldTombstones(store, catalogue.number, oldestMs, from),
      (found) => {
        if (!found.ok) return this.#end(found);
        const { keys, next } = found.value;
        if (keys.length === 0) return this.#limit(pass);
        const { number, revisionFloor, sequence } = catalogue;
        catalogue.mayHave.reached = true;
        exclusively(
          () => retireTombstones(store, { number, revisionFloor, sequence }, keys),
          (retired) => {
            if (!retired.ok) return this.#end(retired);
            if (this.#reachedRows !== undefined) this.#reachedRows += retired.value;
            return next === undefined ? this.#limit(pass) : this.#retire(pass, next);
          },
        );
      },
    );
  }

  #limit({ catalogue, isCurrent }: Pass): void {
    const { store, task, reachedRowsMax = REACHED_ROWS_MAX } = this.#parts;
    if (this.#reachedRows !== undefined && this.#reachedRows <= reachedRowsMax) return this.#end();
    const { number } = catalogue;
    task(
      () => countReached(store, number, reachedRowsMax),
      (counted) => {
        if (!counted.ok || !isCurrent()) return this.#end(counted);
        const { count, floor } = counted.value;
        this.#reachedRows = count;
        if (floor === undefined) return this.#end();
        const revisionFloor = Math.max(catalogue.revisionFloor, floor);
        this.#writeHead(catalogue, { revisionFloor }, () => {
          this.#reachedRows = undefined;
          task(
            () => deleteReached(store, number, revisionFloor),
            (outcome) => this.#end(outcome),
          );
        });
      },
    );
  }

  /** Sets these in the catalogue and its head row, or neither. */
  #writeHead(catalogue: Catalogue, floors: Partial<Pick<Catalogue, "floor" | "revisionFloor">>, then: () => void): void {
    const { store, exclusively } = this.#parts;
    const { floor, revisionFloor } = catalogue;
    Object.assign(catalogue, floors);
    const head = catalogue.headOperation();
    exclusively(
      () => store.batch([head], { durable: true }),
      (written) => {
        if (written.ok) return then();
        Object.assign(catalogue, { floor, revisionFloor });
        return this.#end(written);
      },
    );
  }

  #end(outcome?: Outcome<unknown>): void {
    this.#busy = false;
    if (outcome?.ok === false) this.#parts.log.warn("the change log could not be pruned", { error: outcome.error });
  }
}

interface OldVersions {
  /** The sequence up to which nothing is kept. */
  readonly floor: number;
  /** Deletes their root rows. */
  readonly roots: readonly StoreOperation[];
  /** The sequence at which the epoch began, where the floor lay before it: of the epoch before no leaves are left that would name its roots. */
  readonly epochBefore: number | undefined;
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
  return { floor: reached, roots, epochBefore: floor < sequenceBase ? sequenceBase : undefined };
}

/** Removes the change and root rows of old versions: nothing of it is what a newer version writes. */
async function prune(store: Store, number: number, { floor, roots, epochBefore }: OldVersions): Promise<void> {
  await deleteRange(store, tableRange(number, "change", u48(0), u48(floor + 1)));
  await store.batch(roots, { durable: false });
  if (epochBefore !== undefined) await pruneRoots(store, number, epochBefore);
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
