import type { Clock } from "../ports/clock.ts";

/** One answer for all who ask within a time: it is asked for once, and what failed is kept like what did not. */
export class Kept<T> {
  readonly #clock: Clock;
  readonly #keptMs: number;
  readonly #ask: () => Promise<T>;
  #answer: Promise<T> | undefined;
  #untilMs = 0;

  /** @param keptMs how long an answer counts once it is there, in milliseconds */
  constructor(clock: Clock, keptMs: number, ask: () => Promise<T>) {
    this.#clock = clock;
    this.#keptMs = keptMs;
    this.#ask = ask;
  }

  /** Rejects as `ask` did. */
  get(): Promise<T> {
    if (this.#answer !== undefined && this.#clock.monotonic() < this.#untilMs) return this.#answer;
    // While the answer is on its way nobody asks again.
    this.#untilMs = Infinity;
    const keep = (): void => {
      this.#untilMs = this.#clock.monotonic() + this.#keptMs;
    };
    const answer = this.#ask();
    this.#answer = answer;
    answer.then(keep, keep);
    return answer;
  }
}
