import type { SignedHead } from "../../protocols/checkpoint/head.ts";
import { EMPTY } from "../../protocols/checkpoint/map.ts";
import { openCheckpoint, type Checkpoint } from "../../protocols/checkpoint/note.ts";
import { equal, hex } from "../../protocols/lib/bytes.ts";
import { decodeRecord } from "../../protocols/record/codec.ts";
import { hlcTime } from "../../protocols/record/hlc.ts";
import type { Actor, Context, Outcome, Reply } from "../actors/actor.ts";
import { Stash } from "../actors/stash.ts";
import { NodeError, type CatalogStatus, type MutationResult } from "../api.ts";
import type { StoreOperation } from "../ports/store.ts";
import type { Catalogue, Change } from "./catalogue.ts";
import { collect, decide, lookUp, type Queued } from "./group-commit.ts";
import { loadCatalogue } from "./load.ts";
import type { CatalogMessage } from "./messages.ts";
import { CatalogueQueries } from "./queries.ts";
import { Pruning } from "./prune.ts";
import type { CatalogOptions } from "./options.ts";
import { Repairs } from "./repairs.ts";
import { OWN_CATALOGUE } from "./rows.ts";
import { published, signVersion, type SignedVersion } from "./sign-version.ts";
import type { RunTask } from "./tasks.ts";

/** After a commit the next one waits this long, so that a busy catalogue signs at most 4 versions a second. */
export const COMMIT_INTERVAL_MS = 250;
/** Without changes a commit is made this often, so that staleness shows. */
export const HEARTBEAT_MS = 60_000;
/** Mutations decided in one commit. */
export const COMMIT_MUTATIONS_MAX = 16_384;
/** Mutations that wait; more are refused with `overloaded`. */
export const QUEUED_MUTATIONS_MAX = 131_072;
/** Messages that wait while the catalogue loads or writes. */
export const STASH_MESSAGES_MAX = 4_096;

/** A new epoch lies 1 to this far above the last one, so that two copies of one directory that both begin one do not meet in it. */
export const EPOCH_JUMP_MAX = 65_536;

const UNSURE = "waiting for peers to show our newest version: the data directory, or its key, was copied or restored";

/** Our own catalogue: the only writer. Mutations are collected into commits, each one atomic batch, signed, then published. */
export class CatalogActor implements Actor<CatalogMessage> {
  readonly #options: CatalogOptions;
  readonly #context: Context<CatalogMessage>;
  #catalogue: Catalogue | undefined;
  #queries: CatalogueQueries | undefined;
  #queue: Queued[] = [];
  readonly #stash = new Stash<CatalogMessage>("catalog", STASH_MESSAGES_MAX);
  #writing = false;
  #unsure: boolean;
  /** Whether a version was signed since the actor began. */
  #hasSigned = false;
  /** While unsure: the newest of our own checkpoints that peers have shown. */
  #shown: Checkpoint | undefined;
  #paused: string | null = null;
  #draining: Reply<void>[] | undefined;
  #hlc: string | undefined;
  #committedAtMs = Number.NEGATIVE_INFINITY;
  #commitTimer = false;
  readonly #repairs: Repairs;
  readonly #pruning: Pruning;

  constructor(options: CatalogOptions, context: Context<CatalogMessage>) {
    this.#options = options;
    this.#context = context;
    this.#unsure = options.unsure;
    const task: RunTask = (run, then) => this.#task(run, (outcome) => this.#whenIdle(() => then(outcome)));
    const parts = { ...options, task, exclusively: this.#exclusively.bind(this) };
    this.#pruning = new Pruning(parts);
    const later = (delayMs: number): void => void context.after(delayMs, { type: "tick", what: "repair" });
    this.#repairs = new Repairs({ ...parts, later });
    context.after(HEARTBEAT_MS, { type: "tick", what: "heartbeat" });
    this.#load();
  }

  #load(): void {
    this.#task(
      () => loadCatalogue(this.#options.store, OWN_CATALOGUE, this.#options.did),
      (outcome) => this.#loaded(outcome),
    );
  }

