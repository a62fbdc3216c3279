import { fromUtf8, utf8 } from "../../../protocols/lib/bytes.ts";
import { isSelfCertified } from "../../../protocols/lib/did.ts";
import type { MutationResult } from "../../api.ts";
import { addressKeys } from "../address.ts";
import type { Caller } from "../caller.ts";
import type { FacadeContext } from "../context.ts";
import { ADDRESSES_MAX } from "../limits.ts";
import { ProblemError } from "../problem.ts";
import { Rate } from "../rate.ts";
import { throttledProblem } from "../refusals.ts";
import { facadeKey, readTable } from "../rows.ts";

/** Agents that one address (IPv6: one /64) may register by their own keys in a minute, and how many of them at once. */
export const CREATIONS_PER_ADDRESS_PER_MINUTE = 30;
export const CREATIONS_PER_ADDRESS_BURST = 30;
/**
 * Agents that all addresses together may register so in a day: as many as there may be at a time, and at least these. Each leaves
 * a row behind when it is removed, so that making and removing them must not go on without end.
 */
export const CREATIONS_PER_DAY_MIN = 1_000;
const DAY_MINUTES = 1_440;
/** While there is no room, agents that are gone by other ways than this one are looked for this often. */
export const RECOUNT_MS = 60_000;

interface Entry {
  /** Resolves when its row is durable: no agent is registered before. */
  readonly stored: Promise<void>;
  /** Registrations under way. */
  pending: number;
  /** The agent was registered, or may have been. */
  isKept: boolean;
  /** When a registration of it began or ended last, by `#serial`. */
  touched: number;
}

type Entries = Map<string, Entry>;
type Parts = Pick<FacadeContext, "store" | "clock" | "log"> & { readonly node: Pick<FacadeContext["node"], "publishes"> };

/**
 * The agents that nobody but their own key has let in: anybody can make such keys, so they are counted and bounded (T56). Each has
 * a row, written before its agent is registered, so that a crash at any moment counts one too many at the most; those are let go
 * when there is no room, as are agents that an operator has removed.
 */
export class SelfRegistered {
  readonly #parts: Parts;
  readonly #max: number;
  readonly #rate = new Rate(CREATIONS_PER_ADDRESS_PER_MINUTE, CREATIONS_PER_ADDRESS_BURST, ADDRESSES_MAX);
  readonly #all: Rate;
  #loaded: Promise<Entries> | undefined;
  #recount: Promise<void> | undefined;
  #recountedAtMs = Number.NEGATIVE_INFINITY;
  #serial = 0;

  /** @param max agents at a time; 0 lets none in */
  constructor(parts: Parts, max: number) {
    this.#parts = parts;
    this.#max = max;
    const perDay = Math.max(max, CREATIONS_PER_DAY_MIN);
    this.#all = new Rate(perDay / DAY_MINUTES, perDay, 1);
  }

