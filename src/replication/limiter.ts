import type { RequestBudget } from "../federation-api.ts";

/** Share of the minute's requests that flows evenly; the rest may come at once. Together they are never more than the limit. */
const STEADY_SHARE = 0.8;
/** Peers whose rate is remembered; who was quiet for longest is forgotten, which costs it nothing. */
export const LIMITED_PEERS_MAX = 4_096;
const MINUTE_MS = 60_000;

/** Under pressure every rate shrinks by this factor a second, down to the floor; without it the rate grows back by the step. */
const SHRINK = 0.7;
const RATE_FLOOR = 0.1;
const RATE_STEP = 0.05;

/** Requests of one peer over time: the generic cell rate algorithm (ITU-T I.371), a clock reading for each peer. */
export class RequestLimiter {
  readonly #perMinuteMax: number;
  readonly #intervalMs: number;
  readonly #burst: number;
  readonly #dueAtMs = new Map<string, number>();
  #rate = 1;

  /** @param perMinuteMax requests of one peer in any 60 s, at least 1 */
  constructor(perMinuteMax: number) {
    const steady = Math.max(1, perMinuteMax * STEADY_SHARE);
    this.#perMinuteMax = perMinuteMax;
    this.#intervalMs = MINUTE_MS / steady;
    this.#burst = Math.max(1, perMinuteMax - steady);
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
    return this.take(peerId, nowMs).retryAfterMs;
  }

  /** The same, with all that a peer is told about its budget. */
  take(peerId: string, nowMs: number): RequestBudget {
    const intervalMs = this.#intervalMs / this.#rate;
    const toleranceMs = intervalMs * (this.#burst - 1);
    const due = Math.max(this.#dueAtMs.get(peerId) ?? nowMs, nowMs);
    const waitMs = Math.max(0, due - nowMs - toleranceMs);
    const next = waitMs > 0 ? due : due + intervalMs;
    if (waitMs === 0) {
      this.#dueAtMs.delete(peerId);
      if (this.#dueAtMs.size >= LIMITED_PEERS_MAX) this.#dueAtMs.delete(this.#dueAtMs.keys().next().value as string);
      this.#dueAtMs.set(peerId, next);
    }
    return {
      retryAfterMs: Math.ceil(waitMs),
      limit: Math.max(1, Math.floor(this.#perMinuteMax * this.#rate)),
      remaining: Math.max(0, Math.floor((toleranceMs - (next - nowMs)) / intervalMs) + 1),
      resetMs: Math.ceil(next - nowMs),
    };
  }
}
