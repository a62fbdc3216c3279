import { followCatalogue, type SessionResult } from "../../protocols/catalog-sync/client.ts";
import { CATALOG_SYNC_PROTOCOL } from "../../protocols/catalog-sync/messages.ts";
import { verifyHead, type SignedHead, type VerifiedHead } from "../../protocols/checkpoint/head.ts";
import { contradicts, openCheckpoint } from "../../protocols/checkpoint/note.ts";
import { equal, hex } from "../../protocols/lib/bytes.ts";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import { FramesError, type Frames } from "../../protocols/lib/frames.ts";
import { admit } from "../../protocols/record/codec.ts";
import type { AgentRecord } from "../../protocols/record/record.ts";
import type { Actor, Context, Outcome, Reply } from "../actors/actor.ts";
import { NodeError, type SyncStatus } from "../api.ts";
import type { Catalogue } from "../catalog/catalogue.ts";
import { CatalogueDamaged, loadCatalogue } from "../catalog/load.ts";
import { CatalogueQueries, type RunTask } from "../catalog/queries.ts";
import { catalogueRange, deleteRange } from "../catalog/rows.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Network } from "../ports/network.ts";
import type { Random } from "../ports/random.ts";
import type { Store } from "../ports/store.ts";
import { checkAdmission } from "./admission-pass.ts";
import { withDeadline } from "./deadline.ts";
import type { ReplicaMessage, ReplicaStatus } from "./messages.ts";
import { ReplicaSession } from "./session.ts";

/** A session in which no frame comes for this long is given up; another peer may be asked. */
export const SESSION_IDLE_MS = 10_000;
/** After a failed session the next one waits, doubling up to the bound. */
export const RETRY_MS_MIN = 250;
export const RETRY_MS_MAX = 60_000;
/** A busy or pacing peer is asked again after this long at the least. */
export const RETRY_BUSY_MS = 250;
/** A descent under a moving target begins again this often before it counts as a failure. */
const DESCENTS = ["short", "full"] as const;

export interface ReplicaOptions {
  readonly home: string;
  readonly number: number;
  readonly store: Store;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly agentsMax: number;
  /** Two checkpoints of the home that contradict each other. */
  readonly evidence: (evidence: Uint8Array, did: string) => void;
  /** Called after each session that ended, well or not. */
  readonly changed: (status: ReplicaStatus) => void;
}

type SessionEnd = { readonly result: SessionResult; readonly kept: Kept | undefined };
interface Kept {
  readonly peerId: string;
  readonly frames: Frames;
}

