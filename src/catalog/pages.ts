import type { SignedHead } from "../../protocols/checkpoint/head.ts";
import { EMPTY } from "../../protocols/checkpoint/map.ts";
import { proveMany, type MapMultiproof } from "../../protocols/checkpoint/map-multiproof.ts";
import { prove, type MapProof } from "../../protocols/checkpoint/map-proof.ts";
import {
  PAGE_CHANGES_MAX,
  PAGE_LOG_LEAVES_MAX,
  PAGE_RECORD_BYTES_MAX,
  type CatalogPage,
  type PageChange,
  type PageRefusal,
  type PageRequest,
} from "../../protocols/http/catalog-page.ts";
import { equal, fromUtf8, hex } from "../../protocols/lib/bytes.ts";
import type { AgentRecord } from "../../protocols/record/record.ts";
import type { Reply } from "../actors/actor.ts";
import { StoreError, type Store, type StoreSnapshot } from "../ports/store.ts";
import type { Catalogue } from "./catalogue.ts";
import { ChangeIndex } from "./change-index.ts";
import { commitOf, findBase, type Versions } from "./page-base.ts";
import { decodePageCursor, encodePageCursor, type PageCursor } from "./page-cursor.ts";
import { FirstKeys } from "./page-keys.ts";
import { rowKey } from "./rows.ts";
import type { RunTask } from "./tasks.ts";
import { tombstoneDid } from "./tombstone.ts";
import { mapReader } from "./tree/reader.ts";
import { keysAfter } from "./tree/walk.ts";

/** Newest rows of the change log that pages are made from; whoever lacks more begins without a base. */
export const PAGE_SCAN_ROWS_MAX = 262_144;
/** Records read at a time: what is read beyond a page's bytes is lost work. */
const READ_RECORDS = 64;
/** Attempts at one page whose records are too large for it; each takes only as many as fitted before. */
const PAGE_TRIES_MAX = 4;

export interface PagesOptions {
  readonly catalogue: Catalogue;
  readonly store: Store;
  readonly task: RunTask;
  /** Rejects a query whose reading failed. */
  readonly failed: (error: Error, reply: Reply<never>) => void;
}

interface Asked {
  readonly request: PageRequest;
  readonly cursor: PageCursor | undefined;
  readonly limit: number;
  readonly tries: number;
  readonly reply: Reply<CatalogPage | PageRefusal>;
}

/** What was settled in one turn, so that all of it is of one version. */
interface Draft {
  readonly base: number;
  readonly keys: readonly Uint8Array[];
  /** V of each key; absent where it is not in the map. */
  readonly present: readonly boolean[];
  readonly more: boolean;
  readonly head: SignedHead;
  readonly versions: Versions;
  readonly epoch: number;
  readonly proofs?: readonly MapProof[];
  readonly multiproof?: MapMultiproof;
  readonly logLeaves?: Uint8Array;
  readonly snapshot: StoreSnapshot;
}

/**
 * Pages of changes for askers over HTTP (sync.md): no walk has state here, and a page costs what it holds, for
 * which all of them share one index of the change log.
 */
export class CatalogPages {
  readonly #options: PagesOptions;
  readonly #catalogue: Catalogue;
  /** Of the change log, once somebody asked for more than memory has; the changes since are in memory, else it is read anew. */
  #index: ChangeIndex | undefined;
  #reading: Promise<ChangeIndex> | undefined;

  constructor(options: PagesOptions) {
    this.#options = options;
    this.#catalogue = options.catalogue;
  }

