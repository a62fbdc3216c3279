import type { SessionResult } from "../../protocols/catalog-sync/client.ts";
import type { SignedHead, VerifiedHead } from "../../protocols/checkpoint/head.ts";
import { hex } from "../../protocols/lib/bytes.ts";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import type { Actor, Context, Outcome, Reply } from "../actors/actor.ts";
import { Stash } from "../actors/stash.ts";
import { NodeError, type SyncStatus } from "../api.ts";
import type { Catalogue } from "../catalog/catalogue.ts";
import { CatalogueQueries } from "../catalog/queries.ts";
import { DAMAGED_MAX, REPAIR_SOON_MS } from "../catalog/repairs.ts";
import type { RunTask } from "../catalog/tasks.ts";
import { checkAdmission, readAdmitted } from "./admission-pass.ts";
import { contradiction, headOf, hidesHistory, isInHistory } from "./contradiction.ts";
import { Attempts, type Setback } from "./attempts.ts";
import { loadOrForget } from "./load.ts";
import type { ReplicaMessage, ReplicaStatus } from "./messages.ts";
import type { ReplicaOptions } from "./options.ts";
import { ReplicaSession } from "./session.ts";
import { storedPart, type StoredPart } from "./stored-part.ts";
import { runFrom } from "./source.ts";

/** Callers that wait for the end of a sync. */
const WAITERS_MAX = 1_024;

/** Follows one registry: holds its catalogue as the registry signed it, one session at a time, from whoever has it. */
export class ReplicaActor implements Actor<ReplicaMessage> {
  readonly #options: ReplicaOptions;
  readonly #context: Context<ReplicaMessage>;
  #catalogue: Catalogue | undefined;
  #queries: CatalogueQueries | undefined;
  readonly #stash = new Stash<ReplicaMessage>("replica", STASH_MESSAGES_MAX);
  readonly #attempts = new Attempts();
  /** The newest head that was heard of, of the epoch that we follow. */
  #target: VerifiedHead | undefined;
  #running = false;
  /** Keys (hex) of records that left the map because their bytes had rotted, until a version is complete again. */
  readonly #mending = new Set<string>();
  /** The session that runs; a write of our own is none. */
  #session: ReplicaSession | undefined;
  #checking = false;
  /** Bulk sessions whose records are all checked; `catalogue.bulks` counts those that there were. */
  #checkedBulks = -1;
  #waiting: { readonly cancel: () => void; readonly firm: boolean } | undefined;
  #lastError: string | null = null;
  #waiters: Reply<SyncStatus>[] = [];
  #stored: StoredPart | undefined;
  /** `catalogue.touched` when it was last told; no number of a catalogue that was just loaded. */
  #touched = -1;
  #progress = { received: 0, total: 0 };