  receive(message: CatalogMessage): void {
    if (message.type === "step") return message.run(message.outcome);
    if (this.#catalogue === undefined || this.#queries === undefined) return this.#stash.put(message);
    switch (message.type) {
      case "mutate":
        return this.#mutate(message.mutations, message.reply);
      case "status":
        return message.reply.resolve(this.#status(this.#catalogue));
      case "own_head":
        return this.#writing ? this.#stash.put(message) : this.#ownHead(this.#catalogue, message.head);
      case "head_settled":
        if (this.#writing) return this.#stash.put(message);
        return this.#unsure ? this.#decide(this.#catalogue, message.allHeard) : undefined;
      case "damaged":
        return void this.#repairs.damaged(this.#catalogue, message.key);
      case "drain":
        (this.#draining ??= []).push(message.reply);
        return this.#advance();
      case "tick":
        return this.#tick(message.what);
      default:
        return this.#writing ? this.#stash.put(message) : this.#queries.answer(message);
    }
  }

  #loaded(outcome: Outcome<Catalogue>): void {
    if (!outcome.ok) throw outcome.error;
    const catalogue = outcome.value;
    this.#catalogue = catalogue;
    // Answers are made of map and rows together: not while a write is under way.
    const task: RunTask = (run, then) =>
      this.#task(run, (result) => (this.#writing ? this.#stash.put(this.#step(then, result)) : then(result)));
    const { store, log } = this.#options;
    this.#queries = new CatalogueQueries(catalogue, store, task, {
      // What we wrote was checked before; our own clock may have gone back since.
      read: decodeRecord,
      damaged: (key) => this.#repairs.damaged(catalogue, key),
    });
    if (catalogue.head !== undefined) {
      this.#hlc = catalogue.head.commit.time.toString(16).padStart(12, "0") + "ffff";
      this.#options.publish(published(catalogue, catalogue.head.signed));
    }
    if (this.#unsure) log.warn(UNSURE);
    // A copied directory in which nothing is signed yet may be older than the first version: it waits like any other.
    if (catalogue.head === undefined && !this.#unsure) this.#begin(catalogue);
    this.#stash.release((message) => this.receive(message));
  }

  #mutate(mutations: Extract<CatalogMessage, { type: "mutate" }>["mutations"], reply: Reply<MutationResult[]>): void {
    if (this.#draining !== undefined) return reply.reject(new NodeError("stopped", "the registry is stopping"));
    if (this.#paused !== null) return reply.reject(new NodeError("paused", this.#paused));
    if (this.#queue.length + mutations.length > QUEUED_MUTATIONS_MAX) {
      return reply.reject(new NodeError("overloaded", `more than ${QUEUED_MUTATIONS_MAX} changes wait already: try again later`));
    }
    if (mutations.length === 0) return reply.resolve([]);
    const results = new Array<MutationResult>(mutations.length);
    let open = mutations.length;
    mutations.forEach((mutation, i) => {
      const settle = (result: MutationResult): void => {
        results[i] = result;
        open -= 1;
        if (open === 0) reply.resolve(results);
      };
      this.#queue.push({ mutation, settle });
    });
    this.#advance();
  }

  #tick(what: "commit" | "heartbeat" | "repair"): void {
    const catalogue = this.#catalogue as Catalogue;
    if (what === "repair") return this.#draining === undefined ? this.#repairs.next(catalogue) : undefined;
    if (what === "commit") {
      this.#commitTimer = false;
      return this.#advance();
    }
    // From the last commit, not from the last tick: that commit ended a moment after its tick, and one in two would be too early.
    const dueMs = this.#committedAtMs + HEARTBEAT_MS - this.#options.clock.monotonic();
    const isQuiet = dueMs <= 0;
    this.#context.after(isQuiet ? HEARTBEAT_MS : Math.ceil(dueMs), { type: "tick", what: "heartbeat" });
    if (this.#raiseFailed && !this.#writing) return this.#decide(catalogue, false);
    if (isQuiet && this.#maySign()) this.#begin(catalogue);
    this.#pruning.run(catalogue, () => this.#catalogue === catalogue);
  }

  /** Starts what can start: the next commit, or the end of draining. */
  #advance(): void {
    if (this.#writing || this.#catalogue === undefined) return;
    if (this.#draining !== undefined && !this.#maySign()) this.#refuseQueue(UNSURE);
    if (this.#queue.length === 0) {
      this.#draining?.forEach((reply) => reply.resolve());
      return;
    }
    if (!this.#maySign()) return;
    const waitMs = this.#committedAtMs + COMMIT_INTERVAL_MS - this.#options.clock.monotonic();
    if (waitMs <= 0 || this.#draining !== undefined) return this.#begin(this.#catalogue);
    if (this.#commitTimer) return;
    this.#commitTimer = true;
    this.#context.after(waitMs, { type: "tick", what: "commit" });
  }

  /** What waits will not be signed: say so now, rather than let it time out. */
  #refuseQueue(reason: string): void {
    for (const { settle } of this.#queue.splice(0)) settle({ outcome: "refused", did: null, code: "paused", reason });
  }

  #maySign(): boolean {
    return !this.#writing && !this.#unsure && this.#paused === null;
  }

  /** One commit: look up, decide, write, publish. With an empty queue it is a heartbeat. */
  #begin(catalogue: Catalogue): void {
    this.#writing = true;
    const queue = this.#queue.splice(0, COMMIT_MUTATIONS_MAX);
    const { batch, later, refused } = collect(queue, this.#options.did);
    this.#queue.unshift(...later);
    this.#task(
      () => lookUp(this.#options.store, catalogue, batch),
      (outcome) => {
        if (!outcome.ok)
          return this.#failed(
            queue.filter((queued) => !later.includes(queued)),
            outcome.error,
          );
        const { did, clock } = this.#options;
        const decided = decide(batch, outcome.value, catalogue, this.#hlc, { home: did, nowMs: clock.now() });
        this.#hlc = decided.hlc;
        const results = [...refused, ...decided.results];
        // A batch in which nothing changed is answered without a version of its own, unless one is due.
        if (queue.length > 0 && decided.changes.length === 0) return this.#finish(results);
        this.#write(catalogue, decided.changes, decided.operations, results);
      },
    );
  }

  #write(
    catalogue: Catalogue,
    changes: readonly Change[],
    operations: readonly StoreOperation[],
    results: readonly (readonly [Queued, MutationResult])[],
  ): void {
    const undoMap = catalogue.apply(changes);
    catalogue.map.update();
    const { signed, leaf } = this.#sign(catalogue, changes.length);
    const sequence = catalogue.sequence;
    const buckets = catalogue.bucketOperations();
    const before = catalogue.head;
    catalogue.setHead(signed);
    const rows = [
      ...operations,
      ...catalogue.changeOperations(changes, sequence),
      ...buckets.operations,
      catalogue.leafOperation(catalogue.log.size - 1, leaf),
      catalogue.rootOperation(),
      catalogue.headOperation(),
    ];
    this.#task(
      () => this.#options.store.batch(rows, { durable: true }),
      (outcome) => {
        if (!outcome.ok) {
          if (before === undefined) return this.#loadAgain(outcome.error);
          undoMap();
          buckets.undo();
          catalogue.log.truncate(catalogue.log.size - 1);
          catalogue.setHead(before.signed);
          const queue = results.map(([queued]) => queued);
          return this.#failed(queue, outcome.error);
        }
        const keys = changes.map(({ key }) => key);
        this.#hasSigned = true;
        catalogue.recent.add(sequence, keys, catalogue.mapRoot);
        this.#committedAtMs = this.#options.clock.monotonic();
        this.#settle();
        this.#options.publish(published(catalogue, signed));
        this.#finish(results);
      },
    );
  }

  #sign(catalogue: Catalogue, changes: number): SignedVersion {
    const { clock, did, sign } = this.#options;
    const time = Math.max(clock.now(), catalogue.head?.commit.time ?? 0, this.#hlc === undefined ? 0 : hlcTime(this.#hlc));
    const rootBefore = catalogue.head?.commit.roots.map ?? this.#rootBeforeEpoch ?? hex(EMPTY);
    return signVersion(catalogue, { did, sign, changes, time, rootBefore });
  }

  #finish(results: readonly (readonly [Queued, MutationResult])[]): void {
    this.#writing = false;
    for (const [queued, result] of results) queued.settle(result);
    this.#stash.release((message) => this.receive(message));
    this.#advance();
  }

  /** Nothing was written: say so to those who wait, keep serving what is durable. */
  #failed(queue: readonly Queued[], error: Error): void {
    this.#options.log.error("a commit could not be written; nothing of it was kept", { error });
    const reason = `the change could not be stored: ${error.message}`;
    // Settled together, so that a caller whose changes were split over two commits hears of it too.
    this.#finish(queue.map((queued) => [queued, { outcome: "refused", did: null, code: "storage", reason }]));
  }

  /** The first version of a log could not be written, and memory holds no state to go back to. */
  #loadAgain(error: Error): void {
    if (this.#rootBeforeEpoch === undefined) throw error;
    this.#options.log.error("a new epoch could not be begun; the next heartbeat tries again", { error });
    // What made us leave the epoch still holds: nothing may be signed in it.
    [this.#unsure, this.#raiseFailed, this.#writing] = [true, true, false];
    [this.#catalogue, this.#queries] = [undefined, undefined];
    this.#load();
  }

  /** Once no write is under way: rows are not what the map says while one is. */
  #whenIdle(run: () => void): void {
    if (this.#writing) this.#stash.put(this.#step(() => this.#whenIdle(run), { ok: true, value: undefined }));
    else run();
  }

  /** Writes what no version needs to be signed for; what the map says does not change. Begin it while no write is under way. */
  #exclusively<T>(run: (signal: AbortSignal) => Promise<T>, then: (outcome: Outcome<T>) => void): void {
    this.#writing = true;
    this.#task(run, (outcome) => {
      this.#finish([]);
      then(outcome);
    });
  }

  #rootBeforeEpoch: string | undefined;
  #raiseFailed = false;

  /** Rule 7: whatever a peer shows us under our own signature must be ours too, or we never sign in that epoch again. */
  #ownHead(catalogue: Catalogue, shown: SignedHead): void {
    const checkpoint = this.#open(shown);
    if (checkpoint === undefined || checkpoint.epoch < catalogue.epoch) return;
    if (this.#unsure) {
      const { epoch, size } = this.#shown ?? { epoch: -1, size: 0 };
      if (checkpoint.epoch > epoch || (checkpoint.epoch === epoch && checkpoint.size > size)) this.#shown = checkpoint;
      return;
    }
    // Who has signed nothing since its start may go on above what a process signed that is gone, or that will be told so; who has
    // signed stands beside one that is alive.
    if (checkpoint.epoch > catalogue.epoch && this.#hasSigned) {
      if (this.#paused !== null) return;
      this.#paused = `another process signs as ${this.#options.did} (epoch ${checkpoint.epoch}, ours is ${catalogue.epoch}): stop one of the two, then start this one again`;
      this.#options.log.error("nothing is signed any more", { reason: this.#paused });
      return this.#refuseQueue(this.#paused);
    }
    const known = checkpoint.epoch === catalogue.epoch && checkpoint.size <= catalogue.log.size;
    if (known && equal(catalogue.log.rootAt(checkpoint.size), checkpoint.root)) return;
    this.#options.log.warn("a peer holds a version of this catalogue that is not ours: raising the epoch", {
      size: checkpoint.size,
      epoch: checkpoint.epoch,
    });
    this.#shown = checkpoint;
    this.#raiseEpoch(catalogue, checkpoint.registryNote, checkpoint.epoch);
  }

  /** A copied directory has waited: where all peers know nothing newer than it does itself it goes on, else in a new epoch. */
  #decide(catalogue: Catalogue, allHeard: boolean): void {
    const shown = this.#shown;
    const { epoch, log, head } = catalogue;
    const isNewest = shown !== undefined && shown.epoch === epoch && shown.size === log.size && equal(shown.root, log.root());
    // One that lags behind shows the same: whoever was not heard may know more.
    if (isNewest && allHeard) {
      this.#settle();
      return this.#advance();
    }
    const seen = shown !== undefined && (shown.epoch > epoch || shown.size > log.size);
    this.#raiseEpoch(catalogue, seen ? shown.registryNote : head?.signed.note, shown?.epoch);
  }

