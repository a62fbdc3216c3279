import type { Outcome } from "../actors/actor.ts";

/** How the parts of the membership actor do what takes several steps: `then` runs inside the actor's own turn. */
export interface Tasks {
  task<T>(run: (signal: AbortSignal) => Promise<T>, then: (outcome: Outcome<T>) => void): void;
  later(delayMs: number, run: () => void): void;
}
