/** Share of the minute's requests that flows evenly; the rest may come at once. Together they are never more than the limit. */
const STEADY_SHARE = 0.8;
/** Peers whose rate is remembered; who was quiet for longest is forgotten, which costs it nothing. */
export const LIMITED_PEERS_MAX = 4_096;
const MINUTE_MS = 60_000;

/** Requests of one peer over time: the generic cell rate algorithm (ITU-T I.371), a clock reading for each peer. */
export class RequestLimiter {
  readonly #intervalMs: number;
  readonly #toleranceMs: number;
  readonly #dueAtMs = new Map<string, number>();

  /** @param perMinuteMax requests of one peer in any 60 s, at least 1 */
  constructor(perMinuteMax: number) {
    const steady = Math.max(1, perMinuteMax * STEADY_SHARE);
    this.#intervalMs = MINUTE_MS / steady;
    this.#toleranceMs = this.#intervalMs * Math.max(0, perMinuteMax - steady - 1);
  }

  /** Takes one request at monotonic time `nowMs`: 0 when it may be served, else how long to wait. */
  retryAfterMs(peerId: string, nowMs: number): number {
    const due = Math.max(this.#dueAtMs.get(peerId) ?? nowMs, nowMs);
    const waitMs = due - nowMs - this.#toleranceMs;
    if (waitMs > 0) return Math.ceil(waitMs);
    this.#dueAtMs.delete(peerId);
    if (this.#dueAtMs.size >= LIMITED_PEERS_MAX) this.#dueAtMs.delete(this.#dueAtMs.keys().next().value as string);
    this.#dueAtMs.set(peerId, due + this.#intervalMs);
    return 0;
  }
}
