import { CellRate, type Pace } from "../ports/cell-rate.ts";

/** Requests of each key at one fixed pace. Times are monotonic, in milliseconds. */
export class Rate {
  readonly #pace: Pace;
  readonly #requests: CellRate;

  /**
   * @param perMinute what flows evenly
   * @param burst what may come at once, at least 1
   * @param keysMax keys remembered; who was quiet for longest is forgotten, which costs it nothing
   */
  constructor(perMinute: number, burst: number, keysMax: number) {
    this.#pace = { perMinute, burst };
    this.#requests = new CellRate(keysMax);
  }

  /** How long `key` has to wait; 0 when a request would be served. Takes nothing. */
  waitMs(key: string, nowMs: number): number {
    return this.#requests.waitMs(key, nowMs, this.#pace);
  }

  /** Takes one request and returns 0, or takes nothing and returns how long to wait. */
  take(key: string, nowMs: number): number {
    return this.#requests.take(key, nowMs, this.#pace);
  }

  /** Takes one request whatever is left: for what shows only afterwards whether it counts. More than there was is waited for. */
  charge(key: string, nowMs: number): void {
    this.#requests.charge(key, nowMs, this.#pace);
  }
}