  answer(request: PageRequest, reply: Reply<CatalogPage | PageRefusal>): void {
    const { epoch, sequence } = this.#catalogue;
    const refusal = this.#notReady();
    if (refusal !== undefined) return reply.resolve(refusal);
    const cursor = request.cursor === undefined ? undefined : decodePageCursor(request.cursor);
    if (request.cursor !== undefined && cursor === undefined) return reply.resolve("bad_cursor");
    if (cursor !== undefined && cursor.epoch !== epoch) return reply.resolve("unknown_base");
    const { sequenceBase } = this.#catalogue;
    if (cursor !== undefined && (cursor.base > cursor.firstSize + sequenceBase || cursor.firstSize + sequenceBase > sequence))
      return reply.resolve("bad_cursor");
    const limit = Math.max(1, Math.min(request.limit, PAGE_CHANGES_MAX));
    const asked = { request, cursor, limit, tries: 0, reply };
    const base = cursor?.base ?? this.#knownBase(request);
    if (base !== undefined) return this.#select(asked, base);
    const { store } = this.#options;
    const versions = this.#versions();
    this.#run(
      asked,
      () => findBase(store, versions, request),
      (found) => {
        if (found === undefined) return reply.resolve("unknown_base");
        this.#select(asked, found);
      },
    );
  }

  /** The base where memory tells it. */
  #knownBase({ baseRoot, lastSyncMs }: PageRequest): number | undefined {
    if (baseRoot === undefined) return lastSyncMs === undefined ? 0 : undefined;
    if (equal(baseRoot, EMPTY)) return 0;
    const { mapRoot, recent, sequence } = this.#catalogue;
    return hex(baseRoot) === mapRoot ? sequence : recent.sequenceOf(hex(baseRoot));
  }

  #notReady(): "busy" | "empty" | undefined {
    if (this.#catalogue.state !== "complete") return "busy";
    return this.#catalogue.head === undefined ? "empty" : undefined;
  }

  #versions(): Versions {
    const { number, sequenceBase, log } = this.#catalogue;
    return { number, sequenceBase, logSize: log.size };
  }

  /** The keys of the page, and one more if there are more. */
  #select(asked: Asked, base: number): void {
    const { map, floor, recent, number, sequence } = this.#catalogue;
    const { cursor, limit, reply } = asked;
    const after = cursor?.after;
    if (base === 0) return this.#draft(asked, base, keysAfter(map, after, limit + 1));
    if (base < floor) return reply.resolve("unknown_base");
    const changed = recent.since(base);
    if (changed !== undefined) return this.#draft(asked, base, firstOf(changed, after, limit + 1).keys());
    const indexed = this.#index;
    const since = indexed && recent.since(indexed.upTo);
    if (indexed !== undefined && since !== undefined) return this.#selectIndexed(asked, base, indexed, since);
    this.#run(
      asked,
      (signal) => (this.#reading ??= this.#readIndex(number, sequence, signal)),
      (index) => {
        this.#index = index;
        // Versions that were completed while it was read are in memory.
        const changedSince = this.#catalogue.recent.since(index.upTo);
        if (changedSince === undefined) return reply.resolve("busy");
        this.#selectIndexed(asked, base, index, changedSince);
      },
    );
  }

  /** One at a time, for all who wait. */
  async #readIndex(number: number, upTo: number, signal: AbortSignal): Promise<ChangeIndex> {
    try {
      return await ChangeIndex.read(this.#options.store, number, upTo, PAGE_SCAN_ROWS_MAX, signal);
    } finally {
      this.#reading = undefined;
    }
  }

  #selectIndexed(asked: Asked, base: number, index: ChangeIndex, since: Iterable<Uint8Array>): void {
    const { cursor, limit, reply } = asked;
    if (base < index.since) return reply.resolve("unknown_base");
    const first = firstOf(since, cursor?.after, limit + 1);
    for (const key of index.first(base, cursor?.after, limit + 1)) first.add(key);
    this.#draft(asked, base, first.keys());
  }

  /** Everything that must be of one version is taken here, in one turn. */
  #draft(asked: Asked, base: number, keys: readonly Uint8Array[]): void {
    const { request, limit, reply } = asked;
    const { map, epoch, head } = this.#catalogue;
    const refusal = this.#notReady();
    if (refusal !== undefined || head === undefined) return reply.resolve(refusal ?? "empty");
    const listed = keys.slice(0, limit);
    const reader = mapReader(map, request.proofs === "none" ? [] : listed);
    let snapshot: StoreSnapshot;
    try {
      snapshot = this.#options.store.snapshot();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return this.#options.failed(error, reply);
    }
    const logLeaves = this.#logLeaves(request.logSize);
    const draft: Draft = {
      ...{ base, epoch, snapshot, keys: listed, more: keys.length > limit, head: head.signed, versions: this.#versions() },
      present: listed.map((key) => map.get(key) !== undefined),
      ...(request.proofs === "change" && { proofs: listed.map((key) => prove(reader, key).proof) }),
      ...(request.proofs === "multi" && listed.length > 0 && { multiproof: proveMany(reader, listed) }),
      ...(logLeaves !== undefined && { logLeaves }),
    };
    this.#run(
      asked,
      () => read(asked, draft),
      (page) => {
        if (typeof page !== "object" || "changes" in page) return reply.resolve(page);
        if (asked.tries + 1 === PAGE_TRIES_MAX) return reply.resolve("busy");
        this.#select({ ...asked, limit: page.fitting, tries: asked.tries + 1 }, base);
      },
    );
  }

  #logLeaves(from: number | undefined): Uint8Array | undefined {
    const { log } = this.#catalogue;
    if (from === undefined || from > log.size) return undefined;
    const count = Math.min(log.size - from, PAGE_LOG_LEAVES_MAX);
    return Buffer.concat(Array.from({ length: count }, (_, i) => log.leafHash(from + i)));
  }

  #run<T>({ reply }: Asked, run: (signal: AbortSignal) => Promise<T>, then: (value: T) => void): void {
    this.#options.task(run, (outcome) => (outcome.ok ? then(outcome.value) : this.#options.failed(outcome.error, reply)));
  }
}

