import type { Clock } from "../../src/ports/clock.ts";

/** The machine's clock that can be set ahead: what was to happen in the time skipped happens at once. */
export class TestClock implements Clock {
  #aheadMs = 0;
  #wallAheadMs = 0;
  readonly #timers = new Set<{ readonly dueMs: number; readonly fire: () => void }>();

  now(): number {
    return Date.now() + this.#aheadMs + this.#wallAheadMs;
  }

  monotonic(): number {
    return performance.now() + this.#aheadMs;
  }

  after(delayMs: number, fire: () => void): () => void {
    const timer = { dueMs: this.monotonic() + delayMs, fire };
    this.#timers.add(timer);
    const real = setTimeout(() => this.#run(timer), delayMs).unref();
    return () => {
      clearTimeout(real);
      this.#timers.delete(timer);
    };
  }

  advance(ms: number): void {
    this.#aheadMs += ms;
    for (const timer of [...this.#timers]) if (timer.dueMs <= this.monotonic()) this.#run(timer);
  }

  /** The wall clock alone jumps. */
  jump(ms: number): void {
    this.#wallAheadMs += ms;
  }

  #run(timer: { readonly fire: () => void }): void {
    if (this.#timers.delete(timer as never)) timer.fire();
  }
}
