import type { RefusalCode, SyncRequest } from "../../protocols/catalog-sync/messages.ts";
import type { Answer } from "../../protocols/catalog-sync/handler.ts";
import { decodeCommit } from "../../protocols/checkpoint/commit.ts";
import { EMPTY } from "../../protocols/checkpoint/map.ts";
import { prove } from "../../protocols/checkpoint/map-proof.ts";
import { equal, hex } from "../../protocols/lib/bytes.ts";
import { HASH_BYTES } from "../../protocols/lib/hash.ts";
import type { Reply } from "../actors/actor.ts";
import { StoreError, type Store } from "../ports/store.ts";
import { CURABLE } from "./admission.ts";
import { answerChanges, answerFetch, answerWhole, FETCH_CHANGES_MAX, type AnswerContext } from "./answers.ts";
import type { Catalogue } from "./catalogue.ts";
import { differing } from "./descent.ts";
import { damagedKey, damagedRecord } from "./damage.ts";
import { listRecords, type ListRequest, type ReadRecord } from "./list-records.ts";
import type { CatalogueQuery, StoredRecord } from "./messages.ts";
import { CatalogPages } from "./pages.ts";
import { sortedUnique } from "./recent-changes.ts";
import { REPAIR_SOON_MS } from "./repairs.ts";
import { rowKey, rowSuffix, tableRange, u48 } from "./rows.ts";
import type { RunTask } from "./tasks.ts";
import { mapReader } from "./tree/reader.ts";

export interface QueryOptions {
  readonly read: ReadRecord;
  /** Told of a record whose stored bytes failed their checksum. @returns milliseconds until it may be there again */
  readonly damaged: (key: Uint8Array) => number;
  /** Keys (hex) of records that were taken out for that and are not back yet; none by default. */
  readonly mending?: ReadonlySet<string>;
}

/**
 * The reading side of a catalogue, shared by our own and the replicas. Every answer is of one version: call it only while map
 * and rows agree, that is with no write under way.
 */
export class CatalogueQueries {
  readonly #catalogue: Catalogue;
  readonly #store: Store;
  readonly #task: RunTask;
  readonly #pages: CatalogPages;

  readonly #damaged: (key: Uint8Array) => number;
  readonly #mending: ReadonlySet<string>;
  readonly #read: ReadRecord;

  constructor(catalogue: Catalogue, store: Store, task: RunTask, options: QueryOptions) {
    this.#damaged = options.damaged;
    this.#mending = options.mending ?? new Set();
    this.#read = options.read;
    this.#catalogue = catalogue;
    this.#store = store;
    this.#task = task;
    this.#pages = new CatalogPages({ catalogue, store, task, failed: (error, reply) => this.#failed(error, reply) });
  }

  answer(query: CatalogueQuery): void {
    try {
      this.#begin(query);
    } catch (error) {
      // The store may be unable to give a snapshot for a while: that is an answer, not a crash.
      if (!(error instanceof StoreError)) throw error;
      query.reply.reject(error);
    }
  }

  #begin(query: CatalogueQuery): void {
    switch (query.type) {
      case "get":
        return this.#get(query.key, query.reply);
      case "prove":
        return this.#prove(query);
      case "list":
        return this.#list(query);
      case "serve":
        return this.#serve(query.request, query.reply);
      case "page":
        return this.#pages.answer(query.request, query.reply);
      case "compare":
        if (!this.#ready()) return query.reply.resolve(this.#refusal());
        return query.reply.resolve({
          version: this.#catalogue.sequence,
          differing: differing(this.#catalogue.map, query.request),
        });
      case "fetch": {
        if (!this.#ready()) return query.reply.resolve(this.#refusal());
        const since = this.#catalogue.recent.after(Math.min(query.since, this.#catalogue.sequence));
        // What changed since the descent began is no longer known, or too much: it has to begin again.
        if (since === undefined || since.length > FETCH_CHANGES_MAX) return query.reply.resolve("busy");
        const context = this.#context(query.request.epoch, query.request.logSize);
        return query.reply.resolve(answerFetch(context, query.request, since));
      }
    }
  }

  #ready(): boolean {
    return this.#catalogue.head !== undefined && this.#catalogue.state === "complete";
  }

  #refusal(): RefusalCode {
    return this.#catalogue.state === "complete" ? "empty" : "busy";
  }

