import type { SessionResult } from "../../protocols/catalog-sync/client.ts";
import { LOG_LEAVES_MAX, type BatchEntry, type Refusal } from "../../protocols/catalog-sync/messages.ts";
import { ROOT_PREFIX } from "../../protocols/checkpoint/prefix.ts";
import { PAGE_CHANGES_MAX, type CatalogPage, type PageRequest } from "../../protocols/http/catalog-page.ts";
import { verifyCatalogPage, type VerifiedPage } from "../../protocols/http/verify-page.ts";
import { fromHex } from "../../protocols/lib/bytes.ts";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import { HASH_BYTES } from "../../protocols/lib/hash.ts";
import type { Clock } from "../ports/clock.ts";
import type { Web, WebPeer } from "../ports/web.ts";
import { changesOf, Gathered } from "./gathered.ts";
import { SMALL_BYTES_MAX, SMALL_CHANGES_MAX, type ReplicaSession } from "./session.ts";
import type { KeyRange } from "./session-ports.ts";
import { WebPages } from "./web-pages.ts";

/** Passes over a catalogue that moves on between its pages; each brings only what moved in the one before. */
export const PASSES_MAX = 8;
/** Passes of one walk that begin anew because their cursor was refused: the peer was started again between two pages. */
export const RENEWALS_MAX = 2;

export interface WebSessionOptions {
  readonly session: ReplicaSession;
  readonly web: Web;
  readonly peer: WebPeer;
  /** Ask from the beginning, because a version that we named led nowhere. */
  readonly whole: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * One session over HTTP: brings the replica to the peer's newest version page by page, each page verified
 * before anything of it is kept, and waits for what it has under way to the disk.
 * @throws ProtocolError, WebError, StoreError
 */
export async function runWebSession(options: WebSessionOptions): Promise<SessionResult> {
  const { session, web, peer, clock, signal } = options;
  const pages = new WebPages({ web, peer, clock, signal });
  try {
    const { request, leaves } = await session.plan();
    const common = { session, pages, did: request.registry, logSize: request.logSize, leaves };
    const base = options.whole || request.baseSize === 0 ? undefined : request.baseRoot;
    const result = await new Walk({ ...common, base }).run();
    const isUnknown = result.outcome === "refused" && result.refusal.code === "unknown_base";
    return isUnknown && base !== undefined ? await new Walk({ ...common, base: undefined }).run() : result;
  } finally {
    await session.written();
  }
}

interface WalkOptions {
  readonly session: ReplicaSession;
  readonly pages: WebPages;
  readonly did: string;
  /** Leaves of the log that we hold. */
  readonly logSize: number;
  /** Agents that we hold. */
  readonly leaves: number;
  /** Map root of our version; absent from the beginning. */
  readonly base: Uint8Array | undefined;
}

/** What one pass saw; it is whole when no commit came between its pages. */
interface Pass {
  readonly first: VerifiedPage["head"];
  readonly isOneVersion: boolean;
}

class Walk {
  readonly #options: WalkOptions;
  #gathered = new Gathered();
  #bulk = false;
  #pass = 0;
  #renewals = 0;
  /** Leaf hashes that came, from `logSize` on. */
  readonly #leaves: Uint8Array[] = [];
  #leafCount = 0;
  #newest: { readonly page: CatalogPage; readonly head: VerifiedPage["head"] } | undefined;

  constructor(options: WalkOptions) {
    this.#options = options;
  }

  get #isWhole(): boolean {
    return this.#options.base === undefined;
  }

