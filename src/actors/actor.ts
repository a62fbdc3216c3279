import type { CancelTimer } from "../ports/clock.ts";

/**
 * An actor: state that changes only inside `receive`, which is synchronous. What takes several steps is a task (see
 * `Context.task`). A throw from `receive` is a crash: the actor is made anew by its factory after a back-off.
 */
export interface Actor<M> {
  receive(message: M): void;
  /** Called once when the actor stops for good, not on a crash. */
  stopped?(): void;
}

/** What an actor may do besides changing its state. All of it dies with the actor's generation: a crash cancels tasks and timers. */
export interface Context<M> {
  readonly self: ActorRef<M>;
  /** Sends `message` to this actor after `delayMs`. */
  after(delayMs: number, message: M): CancelTimer;
  /**
   * Runs `run` beside the actor and sends `done(outcome)` to it at the end, unless the actor has crashed or stopped since.
   * The task holds no actor state: hand it a snapshot. The returned function aborts its signal. At most TASKS_MAX run at once.
   */
  task<T>(run: (signal: AbortSignal) => Promise<T>, done: (outcome: Outcome<T>) => M): () => void;
}

export type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: Error };

/** Where an answer goes: a field of every message that is asked. Only the first call counts. */
export interface Reply<R> {
  resolve(value: R): void;
  reject(error: Error): void;
}

/** The address of an actor: the only thing that others know of it. */
export interface ActorRef<M> {
  readonly name: string;
  /** False when the mailbox is full or the actor has stopped: the message was not taken. */
  tell(message: M): boolean;
  /** Sends `make(reply)` and waits for the reply. Rejects with `AskError`, or with what the actor rejected. */
  ask<R>(make: (reply: Reply<R>) => M, timeoutMs: number): Promise<R>;
}

export type AskErrorCode = "mailbox_full" | "timeout" | "crashed" | "stopped";

export class AskError extends Error {
  override readonly name = "AskError";
  readonly code: AskErrorCode;

  constructor(code: AskErrorCode, actor: string) {
    super(`${actor}: ${EXPLANATION[code]}`);
    this.code = code;
  }
}

const EXPLANATION: Record<AskErrorCode, string> = {
  mailbox_full: "is busy, its mailbox is full; try again later",
  timeout: "did not answer in time",
  crashed: "failed while it worked on this and is being restarted",
  stopped: "has stopped",
};

/** Tasks that one actor may run at a time. */
export const TASKS_MAX = 1_024;