  #open(head: SignedHead): Checkpoint | undefined {
    try {
      const checkpoint = openCheckpoint(head.note);
      return checkpoint.did === this.#options.did ? checkpoint : undefined;
    } catch {
      return undefined;
    }
  }

  #raiseEpoch(catalogue: Catalogue, previous: string | undefined, seen: number = catalogue.epoch): void {
    this.#rootBeforeEpoch = catalogue.mapRoot;
    this.#raiseFailed = false;
    const jump = 1 + Math.floor(this.#options.random.unit() * EPOCH_JUMP_MAX);
    catalogue.startEpoch(Math.max(seen, catalogue.epoch) + jump, previous);
    this.#options.log.warn("a new epoch of our catalogue begins: followers compare their copies with it", {
      epoch: catalogue.epoch,
    });
    this.#writing = true;
    this.#write(catalogue, [], [], []);
  }

  #settle(): void {
    if (!this.#unsure) return;
    this.#unsure = false;
    this.#options.settled?.();
  }

  #status(catalogue: Catalogue): CatalogStatus {
    const time = catalogue.head?.commit.time;
    return {
      agents: catalogue.map.size,
      logSize: catalogue.log.size,
      mapRoot: catalogue.mapRoot,
      checkpointTime: time === undefined ? null : new Date(time).toISOString(),
      epoch: catalogue.epoch,
      paused: this.#paused ?? (this.#unsure ? UNSURE : null),
    };
  }

  #task<T>(run: (signal: AbortSignal) => Promise<T>, then: (outcome: Outcome<T>) => void): void {
    this.#context.task(run, (outcome) => this.#step(then, outcome));
  }

  #step<T>(then: (outcome: Outcome<T>) => void, outcome: Outcome<T>): CatalogMessage {
    return { type: "step", run: then as (outcome: Outcome<unknown>) => void, outcome };
  }
}
