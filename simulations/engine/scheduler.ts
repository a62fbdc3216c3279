import type { Scheduler } from "../../src/ports/scheduler.ts";
import type { Power } from "./power.ts";
import type { SeededRandom } from "./random.ts";
import type { Simulation } from "./simulation.ts";

/** A turn begins within this time after it was asked for: the order among machines is drawn, not given. Milliseconds. */
export const TURN_DELAY_MS_MAX = 0.05;

/** Runs actor turns as events of virtual time, in the order in which they were asked for. */
export class VirtualScheduler implements Scheduler {
  readonly #simulation: Simulation;
  readonly #power: Power;
  readonly #random: SeededRandom;
  #lastMs = 0;

  constructor(simulation: Simulation, power: Power, random: SeededRandom) {
    this.#simulation = simulation;
    this.#power = power;
    this.#random = random;
  }

  schedule(turn: () => void): void {
    this.#power.countTurn(1);
    const { nowMs } = this.#simulation;
    this.#lastMs = Math.max(this.#lastMs, nowMs + this.#random.unit() * TURN_DELAY_MS_MAX);
    this.#simulation.after(this.#lastMs - nowMs, () => {
      this.#power.countTurn(-1);
      if (!this.#power.on) return;
      this.#simulation.trace.record(this.#simulation.nowMs, "turn", this.#power.name, "");
      turn();
    });
  }
}