  #context(epoch: number, logSize: number): AnswerContext {
    const known = epoch === this.#catalogue.epoch ? logSize : 0;
    // An answer is sent outside of the actor's turn, where its state may not be changed.
    const damaged = (key: Uint8Array): void =>
      this.#task(
        () => Promise.resolve(),
        () => this.#damaged(key),
      );
    return { catalogue: this.#catalogue, snapshot: this.#store.snapshot(), logSize: known, damaged };
  }

  #isRefused(key: Uint8Array): boolean {
    const reason = this.#catalogue.refused.get(hex(key));
    return reason !== undefined && reason !== CURABLE;
  }

  #get(key: Uint8Array, reply: Reply<StoredRecord | "withheld" | undefined>): void {
    if (this.#isRefused(key)) return reply.resolve(undefined);
    const isMended = this.#isMended(key);
    if (this.#catalogue.map.get(key) === undefined) {
      return isMended ? reply.reject(damagedRecord(REPAIR_SOON_MS)) : reply.resolve(undefined);
    }
    this.#answer(async () => {
      const bytes = await this.#store.get(rowKey(this.#catalogue.number, "record", key));
      // It is in the map again, its row on the way.
      if (bytes === undefined && isMended) throw damagedRecord(REPAIR_SOON_MS);
      if (bytes === undefined) return undefined;
      const record = this.#read(bytes, key);
      return record === undefined ? "withheld" : { key, record, bytes };
    }, reply);
  }

  #prove(query: Extract<CatalogueQuery, { type: "prove" }>): void {
    const { map, head, number, state } = this.#catalogue;
    if (this.#isRefused(query.key)) return query.reply.resolve("absent");
    if (this.#isMended(query.key)) return query.reply.reject(damagedRecord(REPAIR_SOON_MS));
    if (map.get(query.key) === undefined) return query.reply.resolve("absent");
    if (head === undefined || state !== "complete") return query.reply.resolve("not_provable");
    const { siblings } = prove(mapReader(map), query.key).proof;
    const { signed } = head;
    // Taken in the same turn as the proof, so that the record is of the same version.
    const snapshot = this.#store.snapshot();
    this.#answer(async () => {
      try {
        const record = await snapshot.get(rowKey(number, "record", query.key));
        return record === undefined || this.#read(record, query.key) === undefined
          ? "absent"
          : { record, key: query.key, siblings, head: signed };
      } finally {
        await snapshot.close();
      }
    }, query.reply);
  }

  #list(request: ListRequest): void {
    const { number } = this.#catalogue;
    const parts = {
      ...{ store: this.#store, number, mending: this.#mending, read: this.#read },
      isRefused: (key: Uint8Array) => this.#isRefused(key),
    };
    this.#task(
      () => listRecords(parts, request),
      (outcome) => {
        if (!outcome.ok) return this.#failed(outcome.error, request.reply);
        const { damaged, ...listed } = outcome.value;
        for (const key of damaged) this.#damaged(key);
        return request.reply.resolve(listed);
      },
    );
  }

  #serve(request: SyncRequest, reply: Reply<Answer | RefusalCode>): void {
    if (!this.#ready()) return reply.resolve(this.#refusal());
    const { epoch, log, sequenceBase, recent } = this.#catalogue;
    const { baseSize } = request;
    if (baseSize === 0 && equal(request.baseRoot, EMPTY)) {
      return reply.resolve(answerWhole(this.#context(request.epoch, request.logSize)));
    }
    if (request.epoch !== epoch || baseSize > log.size || baseSize === 0) return reply.resolve("unknown_base");
    const base = sequenceBase + baseSize;
    const root = baseSize === log.size ? this.#catalogue.mapRoot : recent.rootAt(base);
    if (root !== undefined && root !== hex(request.baseRoot)) return reply.resolve("unknown_base");
    const keys = root === undefined ? undefined : recent.after(base);
    if (keys !== undefined) return reply.resolve(answerChanges(this.#context(epoch, request.logSize), keys));
    this.#scan(request, base, reply);
  }

  /** A base from before what memory holds: the log says whether it was ours, the change log what has changed since. */
  #scan(request: SyncRequest, base: number, reply: Reply<Answer | RefusalCode>): void {
    const { number, floor, sequence } = this.#catalogue;
    if (base < floor) return reply.resolve("unknown_base");
    const run = async (): Promise<Uint8Array[] | "unknown_base"> => {
      const leaf = await this.#store.get(rowKey(number, "leaf", u48(request.baseSize - 1)));
      if (leaf === undefined || leaf.length === HASH_BYTES) return "unknown_base";
      if (decodeCommit(leaf).roots.map !== hex(request.baseRoot)) return "unknown_base";
      const keys: Uint8Array[] = [];
      for await (const rows of this.#store.scan(tableRange(number, "change", u48(base + 1)))) {
        for (const [key] of rows) keys.push(Uint8Array.from(rowSuffix(key).subarray(6)));
      }
      return keys;
    };
    this.#task(run, (outcome) => {
      if (!outcome.ok) return reply.reject(outcome.error);
      if (outcome.value === "unknown_base") return reply.resolve("unknown_base");
      // Versions that were completed while the scan ran are in memory.
      const since = this.#catalogue.recent.after(sequence);
      if (since === undefined || !this.#ready()) return reply.resolve("busy");
      const keys = sortedUnique([...outcome.value, ...since]);
      return reply.resolve(answerChanges(this.#context(request.epoch, request.logSize), keys));
    });
  }

  #answer<T>(run: () => Promise<T>, reply: Reply<T>): void {
    this.#task(run, (outcome) => {
      if (outcome.ok) return reply.resolve(outcome.value);
      return this.#failed(outcome.error, reply);
    });
  }

  #failed(error: Error, reply: Reply<never>): void {
    const key = damagedKey(error);
    return reply.reject(key === undefined ? error : damagedRecord(this.#damaged(key), error));
  }

  #isMended(key: Uint8Array): boolean {
    return this.#mending.size > 0 && this.#mending.has(hex(key));
  }
}