/** Follows one registry: holds its catalogue as the registry signed it, one session at a time, from whoever has it. */
export class ReplicaActor implements Actor<ReplicaMessage> {
  readonly #options: ReplicaOptions;
  readonly #context: Context<ReplicaMessage>;
  #catalogue: Catalogue | undefined;
  #queries: CatalogueQueries | undefined;
  #stash: ReplicaMessage[] = [];
  #name = "";
  #target: VerifiedHead | undefined;
  #sources: readonly string[] = [];
  #next = 0;
  #running = false;
  #checking = false;
  /** Bulk sessions whose records are all checked; `catalogue.bulks` counts those that there were. */
  #checkedBulks = -1;
  #descend: 0 | 1 | 2 = 0;
  #failures = 0;
  #waiting: (() => void) | undefined;
  #kept: Kept | undefined;
  #lastError: string | null = null;
  #waiters: Reply<SyncStatus>[] = [];
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
    this.#kept?.frames.abort(new FramesError("closed", "the replica stops"));
  }

  receive(message: ReplicaMessage): void {
    if (message.type === "step") return message.run(message.outcome);
    if (message.type === "turn") return message.run();
    if (this.#catalogue === undefined || this.#queries === undefined) return this.#defer(message);
    const catalogue = this.#catalogue;
    switch (message.type) {
      case "head":
        return this.#head(catalogue, message.head);
      case "sources":
        return this.#setSources(catalogue, message.peerIds);
      case "epoch":
        this.#name = message.name;
        if (this.#running && message.epoch > catalogue.epoch) return this.#defer(message);
        return this.#epoch(catalogue, message.epoch, message.previous);
      case "sync":
        this.#waiters.push(message.reply);
        this.#failures = 0;
        this.#start(catalogue, true);
        if (!this.#running) this.#wakeWaiters(catalogue);
        return;
      case "status":
        return message.reply.resolve(this.#status(catalogue));
      case "retry":
        this.#waiting = undefined;
        return this.#start(catalogue, this.#waiters.length > 0);
      default:
        // In the middle of a small session map and rows are of different moments; in a bulk one the answer is "busy" anyway.
        if (this.#running && catalogue.state === "complete" && message.type !== "get" && message.type !== "list")
          return this.#defer(message);
        return this.#queries.answer(message);
    }
  }

  #loaded(outcome: Outcome<Catalogue>): void {
    if (!outcome.ok) throw outcome.error;
    const catalogue = outcome.value;
    this.#catalogue = catalogue;
    const task: RunTask = (run, then) =>
      this.#task(run, (result) => (this.#running ? this.#defer(this.#step(then, result)) : then(result)));
    this.#queries = new CatalogueQueries(catalogue, this.#options.store, task, {
      read: (bytes, key) => this.#read(catalogue, bytes, key),
      damaged: (key) => this.#damaged(catalogue, key),
    });
    this.#options.changed(this.#status(catalogue));
    this.#unstash();
    this.#check(catalogue);
    this.#start(catalogue, false);
  }

  #read(catalogue: Catalogue, bytes: Uint8Array, key: Uint8Array): AgentRecord | undefined {
    try {
      return admit(bytes, key, { home: catalogue.home, epoch: catalogue.epoch, nowMs: this.#options.clock.now() });
    } catch (error) {
      if (error instanceof ProtocolError) return undefined;
      throw error;
    }
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
    this.#task(
      (signal) => checkAdmission({ catalogue, store, clock, turn: (work) => this.#turn(work) }, signal),
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
        this.#running = false;
        this.#options.changed(this.#status(catalogue));
        this.#unstash();
        this.#start(catalogue, false);
      },
    );
  }

  #head(catalogue: Catalogue, head: SignedHead): void {
    const verified = this.#verify(head);
    if (verified === undefined) return;
    const { checkpoint } = verified;
    this.#lookForContradiction(catalogue, verified);
    const newest = this.#target?.checkpoint;
    const newer =
      newest === undefined ||
      checkpoint.epoch > newest.epoch ||
      (checkpoint.epoch === newest.epoch && checkpoint.size > newest.size);
    if (newer) this.#target = verified;
    // News from the home is a reason to try again at once.
    if (newer && this.#waiting !== undefined && this.#lastError !== null) this.#stopWaiting();
    this.#start(catalogue, false);
  }

  #verify(head: SignedHead): VerifiedHead | undefined {
    try {
      const verified = verifyHead(head);
      return verified.checkpoint.did === this.#options.home ? verified : undefined;
    } catch (error) {
      this.#options.log.debug("a head that does not verify was ignored", { home: this.#options.home, error });
      return undefined;
    }
  }

  /** One origin and size, two roots: the home signed two histories. */
  #lookForContradiction(catalogue: Catalogue, { checkpoint }: VerifiedHead): void {
    for (const other of [catalogue.head?.checkpoint, this.#target?.checkpoint]) {
      const evidence = other && contradicts(other, checkpoint);
      if (evidence !== undefined) return this.#options.evidence(evidence, this.#options.home);
    }
    const past = checkpoint.epoch === catalogue.epoch && checkpoint.size < catalogue.log.size && !this.#running;
    if (past && !equal(catalogue.log.rootAt(checkpoint.size), checkpoint.root)) {
      this.#options.log.warn("a registry signed a version that its later history does not contain", {
        home: this.#options.home,
        size: checkpoint.size,
      });
    }
  }

  #setSources(catalogue: Catalogue, peerIds: readonly string[]): void {
    this.#sources = peerIds;
    this.#next = 0;
    if (this.#kept !== undefined && !peerIds.includes(this.#kept.peerId)) {
      this.#kept.frames.abort(new FramesError("closed", "the peer is gone"));
      this.#kept = undefined;
    }
    if (peerIds.length > 0 && this.#lastError !== null) this.#stopWaiting();
    this.#start(catalogue, false);
  }

  #epoch(catalogue: Catalogue, epoch: number, previous: string | undefined): void {
    if (epoch <= catalogue.epoch) return this.#start(catalogue, false);
    const final = previous === undefined ? undefined : openCheckpoint(previous);
    const hides =
      catalogue.head !== undefined && (final === undefined || final.did !== catalogue.home || final.size < catalogue.log.size);
    if (hides)
      this.#options.log.warn("a registry raised its epoch without naming what we have seen of the one before", {
        home: catalogue.home,
        epoch,
      });
    catalogue.startEpoch(epoch, previous);
    catalogue.state = catalogue.map.size === 0 ? "complete" : "partial";
    this.#writeHead(catalogue);
  }

  #behind(catalogue: Catalogue): boolean {
    if (catalogue.state !== "complete") return true;
    const target = this.#target?.checkpoint;
    return target !== undefined && target.epoch === catalogue.epoch && target.size > catalogue.log.size;
  }

  #start(catalogue: Catalogue, force: boolean): void {
    if (this.#running || this.#waiting !== undefined || this.#sources.length === 0) return;
    if (!force && !this.#behind(catalogue)) return this.#wakeWaiters(catalogue);
    this.#running = true;
    this.#progress = { received: 0, total: 0 };
    const peerId = this.#sources[this.#next % this.#sources.length] as string;
    const session = new ReplicaSession({
      catalogue,
      ...{
        store: this.#options.store,
        clock: this.#options.clock,
        random: this.#options.random,
        agentsMax: this.#options.agentsMax,
      },
      turn: (work) => this.#turn(work),
      progress: (received, total) => {
        this.#progress = { received, total };
      },
    });
    const descend = DESCENTS[this.#descend - 1];
    const kept = this.#kept?.peerId === peerId && descend === undefined ? this.#kept : undefined;
    this.#kept = undefined;
    this.#task(
      (signal) => this.#session(session, peerId, kept, descend, signal),
      (outcome) => this.#ended(catalogue, session, peerId, outcome),
    );
  }

  async #session(
    session: ReplicaSession,
    peerId: string,
    kept: Kept | undefined,
    descend: "short" | "full" | undefined,
    signal: AbortSignal,
  ): Promise<SessionEnd> {
    const { network, clock } = this.#options;
    const frames = kept?.frames ?? (await network.open(peerId, CATALOG_SYNC_PROTOCOL, { signal }));
    const timed = withDeadline(frames, clock, SESSION_IDLE_MS, signal);
    try {
      const result = await followCatalogue({ frames: timed, target: session, ...(descend && { descend }) });
      const reusable = result.outcome !== "not_foldable";
      if (!reusable) frames.abort(new FramesError("closed", "the frontier does not fold"));
      return { result, kept: reusable ? { peerId, frames } : undefined };
    } catch (error) {
      frames.abort(error instanceof Error ? error : new Error(String(error)));
      // A kept stream may have died since the last session; that says nothing about the peer.
      if (kept !== undefined && error instanceof FramesError && error.code !== "timeout") {
        await this.#turn(() => session.abandon());
        return this.#session(session, peerId, undefined, descend, signal);
      }
      throw error;
    }
  }

  #ended(catalogue: Catalogue, session: ReplicaSession, peerId: string, outcome: Outcome<SessionEnd>): void {
    this.#running = false;
    if (!outcome.ok) session.abandon();
    else this.#kept = outcome.value.kept;
    const result = outcome.ok ? outcome.value.result : undefined;
    if (result?.outcome === "completed" || result?.outcome === "current") {
      this.#failures = 0;
      this.#descend = 0;
      this.#next = 0;
      this.#lastError = null;
    } else if (result?.outcome === "not_foldable") {
      session.abandon();
      this.#descend = this.#descend === 2 ? 1 : ((this.#descend + 1) as 1 | 2);
      this.#failed(this.#descend === 1 ? 0 : RETRY_BUSY_MS, "the peer's version does not fit ours: comparing subtree by subtree");
    } else if (result?.outcome === "refused") {
      const { code, retryAfterMs } = result.refusal;
      if (code !== "throttled") this.#next += 1;
      this.#failed(Math.max(RETRY_BUSY_MS, retryAfterMs), `the peer answered ${code}`);
    } else if (!outcome.ok) {
      this.#next += 1;
      this.#options.log.debug("a sync session failed", { home: catalogue.home, peerId, error: outcome.error });
      if (outcome.error instanceof ProtocolError) {
        this.#options.log.warn("a peer served what does not verify", {
          home: catalogue.home,
          peerId,
          code: outcome.error.code,
          reason: outcome.error.message,
        });
      }
      this.#failed(Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** this.#failures), outcome.error.message);
      this.#failures += 1;
    }
    this.#progress = { received: 0, total: 0 };
    this.#options.changed(this.#status(catalogue));
    this.#check(catalogue);
    this.#unstash();
    this.#start(catalogue, false);
  }

  #failed(delayMs: number, reason: string): void {
    this.#lastError = reason;
    if (this.#failures > 0 && this.#next >= this.#sources.length) this.#wakeWaiters(this.#catalogue as Catalogue);
    this.#waiting = this.#context.after(delayMs, { type: "retry" });
  }

  #stopWaiting(): void {
    this.#waiting?.();
    this.#waiting = undefined;
  }

  /** A record whose bytes rotted on disk leaves the map; the next session brings it again. */
  #damaged(catalogue: Catalogue, key: Uint8Array): void {
    this.#options.log.warn("a stored record is damaged and is fetched again", { home: catalogue.home, key: hex(key) });
    if (this.#running) return;
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
        this.#running = false;
        this.#unstash();
        this.#start(catalogue, true);
      },
    );
  }

  #wakeWaiters(catalogue: Catalogue): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.resolve(this.#status(catalogue));
  }

  #status(catalogue: Catalogue): ReplicaStatus {
    const { head, map, epoch, log, syncedAtMs } = catalogue;
    const behind = this.#behind(catalogue);
    return {
      did: catalogue.home,
      name: this.#name,
      state: this.#running ? "syncing" : this.#lastError !== null ? "failed" : behind ? "waiting" : "idle",
      agents: map.size,
      ...this.#progress,
      syncedRoot: head === undefined || catalogue.state !== "complete" ? null : head.commit.roots.map,
      targetRoot: this.#target?.commit.roots.map ?? head?.commit.roots.map ?? null,
      lastSync: syncedAtMs === 0 ? null : new Date(syncedAtMs).toISOString(),
      lastError: this.#lastError,
      refusedRecords: catalogue.refused.size,
      ...{ epoch, logSize: log.size, head: head?.signed },
    };
  }

  #turn<T>(work: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const run = (): void => {
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

  #defer(message: ReplicaMessage): void {
    if (this.#stash.length < STASH_MESSAGES_MAX) this.#stash.push(message);
    else if ("reply" in message) (message.reply as Reply<never>).reject(new NodeError("overloaded", "too many requests wait"));
  }

  #unstash(): void {
    const stash = this.#stash;
    this.#stash = [];
    for (const message of stash) this.receive(message);
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

/** A replica is a copy: what is damaged beyond repair is forgotten and fetched anew. */
async function loadOrForget(options: ReplicaOptions): Promise<Catalogue> {
  const { store, number, home, log } = options;
  try {
    return await loadCatalogue(store, number, home);
  } catch (error) {
    if (!(error instanceof CatalogueDamaged)) throw error;
    log.warn("a replica's stored rows do not add up and are fetched again", { home, reason: error.message });
    await deleteRange(store, catalogueRange(number));
    return loadCatalogue(store, number, home);
  }
}