  /**
   * Registers an agent on the authority of its key alone.
   * @param did carries an Ed25519 key
   * @throws ProblemError `registration_closed` (403), `registrations_full` (507), `too_many_requests` (429); StoreError
   */
  async register(
    did: string,
    { address }: Pick<Caller, "address">,
    create: () => Promise<MutationResult>,
  ): Promise<MutationResult> {
    if (this.#max === 0) throw closed();
    const { clock } = this.#parts;
    const waitMs = this.#rate.take(addressKeys(address).single, clock.monotonic());
    if (waitMs > 0) throw throttledProblem("too many agents were registered from your address; wait before the next", waitMs);
    const allWaitMs = this.#all.waitMs("", clock.monotonic());
    if (allWaitMs > 0) throw throttledProblem(`agents registered themselves too often in the last day: ${OTHER_WAY}`, allWaitMs);
    const entries = await this.#load();
    const isFull = (): boolean => !entries.has(did) && entries.size >= this.#max;
    if (isFull()) await this.#recountSoon(entries);
    if (isFull()) throw full(this.#max);
    const entry = entries.get(did) ?? this.#add(entries, did);
    entry.pending += 1;
    let isKept = false;
    try {
      await entry.stored;
      // Where no answer comes, it may have been registered.
      isKept = true;
      const result = await create();
      isKept = result.outcome !== "refused";
      // What is refused leaves nothing behind, and must not use up what there is for others.
      if (result.outcome === "created") this.#all.charge("", clock.monotonic());
      return result;
    } finally {
      entry.pending -= 1;
      entry.isKept ||= isKept;
      entry.touched = ++this.#serial;
      if (entry.pending === 0 && !entry.isKept) await this.#forget(entries, did);
    }
  }

  /** Removes an agent, and makes room where it was one of these. */
  async remove(did: string, remove: () => Promise<MutationResult>): Promise<MutationResult> {
    const since = this.#serial;
    const result = await remove();
    if (result.outcome !== "deleted" || !isSelfCertified(did)) return result;
    // What cannot be read now is found by a later recount.
    const entries = await this.#load().catch(() => undefined);
    if (entries !== undefined) await this.#letGo(entries, did, since);
    return result;
  }

  #add(entries: Entries, did: string): Entry {
    const put = { type: "put", key: rowKey(did), value: NOTHING } as const;
    const stored = this.#parts.store.batch([put], { durable: true });
    const entry = { stored, pending: 0, isKept: false, touched: ++this.#serial };
    entries.set(did, entry);
    return entry;
  }

  async #recountSoon(entries: Entries): Promise<void> {
    const nowMs = this.#parts.clock.monotonic();
    if (nowMs - this.#recountedAtMs >= RECOUNT_MS) {
      this.#recountedAtMs = nowMs;
      this.#recount = this.#letGoOfGone(entries);
    }
    await this.#recount;
  }

  async #letGoOfGone(entries: Entries): Promise<void> {
    for (const did of [...entries.keys()]) {
      const since = this.#serial;
      if (!(await this.#parts.node.publishes(did))) await this.#letGo(entries, did, since);
    }
  }

  /** Unless a registration began or ended after `since`, when the agent was not there: it may be there by now. */
  async #letGo(entries: Entries, did: string, since: number): Promise<void> {
    const entry = entries.get(did);
    if (entry !== undefined && entry.pending === 0 && entry.touched <= since) await this.#forget(entries, did);
  }

  async #forget(entries: Entries, did: string): Promise<void> {
    const { store, log } = this.#parts;
    entries.delete(did);
    try {
      await store.batch([{ type: "del", key: rowKey(did) }], { durable: false });
    } catch (error) {
      // Counted again from the next start on, until a recount.
      log.warn("the row of an agent that is no longer counted could not be deleted", { did, error });
    }
  }

  /** A load that failed is tried again by the next. */
  #load(): Promise<Entries> {
    this.#loaded ??= this.#read().catch((error: unknown) => {
      this.#loaded = undefined;
      throw error;
    });
    return this.#loaded;
  }

  async #read(): Promise<Entries> {
    const entries: Entries = new Map();
    const prefixBytes = facadeKey(TABLE).length;
    const stored = Promise.resolve();
    const add = (key: Uint8Array): void =>
      void entries.set(fromUtf8(key.subarray(prefixBytes)), { stored, pending: 0, isKept: true, touched: 0 });
    // All that a row says is in its key.
    await readTable(this.#parts.store, TABLE, { read: add, damaged: add });
    return entries;
  }
}

const TABLE = "selfRegistered";
const NOTHING = new Uint8Array(0);

function rowKey(did: string): Uint8Array {
  return facadeKey(TABLE, utf8(did));
}

const OTHER_WAY = "ask its operator to register the agent, or for a certificate of its name";

function closed(): ProblemError {
  const detail = `this registry registers no agents on the word of their own keys alone: ${OTHER_WAY}`;
  return new ProblemError(403, "registration_closed", detail);
}

function full(max: number): ProblemError {
  const detail = `this registry has registered ${max} agents on the word of their own keys alone, and takes no more: ${OTHER_WAY}`;
  return new ProblemError(507, "registrations_full", detail, { extra: { max } });
}
