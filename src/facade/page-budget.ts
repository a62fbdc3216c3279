import { throttledProblem } from "./refusals.ts";

/** What one page costs before it holds anything, in bytes like all costs here. */
export const PAGE_COST = 16_384;
/** A proof of its own with a change, beyond its bytes: it takes as long to make as so many bytes of records. */
export const CHANGE_PROOF_COST = 1_536;
/** Of one registry that the operator named, in a minute: a million agents with one proof for each page in about two. */
export const WANTED_COST_PER_MINUTE = 268_435_456;
/** Of any other registry, in a minute, and of all of them together, since names cost nothing. */
export const OTHER_COST_PER_MINUTE = 100_663_296;
export const OTHERS_COST_PER_MINUTE = 301_989_888;
/** What may come at once, as a share of a minute's. */
const BURST_SHARE: number = 1 / 6;
/** Registries whose cost is remembered; who was quiet for longest is forgotten. */
export const COSTED_REGISTRIES_MAX = 4_096;
const MINUTE_MS = 60_000;

/**
 * What pages cost each registry (T25). A page is charged when it is known what it costs, so that a registry may fall into debt by
 * the page in work, and waits until that is paid off.
 */
export class PageBudget {
  /** Monotonic time when all that was charged is paid off, in the order in which it was charged. */
  readonly #paidAtMs = new Map<string, number>();
  #othersPaidAtMs = 0;

  /** @param nowMs monotonic @throws ProblemError `too_many_requests` */
  check(did: string, isWanted: boolean, nowMs: number): void {
    const ownMs = (this.#paidAtMs.get(did) ?? 0) - nowMs;
    const waitMs = (isWanted ? ownMs : Math.max(ownMs, this.#othersPaidAtMs - nowMs)) - MINUTE_MS * BURST_SHARE;
    if (waitMs > 0) throw throttledProblem("the pages that your registry may take are used up for now", waitMs);
  }

  /** @param cost in bytes @param nowMs monotonic */
  charge(did: string, isWanted: boolean, cost: number, nowMs: number): void {
    const costMs = (cost / (isWanted ? WANTED_COST_PER_MINUTE : OTHER_COST_PER_MINUTE)) * MINUTE_MS;
    const paidAtMs = Math.max(this.#paidAtMs.get(did) ?? nowMs, nowMs) + costMs;
    // Deleted first, so that the oldest key of the map is the one that was quiet for longest.
    this.#paidAtMs.delete(did);
    if (this.#paidAtMs.size >= COSTED_REGISTRIES_MAX) this.#paidAtMs.delete(this.#paidAtMs.keys().next().value as string);
    this.#paidAtMs.set(did, paidAtMs);
    if (!isWanted) this.#othersPaidAtMs = Math.max(this.#othersPaidAtMs, nowMs) + (cost / OTHERS_COST_PER_MINUTE) * MINUTE_MS;
  }
}