  async run(): Promise<SessionResult> {
    let [from, agents] = [this.#options.base, this.#options.leaves];
    for (; this.#pass < PASSES_MAX; this.#pass += 1) {
      const pass = await this.#passed(from, agents);
      if (pass === "beyond") return { outcome: "not_foldable" };
      if ("kind" in pass) return { outcome: "refused", refusal: pass };
      if (pass.isOneVersion) return this.#finish();
      from = fromHex(pass.first.commit.roots.map, HASH_BYTES);
      agents = pass.first.commit.agents;
    }
    return { outcome: "refused", refusal: { kind: "refusal", code: "busy", retryAfterMs: 0 } };
  }

  async #passed(baseRoot: Uint8Array | undefined, agents: number): Promise<Pass | Refusal | "beyond"> {
    for (;;) {
      const pass = await this.#walk(baseRoot, agents);
      if (pass !== "renew") return pass;
      // What was taken is told anew with whatever went since, but from the beginning only what is there is told.
      if (this.#pass === 0) this.#gathered = new Gathered();
    }
  }

  /** All pages since `baseRoot`, the version with so many agents. */
  async #walk(baseRoot: Uint8Array | undefined, agents: number): Promise<Pass | Refusal | "renew" | "beyond"> {
    const { pages, did } = this.#options;
    let [cursor, after]: [string | undefined, Uint8Array | undefined] = [undefined, undefined];
    let pass: Pass | undefined;
    let deletes = 0;
    do {
      const request: PageRequest = {
        ...{ limit: PAGE_CHANGES_MAX, proofs: "multi", logSize: this.#options.logSize + this.#leafCount },
        ...(baseRoot !== undefined && { baseRoot }),
        ...(cursor !== undefined && { cursor }),
      };
      const page = await pages.get(request);
      if ("kind" in page) {
        const isRenewed = page.code === "bad_request" && cursor !== undefined && this.#renewals++ < RENEWALS_MAX;
        return isRenewed ? "renew" : page;
      }
      const verified = verifyCatalogPage(page, { request, did, ...(after !== undefined && { after }) });
      deletes += page.changes.filter(({ op }) => op === "delete").length;
      const deletesMax = agents + verified.head.commit.agents;
      if (deletes > deletesMax) return beyond(deletes, deletesMax, baseRoot);
      await this.#accept(page, verified);
      if (page.nextCursor !== undefined && page.changes.length === 0)
        throw new ProtocolError("bad_frame", "a page without changes names a next one");
      const last = page.nextCursor === undefined ? undefined : verified.lastKey;
      await this.#take(changesOf(page.changes, verified.claims), { after, last });
      pass = next(pass, verified.head);
      [cursor, after] = [page.nextCursor, verified.lastKey];
    } while (cursor !== undefined);
    return pass;
  }

  /** The page's head may be kept, and its leaves; versions never go back on the way. */
  async #accept(page: CatalogPage, { head }: VerifiedPage): Promise<void> {
    const { session, logSize } = this.#options;
    const { size } = head.checkpoint;
    const before = this.#newest;
    if (before !== undefined && size < before.head.checkpoint.size)
      throw new ProtocolError("out_of_order", `a page of ${size} commits followed one of ${before.head.checkpoint.size}`);
    if (size - logSize > LOG_LEAVES_MAX)
      throw new ProtocolError("limit_exceeded", `${size - logSize} leaves of the log, at most ${LOG_LEAVES_MAX} are taken`);
    if (before?.page.head.note !== page.head.note) await session.expect({ head: page.head, logLeaves: size - logSize });
    this.#newest = { page, head };
    if (page.logLeaves === undefined) return;
    this.#leaves.push(page.logLeaves);
    this.#leafCount += page.logLeaves.length / HASH_BYTES;
  }

