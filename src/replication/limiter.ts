import type { RequestBudget } from "../federation-api.ts";
import { CellRate, type Pace } from "../ports/cell-rate.ts";

/** Share of the minute's requests that flows evenly; the rest may come at once. Together they are never more than the limit. */
const STEADY_SHARE = 0.8;
/** Peers whose rate is remembered; who was quiet for longest is forgotten, which costs it nothing. */
export const LIMITED_PEERS_MAX = 4_096;

/** Under pressure every rate shrinks by this factor a second, down to the floor; without it the rate grows back by the step. */
const SHRINK = 0.7;
const RATE_FLOOR = 0.1;
const RATE_STEP = 0.05;

/** Requests of each peer over time, at a pace that gives way under pressure. */
export class RequestLimiter {
  readonly #perMinuteMax: number;
  readonly #full: Pace;
  readonly #requests = new CellRate(LIMITED_PEERS_MAX);
  #rate = 1;

  /** @param perMinuteMax requests of one peer in any 60 s, at least 1 */
  constructor(perMinuteMax: number) {
    const steady = Math.max(1, perMinuteMax * STEADY_SHARE);
    this.#perMinuteMax = perMinuteMax;
    this.#full = { perMinute: steady, burst: Math.max(1, perMinuteMax - steady) };
  }

  /** Share of the full rate that is granted now, RATE_FLOOR to 1. */
  get rate(): number {
    return this.#rate;
  }

  /** Once a second. @param pressure above 1 is too much, see `ports/pressure.ts` */
  adapt(pressure: number): void {
    this.#rate = pressure > 1 ? Math.max(RATE_FLOOR, this.#rate * SHRINK) : Math.min(1, this.#rate + RATE_STEP);
  }

  /** Takes one request at monotonic time `nowMs`: 0 when it may be served, else how long to wait. */
  retryAfterMs(peerId: string, nowMs: number): number {
    return this.#requests.take(peerId, nowMs, this.#pace());
  }

  /** The same, with all that a peer is told about its budget. */
  take(peerId: string, nowMs: number): RequestBudget {
    const pace = this.#pace();
    const retryAfterMs = this.#requests.take(peerId, nowMs, pace);
    const { cells, resetMs } = this.#requests.left(peerId, nowMs, pace);
    return { retryAfterMs, limit: Math.max(1, Math.floor(this.#perMinuteMax * this.#rate)), remaining: cells, resetMs };
  }

  #pace(): Pace {
    return { ...this.#full, perMinute: this.#full.perMinute * this.#rate };
  }
}