  constructor(options: ReplicaOptions, context: Context<ReplicaMessage>) {
    this.#options = options;
    this.#context = context;
    this.#task(
      () => loadOrForget(options),
      (outcome) => this.#loaded(outcome),
    );
  }

  stopped(): void {
    this.#options.kept.drop("the replica stops");
  }

  receive(message: ReplicaMessage): void {
    if (message.type === "step") return message.run(message.outcome);
    if (message.type === "turn") return message.run();
    const known = message.type === "head" || message.type === "sources" || message.type === "epoch";
    // What the message says stands in `followed` too, and is taken from there when the time has come.
    if (this.#catalogue === undefined || this.#queries === undefined) return known ? undefined : this.#stash.put(message);
    const catalogue = this.#catalogue;
    switch (message.type) {
      case "head":
        return this.#head(catalogue, message.head);
      case "sources":
        return this.#setSources(catalogue, message.sources);
      case "epoch":
        return this.#start(catalogue, false);
      case "sync":
        return this.#sync(catalogue, message.reply);
      case "status":
        return message.reply.resolve(this.#status(catalogue));
      case "damaged":
        return void this.#damaged(catalogue, message.key);
      case "retry":
        this.#waiting = undefined;
        return this.#start(catalogue, this.#waiters.length > 0 || this.#attempts.descend !== undefined);
      default:
        // In a bulk session the answer is "busy" anyway.
        if (this.#isBetween && catalogue.state === "complete" && message.type !== "get" && message.type !== "list")
          return this.#stash.put(message);
        return this.#queries.answer(message);
    }
  }

  #loaded(outcome: Outcome<Catalogue>): void {
    if (!outcome.ok) throw outcome.error;
    const catalogue = outcome.value;
    this.#catalogue = catalogue;
    const task: RunTask = (run, then) =>
      this.#task(run, (result) => (this.#isBetween ? this.#stash.put(this.#step(then, result)) : then(result)));
    this.#queries = new CatalogueQueries(catalogue, this.#options.store, task, {
      read: (bytes, key) => readAdmitted(catalogue, bytes, key, this.#options.clock.now()),
      damaged: (key) => this.#damaged(catalogue, key),
      mending: this.#mending,
    });
    const { head, sources } = this.#options.followed;
    this.#attempts.setSources(sources);
    if (head !== undefined) this.#take(catalogue, head);
    this.#idle(catalogue);
  }

  /**
   * Whether map and rows are of different moments. They are not while a session waits for its peer to begin: who asks us then
   * is answered, since replicas that ask each other would wait for each other.
   */
  get #isBetween(): boolean {
    return this.#running && this.#session?.isAhead !== false;
  }

  /** Nothing changes the map or the rows now: what waited for that goes on. */
  #idle(catalogue: Catalogue): void {
    this.#running = false;
    this.#session = undefined;
    this.#stored = storedPart(catalogue);
    if (catalogue.state === "complete") this.#mending.clear();
    this.#changed(catalogue);
    this.#check(catalogue);
    this.#stash.release((message) => this.receive(message));
    this.#start(catalogue, false);
  }

  /** Before anybody hears of what changed. */
  #changed(catalogue: Catalogue): void {
    const shown = catalogue.touched !== this.#touched;
    this.#touched = catalogue.touched;
    this.#options.changed(this.#status(catalogue), shown);
  }

  /** After a bulk sync: finds out which records may never be shown. A bulk sync that comes between begins it again. */
  #check(catalogue: Catalogue): void {
    if (!catalogue.unchecked || this.#checking || this.#running || catalogue.state !== "complete") return;
    if (this.#checkedBulks === catalogue.bulks) {
      catalogue.unchecked = false;
      return this.#writeHead(catalogue);
    }
    this.#checking = true;
    const { store, clock, log } = this.#options;
    const { bulks } = catalogue;
    const judged = <T>(work: () => T): T => {
      const made = work();
      this.#changed(catalogue);
      return made;
    };
    this.#task(
      (signal) => checkAdmission({ catalogue, store, clock, turn: (work) => this.#turn(() => judged(work), signal) }, signal),
      (outcome) => {
        this.#checking = false;
        if (outcome.ok) this.#checkedBulks = bulks;
        else log.warn("the check of a replica's records was cut short", { home: catalogue.home, error: outcome.error });
        if (outcome.ok) this.#check(catalogue);
      },
    );
  }

  #writeHead(catalogue: Catalogue): void {
    this.#running = true;
    this.#task(
      () => this.#options.store.batch([catalogue.headOperation()], { durable: true }),
      (outcome) => {
        if (!outcome.ok) throw outcome.error;
        this.#idle(catalogue);
      },
    );
  }

  #head(catalogue: Catalogue, head: SignedHead): void {
    // News from the home is a reason to try again at once.
    if (this.#take(catalogue, head)) this.#stopWaiting();
    this.#start(catalogue, false);
  }

  /** Whether the head is the newest of the epoch that we follow. */
  #take(catalogue: Catalogue, head: SignedHead): boolean {
    const { home, log } = this.#options;
    const verified = headOf(home, head, log);
    if (verified === undefined) return false;
    const { checkpoint } = verified;
    this.#lookForContradiction(catalogue, verified);
    // Which epoch counts is said by the descriptor: one that only a head names waits in `followed` until it is confirmed.
    const newer = checkpoint.epoch === catalogue.epoch && checkpoint.size > (this.#target?.checkpoint.size ?? 0);
    if (newer) this.#target = verified;
    return newer;
  }

  #lookForContradiction(catalogue: Catalogue, { checkpoint }: VerifiedHead): void {
    const { home, evidence, log } = this.#options;
    const found = contradiction(catalogue, this.#target?.checkpoint, checkpoint);
    if (found !== undefined) return evidence(found, home);
    if (this.#running || isInHistory(catalogue, checkpoint)) return;
    log.warn("a registry signed a version that its later history does not contain", { home, size: checkpoint.size });
  }

  #setSources(catalogue: Catalogue, sources: readonly string[]): void {
    const { kept } = this.#options;
    this.#attempts.setSources(sources);
    if (kept.peerId !== undefined && !sources.includes(kept.peerId)) kept.drop("the peer is gone");
    this.#stopWaiting();
    this.#start(catalogue, false);
    if (sources.length === 0 && !this.#running) this.#wakeWaiters(catalogue);
  }

  #sync(catalogue: Catalogue, reply: Reply<SyncStatus>): void {
    if (this.#waiters.length >= WAITERS_MAX) return reply.reject(new NodeError("overloaded", "too many callers wait for a sync"));
    this.#waiters.push(reply);
    this.#attempts.restart();
    this.#stopWaiting();
    this.#start(catalogue, true);
    // Nobody is there to be asked.
    if (!this.#running && this.#waiting === undefined) this.#wakeWaiters(catalogue);
  }

  #raiseEpoch(catalogue: Catalogue, epoch: number, previous: string | undefined): void {
    const { followed, home, log } = this.#options;
    if (hidesHistory(catalogue, previous))
      log.warn("a registry raised its epoch without naming what we have seen of the one before", { home, epoch });
    catalogue.startEpoch(epoch, previous);
    this.#target = undefined;
    catalogue.state = catalogue.map.size === 0 ? "complete" : "partial";
    if (followed.head !== undefined) this.#take(catalogue, followed.head);
    this.#writeHead(catalogue);
  }

  #behind(catalogue: Catalogue): boolean {
    if (catalogue.state !== "complete") return true;
    const target = this.#target?.checkpoint;
    return target !== undefined && target.epoch === catalogue.epoch && target.size > catalogue.log.size;
  }

  #start(catalogue: Catalogue, force: boolean): void {
    if (this.#running) return;
    const { followed, store, clock, random, agentsMax } = this.#options;
    if (followed.epoch > catalogue.epoch) return this.#raiseEpoch(catalogue, followed.epoch, followed.previous);
    const source = this.#attempts.source;
    if (this.#waiting !== undefined || source === undefined) return;
    if (!force && !this.#behind(catalogue)) return this.#wakeWaiters(catalogue);
    this.#running = true;
    this.#progress = { received: 0, total: 0 };
    const { descend } = this.#attempts;
    const sizeBefore = catalogue.log.size;
    this.#task(
      async (signal) => {
        const session = new ReplicaSession({
          ...{ catalogue, store, clock, random, agentsMax },
          turn: (work) => this.#turn(work, signal),
          progress: (received, total) => {
            this.#progress = { received, total };
          },
          seen: (head) => this.#lookForContradiction(catalogue, head),
        });
        // Still in our turn: a task runs at once up to its first wait.
        this.#session = session;
        try {
          return { session, result: await runFrom({ source, descend }, session, this.#options, signal) };
        } catch (error) {
          return { session, error: error instanceof Error ? error : new Error(String(error)) };
        }
      },
      (outcome) => {
        if (!outcome.ok) throw outcome.error;
        const { session, result, error } = outcome.value;
        const completed = result?.outcome === "completed" || result?.outcome === "current";
        if (!completed) session.abandon();
        // What the disk refused is only in memory: begin again from what is stored.
        if (session.lost) throw error ?? new Error("a write of a sync failed");
        if (completed) this.#succeeded(catalogue, catalogue.log.size > sizeBefore);
        else if (result !== undefined) this.#refused(result);
        else this.#broke(catalogue, source, error as Error);
        this.#progress = { received: 0, total: 0 };
        this.#idle(catalogue);
      },
    );
  }

  #succeeded(catalogue: Catalogue, advanced: boolean): void {
    // A peer that has nothing newer although there is something: others may have it.
    if (this.#behind(catalogue) && !advanced) return this.#setback({ kind: "failed" }, "the peer has no newer version than ours");
    this.#attempts.succeeded();
    this.#lastError = null;
  }

  #refused(result: SessionResult): void {
    if (result.outcome !== "refused") {
      return this.#setback({ kind: "not_foldable" }, "the peer's version does not fit ours: comparing subtree by subtree");
    }
    const { code, retryAfterMs } = result.refusal;
    this.#setback(code === "throttled" ? { kind: code, retryAfterMs } : { kind: "failed" }, `the peer answered ${code}`);
  }

  #broke(catalogue: Catalogue, source: string, error: Error): void {
    const { log } = this.#options;
    const { home } = catalogue;
    log.debug("a sync session failed", { home, source, error });
    if (error instanceof ProtocolError) {
      log.warn("a peer served what does not verify", { home, source, code: error.code, reason: error.message });
    }
    this.#setback({ kind: "failed" }, error.message);
  }

  #setback(setback: Setback, reason: string): void {
    this.#lastError = reason;
    const { delayMs, firm } = this.#attempts.setback(setback);
    this.#waiting = { cancel: this.#context.after(delayMs, { type: "retry" }), firm };
    if (this.#attempts.exhausted) this.#wakeWaiters(this.#catalogue as Catalogue);
  }

  #stopWaiting(): void {
    if (this.#waiting === undefined || this.#waiting.firm) return;
    this.#waiting.cancel();
    this.#waiting = undefined;
  }

  /**
   * A record whose bytes rotted on disk leaves the map; the next session brings it again.
   * @returns milliseconds until it may be there again
   */
  #damaged(catalogue: Catalogue, key: Uint8Array): number {
    // It went or was replaced while the news of it waited, or map and rows are in other hands: whoever reads it next tells of it.
    if (catalogue.map.get(key) === undefined || this.#running) return REPAIR_SOON_MS;
    this.#options.log.warn("a stored record is damaged and is fetched again", { home: catalogue.home, key: hex(key) });
    if (this.#mending.size < DAMAGED_MAX) this.#mending.add(hex(key));
    catalogue.apply([{ key }]);
    catalogue.map.update();
    catalogue.state = "partial";
    const operations = [
      ...catalogue.changeOperations([{ key }], undefined),
      ...catalogue.bucketOperations().operations,
      catalogue.headOperation(),
    ];
    this.#running = true;
    this.#task(
      () => this.#options.store.batch(operations, { durable: true }),
      (outcome) => {
        if (!outcome.ok) throw outcome.error;
        this.#idle(catalogue);
      },
    );
    return REPAIR_SOON_MS;
  }

  #wakeWaiters(catalogue: Catalogue): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.resolve(this.#status(catalogue));
  }

  #status(catalogue: Catalogue): ReplicaStatus {
    const behind = this.#behind(catalogue);
    // In the middle of a session the catalogue in memory is ahead of its rows: only what is stored is reported.
    const { targetRoot, ...stored } = this.#stored ?? storedPart(catalogue);
    return {
      did: catalogue.home,
      name: this.#options.followed.name,
      state: this.#running ? "syncing" : this.#lastError !== null ? "failed" : behind ? "waiting" : "idle",
      ...this.#progress,
      ...stored,
      targetRoot: this.#target?.commit.roots.map ?? targetRoot,
      lastError: this.#lastError,
      refusedRecords: catalogue.refused.size,
    };
  }

  /** Runs `work` in our own turn, unless the task that asks was called off: then its actor is another one by now. */
  #turn<T>(work: () => T, signal: AbortSignal): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const run = (): void => {
        if (signal.aborted) return reject(new NodeError("stopped", "the work was called off"));
        try {
          resolve(work());
        } catch (error) {
          // What a peer sent is the session's affair; anything else is a fault of ours and the supervisor's.
          reject(error instanceof Error ? error : new Error(String(error)));
          if (!(error instanceof ProtocolError)) throw error;
        }
      };
      if (!this.#context.self.tell({ type: "turn", run })) reject(new NodeError("overloaded", "the replica's mailbox is full"));
    });
  }

  #task<T>(run: (signal: AbortSignal) => Promise<T>, then: (outcome: Outcome<T>) => void): void {
    this.#context.task(run, (outcome) => this.#step(then, outcome));
  }

  #step<T>(then: (outcome: Outcome<T>) => void, outcome: Outcome<T>): ReplicaMessage {
    return { type: "step", run: then as (outcome: Outcome<unknown>) => void, outcome };
  }
}

/** Messages that wait while the replica loads or a session is under way. */
const STASH_MESSAGES_MAX = 1_024;
