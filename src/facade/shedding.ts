/** Under pressure the served share shrinks by this factor a second, down to the floor; without it the share grows by the step. */
const SHRINK = 0.7;
const SHARE_FLOOR = 0.1;
const SHARE_STEP = 0.05;
const PERIOD_MS = 1_000;

/** Sheds an even share of the requests while the process is above its limits (reputation, throttling). */
export class Shedding {
  readonly #pressure: () => number;
  #share = 1;
  /** Shares that were not served yet, below one request. */
  #credit = 0;
  #readAtMs = -Infinity;

  /** @param pressure above 1 is too much; read once a second */
  constructor(pressure: () => number) {
    this.#pressure = pressure;
  }

  /** Whether a request may be served at monotonic time `nowMs`. */
  admits(nowMs: number): boolean {
    this.#adapt(nowMs);
    this.#credit += this.#share;
    if (this.#credit < 1) return false;
    this.#credit -= 1;
    return true;
  }

  #adapt(nowMs: number): void {
    const periods = Math.floor((nowMs - this.#readAtMs) / PERIOD_MS);
    if (periods < 1) return;
    this.#readAtMs = nowMs;
    const isTooMuch = this.#pressure() > 1;
    // While nobody asked there was nothing to shed, and the share grew; pressure is known of this moment alone.
    this.#share = isTooMuch ? Math.max(SHARE_FLOOR, this.#share * SHRINK) : Math.min(1, this.#share + periods * SHARE_STEP);
  }
}