  /** A few changes wait for the end; many are applied as they come, from the beginning each page in place of what we had there. */
  async #take(changes: readonly BatchEntry[], range: KeyRange): Promise<void> {
    const { session } = this.#options;
    const replaces = this.#isWhole && this.#pass === 0;
    if (this.#bulk) return session.page(changes, replaces ? range : undefined);
    this.#gathered.add(changes as Parameters<Gathered["add"]>[0]);
    if (this.#gathered.size <= SMALL_CHANGES_MAX && this.#gathered.bytes <= SMALL_BYTES_MAX) return;
    this.#bulk = true;
    await session.openPages(this.#isWhole ? this.#ended().head.commit.agents : this.#gathered.size);
    const last = replaces ? range.last : undefined;
    await session.page(this.#gathered.sorted(), this.#isWhole ? { last } : undefined);
  }

  async #finish(): Promise<SessionResult> {
    const leaves = await this.#missingLeaves();
    if ("kind" in leaves) return { outcome: "refused", refusal: leaves };
    return this.#bulk ? this.#finishPages(leaves) : this.#finishSmall(leaves);
  }

  async #finishPages(leaves: Uint8Array): Promise<SessionResult> {
    const { session } = this.#options;
    // Since a base it may be the base that is not what we think; from the beginning only the peer is to blame.
    if (!this.#isWhole && !(await session.fits())) return { outcome: "not_foldable" };
    await session.endPages(leaves);
    return { outcome: "completed", changes: 0 };
  }

  /** One transaction, as an answer over a stream with a single batch. */
  async #finishSmall(logLeaves: Uint8Array): Promise<SessionResult> {
    const { session } = this.#options;
    const { page, head } = this.#ended();
    const gathered = this.#gathered.sorted();
    const entries = this.#isWhole ? gathered.filter(({ op }) => op === "put") : gathered;
    const changes = entries.length;
    const all = { prefix: ROOT_PREFIX, hash: fromHex(head.commit.roots.map, HASH_BYTES), changes };
    const frontier = changes === 0 && !this.#isWhole ? [] : [all];
    const mode = this.#isWhole ? "replace" : "delta";
    const verdict = await session.begin({ head: page.head, mode, logLeaves, frontier, changes });
    if (verdict === "current") return { outcome: "current", changes };
    if (verdict === "descend") return { outcome: "not_foldable" };
    if (frontier.length > 0) {
      try {
        await session.batch(0, entries);
      } catch (error) {
        if (!this.#isWhole && error instanceof ProtocolError && error.code === "bad_proof") return { outcome: "not_foldable" };
        throw error;
      }
    }
    await session.end();
    return { outcome: "completed", changes };
  }

  /** Every leaf from ours to the newest head, in one array; those that did not ride on the pages are asked for. */
  async #missingLeaves(): Promise<Uint8Array | Refusal> {
    const { pages, did, logSize } = this.#options;
    const { checkpoint, commit } = this.#ended().head;
    const wanted = checkpoint.size - logSize;
    while (this.#leafCount < wanted) {
      const baseRoot = fromHex(commit.roots.map, HASH_BYTES);
      const request: PageRequest = { baseRoot, limit: 1, proofs: "none", logSize: logSize + this.#leafCount };
      const page = await pages.get(request);
      if ("kind" in page) return page;
      verifyCatalogPage(page, { request, did });
      if (page.logLeaves === undefined || page.logLeaves.length === 0)
        throw new ProtocolError("bad_frame", "the answer does not bring the log leaves that we lack");
      this.#leaves.push(page.logLeaves);
      this.#leafCount += page.logLeaves.length / HASH_BYTES;
    }
    return Buffer.concat(this.#leaves).subarray(0, wanted * HASH_BYTES);
  }

  #ended(): { readonly page: CatalogPage; readonly head: VerifiedPage["head"] } {
    if (this.#newest === undefined) throw new Error("no page came");
    return this.#newest;
  }
}

/**
 * That a key is absent can be proven of any key there is: without a bound a walk need never end (T36). Since a version there may be
 * honest ones beyond it, of agents that came and went; then the whole catalogue is shorter to tell, and who invents them gains nothing.
 */
function beyond(deletes: number, max: number, baseRoot: Uint8Array | undefined): "beyond" {
  if (baseRoot !== undefined) return "beyond";
  throw new ProtocolError("limit_exceeded", `${deletes} agents are said to be gone, of at most ${max} that were ever there`);
}

function next(pass: Pass | undefined, head: VerifiedPage["head"]): Pass {
  if (pass === undefined) return { first: head, isOneVersion: true };
  const isSame = pass.first.commit.roots.map === head.commit.roots.map;
  return { first: pass.first, isOneVersion: pass.isOneVersion && isSame };
}
