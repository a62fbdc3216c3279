import type { AnswerStart, LeafHints, SyncTarget } from "../../protocols/catalog-sync/client.ts";
import type { BatchEntry, FrontierEntry, SyncHeader, SyncRequest } from "../../protocols/catalog-sync/messages.ts";
import { SALT_BYTES } from "../../protocols/catalog-sync/messages.ts";
import type { Prefix } from "../../protocols/checkpoint/prefix.ts";
import { containsKey } from "../../protocols/checkpoint/prefix.ts";
import { EMPTY } from "../../protocols/checkpoint/map.ts";
import { verifyHead, type SignedHead, type VerifiedHead } from "../../protocols/checkpoint/head.ts";
import { compare, equal, hex } from "../../protocols/lib/bytes.ts";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import { HASH_BYTES, valueOf } from "../../protocols/lib/hash.ts";
import type { Change } from "../catalog/catalogue.ts";
import { refusal } from "../catalog/admission.ts";
import { leafHints, leafKeys, subtreeHints, type HintQuestion } from "../catalog/descent.ts";
import { fold, leavesUnder, subtreeHash } from "../catalog/tree/subtrees.ts";
import { MapHeap } from "../catalog/tree/map-heap.ts";
import { keysBetween } from "../catalog/tree/walk.ts";
import type { StoreOperation } from "../ports/store.ts";
import { appendLog, checkContinuation } from "./continuation.ts";
import { effective, keysOf, unnamed } from "./replacing.ts";
import type { KeyRange, SessionPorts } from "./session-ports.ts";
import { WriteBehind } from "./write-behind.ts";

/** An answer with at most this many changes, and bytes of records, is committed in one transaction. */
export const SMALL_CHANGES_MAX = 2_048;
export const SMALL_BYTES_MAX = 16_777_216;

interface Open {
  readonly start: AnswerStart;
  readonly verified: VerifiedHead;
  readonly bulk: boolean;
  /** Keys of our leaves that a fetch named, in the order of its hints. */
  readonly held: Uint8Array;
  /** Leaves between the two versions: ours, and as many as may come. More would be more than we agreed to keep. */
  readonly leavesMax: number;
}

/**
 * Brings one replica from its version to the next. Data are checked against the folded frontier before anything is kept: a
 * small answer becomes durable in one batch, a bulk answer subtree by subtree, so that a cut one is resumed.
 */
export class ReplicaSession implements SyncTarget {
  readonly #ports: SessionPorts;
  /** Log leaves of the last completed version, to which an unfinished session returns. */
  readonly #logSize: number;
  #expected: { readonly head: SignedHead; readonly verified: VerifiedHead } | undefined;
  #open: Open | undefined;
  #held: Uint8Array = new Uint8Array(0);
  #undo: (() => void)[] = [];
  #changes: Change[] = [];
  #received = 0;
  readonly #writes: WriteBehind;

  constructor(ports: SessionPorts) {
    this.#ports = ports;
    this.#logSize = ports.catalogue.log.size;
    this.#writes = new WriteBehind(ports.store);
  }

