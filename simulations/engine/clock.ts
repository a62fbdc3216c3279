import type { CancelTimer, Clock } from "../../src/ports/clock.ts";
import type { Power } from "./power.ts";
import type { Simulation } from "./simulation.ts";

/** Wall time at the start of every run: 2030-01-01T00:00:00Z, far from the epoch and from today. */
export const START_UNIX_MS = 1_893_456_000_000;

/** The battery-backed clock of a machine: it survives crashes, may be wrong, and may jump. */
export class WallClock {
  readonly #simulation: Simulation;
  #offsetMs: number;

  constructor(simulation: Simulation, skewMs: number) {
    this.#simulation = simulation;
    this.#offsetMs = skewMs;
  }

  get offsetMs(): number {
    return this.#offsetMs;
  }

  /** Sets how far the clock is ahead of true time (behind, when negative), in milliseconds. */
  set(offsetMs: number): void {
    this.#offsetMs = offsetMs;
  }

  now(): number {
    return Math.floor(START_UNIX_MS + this.#simulation.nowMs + this.#offsetMs);
  }
}

/** The clock as one run of a process sees it. */
export class VirtualClock implements Clock {
  readonly #simulation: Simulation;
  readonly #wall: WallClock;
  readonly #power: Power;
  readonly #startedMs: number;

  constructor(simulation: Simulation, wall: WallClock, power: Power) {
    this.#simulation = simulation;
    this.#wall = wall;
    this.#power = power;
    this.#startedMs = simulation.nowMs;
  }

  now(): number {
    return this.#wall.now();
  }

  monotonic(): number {
    return this.#simulation.nowMs - this.#startedMs;
  }

  after(delayMs: number, fire: () => void): CancelTimer {
    const power = this.#power;
    if (!power.on) return () => undefined;
    const cancel = this.#simulation.after(delayMs, () => {
      power.disarm(cancel);
      if (!power.on) return;
      this.#simulation.trace.record(this.#simulation.nowMs, "timer", power.name, "");
      fire();
    });
    power.arm(cancel);
    return () => {
      power.disarm(cancel);
      cancel();
    };
  }
}
