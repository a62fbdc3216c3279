/** Requests of one key over time, by the generic cell rate algorithm (ITU-T I.371): a clock reading for each key. */
export class Rate {
  readonly #intervalMs: number;
  readonly #toleranceMs: number;
  readonly #keysMax: number;
  readonly #dueAtMs = new Map<string, number>();

  /**
   * @param perMinute what flows evenly
   * @param burst what may come at once, at least 1
   * @param keysMax keys remembered; who was quiet for longest is forgotten, which costs it nothing
   */
  constructor(perMinute: number, burst: number, keysMax: number) {
    this.#intervalMs = MINUTE_MS / perMinute;
    this.#toleranceMs = this.#intervalMs * (burst - 1);
    this.#keysMax = keysMax;
  }

  /** How long `key` has to wait at monotonic time `nowMs`; 0 when a request would be served. Takes nothing. */
  waitMs(key: string, nowMs: number): number {
    return Math.max(0, Math.ceil((this.#dueAtMs.get(key) ?? nowMs) - nowMs - this.#toleranceMs));
  }

  /** Takes one request and returns 0, or takes nothing and returns how long to wait. */
  take(key: string, nowMs: number): number {
    const waitMs = this.waitMs(key, nowMs);
    if (waitMs > 0) return waitMs;
    this.charge(key, nowMs);
    return 0;
  }

  /** Takes one request whatever is left: for what shows only afterwards whether it counts. More than there was is waited for. */
  charge(key: string, nowMs: number): void {
    const due = Math.max(this.#dueAtMs.get(key) ?? nowMs, nowMs) + this.#intervalMs;
    // Deleted first, so that the oldest key of the map is the one that was quiet for longest.
    this.#dueAtMs.delete(key);
    if (this.#dueAtMs.size >= this.#keysMax) this.#dueAtMs.delete(this.#dueAtMs.keys().next().value as string);
    this.#dueAtMs.set(key, due);
  }
}

const MINUTE_MS = 60_000;