  plan(): Promise<{ request: SyncRequest; descend: boolean; leaves: number }> {
    return this.#ports.turn(() => {
      const { catalogue } = this.#ports;
      const { home: registry, epoch, log, map } = catalogue;
      const whole = catalogue.head === undefined || catalogue.state !== "complete";
      const base = whole ? { baseSize: 0, baseRoot: EMPTY } : { baseSize: log.size, baseRoot: map.root() };
      const request = { kind: "request", registry, epoch, ...base, logSize: log.size } as const;
      return { request, descend: whole && map.size > 0, leaves: map.size };
    });
  }

  expect(header: Pick<SyncHeader, "head" | "logLeaves">): Promise<void> {
    return this.#ports.turn(() => {
      const { catalogue, agentsMax } = this.#ports;
      const verified = verifyHead(header.head);
      if (verified.checkpoint.did === catalogue.home) this.#ports.seen(verified);
      checkContinuation(verified, catalogue, this.#logSize, agentsMax);
      if (header.logLeaves !== verified.checkpoint.size - this.#logSize) {
        throw new ProtocolError("bad_frame", "the answer does not bring the log leaves that we lack");
      }
      this.#expected = { head: header.head, verified };
    });
  }

  begin(start: AnswerStart): Promise<"proceed" | "current" | "descend"> {
    return this.#ports.turn(() => {
      const { catalogue } = this.#ports;
      const { verified } = this.#announced();
      const current = catalogue.state === "complete" && verified.checkpoint.size === this.#logSize;
      appendLog(catalogue, start.logLeaves, start.head, verified);
      if (current && start.frontier.length === 0) return "current";
      if (hex(fold(catalogue.map, start.frontier)) !== verified.commit.roots.map) {
        catalogue.log.truncate(this.#logSize);
        return "descend";
      }
      const bulk = start.changes > SMALL_CHANGES_MAX;
      const leavesMax = catalogue.map.size + verified.commit.agents;
      this.#open = { start, verified, bulk, held: this.#held, leavesMax };
      if (bulk) catalogue.map.reserve(Math.min(verified.commit.agents, MapHeap.RESERVE_MAX));
      this.#ports.progress(0, start.changes);
      return "proceed";
    });
  }

  async batch(index: number, entries: readonly BatchEntry[]): Promise<void> {
    const { start } = this.#opened();
    const entry = start.frontier[index] as FrontierEntry;
    const incoming = this.#examine(entries);
    const operations = await this.#ports.turn(() => this.#apply(entry, incoming, start.mode));
    this.#received += entries.length;
    this.#ports.progress(this.#received, start.changes);
    if (operations.length === 0) return;
    await this.#writes.add(operations);
  }

  /**
   * Begins a bulk answer of proven pages, in place of `begin`; the head of the first one was expected.
   * @param total changes that will come, as far as that is known
   */
  openPages(total: number): Promise<void> {
    return this.#ports.turn(() => {
      const { agentsMax, catalogue } = this.#ports;
      const { map } = catalogue;
      const { head, verified } = this.#announced();
      const start = { head, mode: "delta", logLeaves: new Uint8Array(0), frontier: [], changes: total } as const;
      // Pages of several versions may bring more than any one of them holds, until what went is told.
      const leavesMax = map.size + agentsMax;
      this.#open = { start, verified, bulk: true, held: new Uint8Array(0), leavesMax };
      map.reserve(Math.min(verified.commit.agents, MapHeap.RESERVE_MAX));
    });
  }

  /**
   * Takes a page whose changes are proven by the head that was expected last; what we hold already is not written again. With
   * `range` they are all keys in it, and those of ours that are not among them go.
   */
  async page(entries: readonly BatchEntry[], range?: KeyRange): Promise<void> {
    const incoming = this.#examine(entries);
    const operations = await this.#ports.turn(() => {
      const { head, verified } = this.#announced();
      const open = this.#opened();
      this.#open = { ...open, start: { ...open.start, head }, verified };
      const { map } = this.#ports.catalogue;
      const ours = range === undefined ? [] : keysBetween(map, range.after, range.last);
      const changes = [...effective(map, incoming), ...unnamed(ours, incoming)];
      this.#change(changes);
      return changes.length === 0 ? [] : this.#bulkOperations(changes);
    });
    this.#received += entries.length;
    this.#ports.progress(this.#received, Math.max(this.#received, this.#opened().start.changes));
    if (operations.length > 0) await this.#writes.add(operations);
  }

  /** Whether the map is the one of the head that was expected last. */
  fits(): Promise<boolean> {
    return this.#ports.turn(() => this.#isVersion(this.#announced().verified));
  }

  /** All pages came, the last ones of one version: as `end`, with the leaves by which its log continues ours. */
  async endPages(logLeaves: Uint8Array): Promise<void> {
    await this.#ports.turn(() => {
      const { start, verified } = this.#opened();
      appendLog(this.#ports.catalogue, logLeaves, start.head, verified);
    });
    await this.end();
  }

  /** Whether a peer's answer was begun. */
  get begun(): boolean {
    return this.#open !== undefined;
  }

  /** Whether map and log may be ahead of what is stored. */
  get isAhead(): boolean {
    return this.begun || this.#ports.catalogue.log.size !== this.#logSize;
  }

  /** Whether the map holds what the disk refused: then only the disk says what we have. */
  get lost(): boolean {
    return this.#writes.failed;
  }

  /** Resolves once nothing is under way to the disk. */
  async written(): Promise<void> {
    await this.#writes.done().catch(() => undefined);
  }

  async end(): Promise<void> {
    await this.#writes.done();
    const { catalogue, store } = this.#ports;
    const before = {
      signed: catalogue.head?.signed,
      state: catalogue.state,
      floor: catalogue.floor,
      syncedAtMs: catalogue.syncedAtMs,
    };
    const { operations, undo } = await this.#ports.turn(() => this.#complete());
    try {
      await store.batch(operations, { durable: true });
    } catch (error) {
      await this.#ports.turn(() => {
        undo();
        Object.assign(catalogue, { state: before.state, floor: before.floor, syncedAtMs: before.syncedAtMs });
        catalogue.restoreHead(before.signed);
      });
      throw error;
    }
    await this.#ports.turn(() => {
      const keys = this.#changes.map(({ key }) => key);
      if (this.#opened().bulk) catalogue.recent.reset(catalogue.sequence);
      else catalogue.recent.add(catalogue.sequence, keys, catalogue.mapRoot);
      this.#open = undefined;
      this.#undo = [];
    });
  }

  /** Takes back what an unfinished session changed in memory; a bulk answer stays as far as it came, as a partial version. */
  abandon(): void {
    const { catalogue } = this.#ports;
    for (const undo of this.#undo.reverse()) undo();
    if (this.#open !== undefined || catalogue.log.size > this.#logSize) catalogue.log.truncate(this.#logSize);
    this.#undo = [];
    this.#changes = [];
    this.#received = 0;
    this.#open = undefined;
  }

  hints(question: HintQuestion): Promise<Uint8Array> {
    return this.#ports.turn(() => subtreeHints(this.#ports.catalogue.map, question));
  }

  leaves(question: { prefixes: readonly Prefix[]; salt: Uint8Array; hintBytes: number }): Promise<LeafHints> {
    return this.#ports.turn(() => {
      this.#held = leafKeys(this.#ports.catalogue.map, question.prefixes);
      return leafHints(this.#ports.catalogue.map, question);
    });
  }

  salt(): Uint8Array {
    return this.#ports.random.bytes(SALT_BYTES);
  }

  #announced(): { readonly head: SignedHead; readonly verified: VerifiedHead } {
    if (this.#expected === undefined) throw new Error("no head was expected");
    return this.#expected;
  }

  #opened(): Open {
    if (this.#open === undefined) throw new Error("no answer is open");
    return this.#open;
  }

  /**
   * What needs no state: hashes, and whether each record may be shown. A record that fails the check is still replicated. A
   * bulk answer is checked afterwards (`admission-pass.ts`), so that a first sync is as fast as its transport; readers check
   * what they read, so nothing unchecked is ever shown.
   */
  #examine(entries: readonly BatchEntry[]): Change[] {
    const { catalogue, clock } = this.#ports;
    const { bulk } = this.#opened();
    const context = { home: catalogue.home, epoch: catalogue.epoch, nowMs: clock.now() };
    return entries.map((entry): Change => {
      if (entry.op === "delete") return { key: entry.key };
      if (entry.op === "keep") return { key: this.#heldKey(entry.leaf) };
      const { key, record } = entry;
      const refused = bulk ? undefined : refusal(record, key, context);
      return { key, record, value: valueOf(record), ...(refused !== undefined && { refused }) };
    });
  }

  #heldKey(leaf: number): Uint8Array {
    const { held } = this.#opened();
    const key = held.subarray(leaf * HASH_BYTES, (leaf + 1) * HASH_BYTES);
    if (key.length === 0) throw new ProtocolError("bad_frame", `leaf ${leaf} was not named in our question`);
    return key;
  }

  #apply(entry: FrontierEntry, incoming: readonly Change[], mode: "delta" | "replace"): StoreOperation[] {
    const { catalogue } = this.#ports;
    const changes = mode === "delta" ? [...incoming] : this.#replaced(entry.prefix, incoming);
    incoming.forEach(({ key }, i) => {
      const before = incoming[i - 1];
      if (!containsKey(entry.prefix, key) || (before !== undefined && compare(before.key, key) >= 0)) {
        throw new ProtocolError("out_of_order", "a batch's keys are not ascending under its prefix");
      }
    });
    const undo = this.#change(changes);
    if (!equal(subtreeHash(catalogue.map, entry.prefix), entry.hash)) {
      undo();
      throw new ProtocolError(
        "bad_proof",
        `a batch does not give the subtree that its frontier promised (${entry.prefix.length} bits)`,
      );
    }
    if (!this.#opened().bulk) {
      this.#undo.push(undo);
      this.#changes.push(...changes);
      const bytes = this.#changes.reduce((sum, { record }) => sum + (record?.length ?? 0), 0);
      if (bytes > SMALL_BYTES_MAX) return this.#becomeBulk();
      return [];
    }
    return this.#bulkOperations(changes);
  }

  /** Changes the map, its hashes too. */
  #change(changes: readonly Change[]): () => void {
    const { catalogue } = this.#ports;
    const undo = catalogue.apply(changes);
    catalogue.map.update();
    const { leavesMax } = this.#opened();
    if (catalogue.map.size <= leavesMax) return undo;
    undo();
    throw new ProtocolError("limit_exceeded", `more agents come than were agreed: over ${leavesMax}`);
  }

  /** In `replace`, leaves that are named stay, all others under the prefix go. */
  #replaced(prefix: Prefix, incoming: readonly Change[]): Change[] {
    const { map } = this.#ports.catalogue;
    const puts = incoming.filter(({ value }) => value !== undefined);
    return [...effective(map, puts), ...unnamed(keysOf(leavesUnder(map, prefix)), incoming)];
  }

  #becomeBulk(): StoreOperation[] {
    const changes = this.#changes;
    this.#open = { ...this.#opened(), bulk: true };
    this.#undo = [];
    this.#changes = [];
    return this.#bulkOperations(changes);
  }

  #bulkOperations(changes: readonly Change[]): StoreOperation[] {
    const { catalogue } = this.#ports;
    const operations: StoreOperation[] = [];
    if (catalogue.state === "complete" || !catalogue.unchecked) {
      // From here on the map is between versions, on disk too: the same batch says so.
      if (catalogue.state === "complete") catalogue.state = catalogue.head === undefined ? "fresh" : "partial";
      catalogue.unchecked = true;
      catalogue.bulks += 1;
      operations.push(catalogue.headOperation());
    }
    // Of the version that is coming: the log may not have come yet.
    const coming = catalogue.sequenceBase + this.#opened().verified.checkpoint.size;
    const sequence = catalogue.state === "fresh" ? undefined : coming;
    operations.push(...catalogue.changeOperations(changes, sequence), ...catalogue.bucketOperations().operations);
    return operations;
  }

  #isVersion({ commit }: VerifiedHead): boolean {
    const { map } = this.#ports.catalogue;
    return hex(map.root()) === commit.roots.map && map.size === commit.agents;
  }

  #complete(): { operations: StoreOperation[]; undo: () => void } {
    const { catalogue, clock } = this.#ports;
    const { start, verified, bulk } = this.#opened();
    if (!this.#isVersion(verified)) {
      throw new ProtocolError("bad_proof", "all batches came, but the map is not the one that was signed");
    }
    if (catalogue.state === "fresh" || (bulk && catalogue.head === undefined)) catalogue.floor = catalogue.sequence;
    catalogue.state = "complete";
    catalogue.syncedAtMs = clock.now();
    catalogue.setHead(start.head, verified);
    const buckets = catalogue.bucketOperations();
    const operations = [...catalogue.changeOperations(this.#changes, catalogue.sequence), ...buckets.operations];
    for (let i = this.#logSize; i < catalogue.log.size; i++) {
      operations.push(catalogue.leafOperation(i, i === catalogue.log.size - 1 ? start.head.commit : catalogue.log.leafHash(i)));
    }
    operations.push(catalogue.headOperation());
    return { operations, undo: buckets.undo };
  }
}
