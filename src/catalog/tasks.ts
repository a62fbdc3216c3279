import type { Outcome } from "../actors/actor.ts";

/** Starts a task of the actor and hands its outcome to `then` inside the actor's own turn. */
export type RunTask = <T>(run: (signal: AbortSignal) => Promise<T>, then: (outcome: Outcome<T>) => void) => void;