function firstOf(changed: Iterable<Uint8Array>, after: Uint8Array | undefined, count: number): FirstKeys {
  const first = new FirstKeys(after, count);
  for (const key of changed) first.add(key);
  return first;
}

/** The page, or how many of its changes fit into one. */
async function read({ request, cursor }: Asked, draft: Draft): Promise<CatalogPage | PageRefusal | { readonly fitting: number }> {
  const { snapshot, keys, more, epoch, versions, base, head, multiproof, logLeaves } = draft;
  try {
    const changes: PageChange[] = [];
    let bytes = 0;
    for (let from = 0; from < keys.length; from += READ_RECORDS) {
      const rows = await snapshot.getMany(keys.slice(from, from + READ_RECORDS).map((key, i) => rowAt(draft, key, from + i)));
      for (const row of rows) {
        const i = changes.length;
        const proof = draft.proofs?.[i];
        const change = draft.present[i] === true ? written(row, base) : deleted(row);
        if (change === undefined) return "unknown_base";
        bytes += "record" in change ? change.record.length : 0;
        if (bytes > PAGE_RECORD_BYTES_MAX && i > 0) return { fitting: i };
        changes.push(proof === undefined ? change : { ...change, proof });
      }
    }
    const firstSize = cursor?.firstSize ?? versions.logSize;
    const synced = more ? await baseOf(draft, request) : await versionOf(snapshot, versions, versions.sequenceBase + firstSize);
    const after = keys.at(-1);
    return {
      ...{ changes, head, ...synced },
      ...(more && after !== undefined && { nextCursor: encodePageCursor({ epoch, firstSize, base, after }) }),
      ...(multiproof !== undefined && { multiproof }),
      ...(logLeaves !== undefined && { logLeaves }),
    };
  } catch (error) {
    if (isRottenTombstone(error, draft)) return "unknown_base";
    throw error;
  } finally {
    await snapshot.close();
  }
}

function rowAt({ versions, present }: Draft, key: Uint8Array, i: number): Uint8Array {
  return rowKey(versions.number, present[i] === true ? "record" : "tombstone", key);
}

function written(record: Uint8Array | undefined, base: number): PageChange {
  if (record === undefined) throw new Error("the stored records are not those of the map");
  // It was checked when it was written; a rule that came later must not keep it from those who hold its older revision.
  const { did, revision } = JSON.parse(fromUtf8(record)) as Pick<AgentRecord, "did" | "revision">;
  return { op: base === 0 || revision === 1 ? "create" : "update", did, record };
}

/** `undefined` where nothing says whose key it was: what cannot be named cannot be told. */
function deleted(tombstone: Uint8Array | undefined): PageChange | undefined {
  const did = tombstone && tombstoneDid(tombstone);
  return did === undefined ? undefined : { op: "delete", did };
}

/** It names its agent no more, and comes back from nobody; whoever asks from the beginning does not need it. */
function isRottenTombstone(error: unknown, draft: Draft): boolean {
  if (!(error instanceof StoreError) || error.code !== "damaged") return false;
  const { key: row } = error;
  return row !== undefined && draft.keys.some((key, i) => draft.present[i] !== true && equal(rowAt(draft, key, i), row));
}

interface Synced {
  readonly syncedRoot: Uint8Array;
  readonly syncedAtMs: number;
}

/** What the asker named; what it did not name is told from the version that it means. */
async function baseOf({ snapshot, versions, base }: Draft, { baseRoot, lastSyncMs }: PageRequest): Promise<Synced> {
  const known = base === 0 ? { syncedRoot: EMPTY, syncedAtMs: 0 } : await versionOf(snapshot, versions, base);
  return { syncedRoot: baseRoot ?? known.syncedRoot, syncedAtMs: lastSyncMs ?? known.syncedAtMs };
}

/** Of a version of an earlier epoch only its root is kept, and that the asker names itself. */
async function versionOf(snapshot: StoreSnapshot, versions: Versions, sequence: number): Promise<Synced> {
  const commit = await commitOf(snapshot, versions, sequence);
  if (commit === undefined) return { syncedRoot: EMPTY, syncedAtMs: 0 };
  return { syncedRoot: Buffer.from(commit.roots.map, "hex"), syncedAtMs: commit.time };
}
