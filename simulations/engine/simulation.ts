import type { CancelTimer } from "../../src/ports/clock.ts";
import { EventQueue, type SimulatedEvent } from "./queue.ts";
import { SeededRandom } from "./random.ts";
import { Trace } from "./trace.ts";

/** More events than this in one run mean that something goes round in circles. */
export const EVENTS_MAX = 50_000_000;

/**
 * Events that one lap of Node's loop takes. Node drains all microtasks after each `setImmediate` callback; a lap of 64 costs
 * 0.4 µs an event, a lap of one 2.4 µs.
 */
const LAP_EVENTS = 64;

export interface SimulationOptions {
  readonly seed: string;
  readonly onTraceLine?: (line: string) => void;
}

/**
 * Virtual time. All that happens in a run is an event in one queue, ordered by time and then by scheduling; between two events
 * every microtask runs to its end. Nothing waits for the machine, so a run is as fast as its code and a function of its seed.
 */
export class Simulation {
  readonly seed: string;
  readonly random: SeededRandom;
  readonly trace: Trace;
  readonly #queue = new EventQueue();
  #nowMs = 0;
  #sequence = 0;
  #events = 0;

  constructor(options: SimulationOptions) {
    this.seed = options.seed;
    this.random = new SeededRandom(options.seed);
    this.trace = new Trace(options.onTraceLine);
  }

  /** Milliseconds since the run began, fractional. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events that have happened. */
  get events(): number {
    return this.#events;
  }

  /** Lets `fire` happen `delayMs` (≥ 0) from now. */
  after(delayMs: number, fire: () => void): CancelTimer {
    const atMs = this.#nowMs + Math.max(0, delayMs);
    const event: SimulatedEvent = { atMs, sequence: this.#sequence++, fire };
    this.#queue.push(event);
    return () => {
      event.fire = undefined;
    };
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(delayMs, resolve);
    });
  }

  /** `promise`, or `undefined` when it has not settled after `limitMs`. */
  async within<T>(promise: Promise<T>, limitMs: number): Promise<T | undefined> {
    const late = Promise.withResolvers<undefined>();
    const cancel = this.after(limitMs, () => late.resolve(undefined));
    try {
      return await Promise.race([promise, late.promise]);
    } finally {
      cancel();
    }
  }

  /**
   * Lets time pass until `script` has settled, and gives its result.
   * @throws SimulationError `deadlock` when nothing is left that could happen, `too_long` when it has not by `limitMs` of
   *   virtual time, `too_many_events`
   */
  run<T>(script: () => Promise<T>, limitMs: number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let running = true;
      const end = (finish: () => void): void => {
        running = false;
        finish();
      };
      const step = (): void => {
        if (!running) return;
        try {
          this.#step(limitMs);
        } catch (error) {
          end(() => reject(error as Error));
        }
      };
      const lap = (): void => {
        for (let i = 1; i < LAP_EVENTS; i++) setImmediate(step);
        setImmediate(() => {
          step();
          if (running) lap();
        });
      };
      script().then(
        (value) => end(() => resolve(value)),
        (error: unknown) => end(() => reject(error as Error)),
      );
      lap();
    });
  }

  #step(limitMs: number): void {
    const event = this.#queue.pop();
    if (event?.fire === undefined) throw new SimulationError("deadlock", `nothing is left to happen at ${this.#nowMs} ms`);
    if (event.atMs > limitMs) throw new SimulationError("too_long", `the script had not ended after ${limitMs} ms`);
    if (++this.#events > EVENTS_MAX) {
      throw new SimulationError("too_many_events", `more than ${EVENTS_MAX} events by ${this.#nowMs} ms`);
    }
    this.#nowMs = event.atMs;
    const fire = event.fire;
    event.fire = undefined;
    fire();
  }
}

export type SimulationErrorCode = "deadlock" | "too_long" | "too_many_events";

export class SimulationError extends Error {
  override readonly name = "SimulationError";
  readonly code: SimulationErrorCode;

  constructor(code: SimulationErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
