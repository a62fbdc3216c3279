import { ANSWER_BYTES_MAX, ANSWER_BYTES_PER_ADDRESS_MAX, ANSWER_MS_MAX } from "./limits.ts";
import { Tally } from "./tally.ts";

/** Answers that are ready and not yet taken: bounded in bytes, for each address and in all, and in time (T22, zero window). */
export class PendingAnswers {
  /** In the order in which their time ends. */
  readonly #pending = new Set<Pending>();
  readonly #bytesOf = new Tally();
  #bytes = 0;

  /** Whether the address may be given more. */
  admits(address: string): boolean {
    return this.#bytes < ANSWER_BYTES_MAX && this.#bytesOf.of(address) < ANSWER_BYTES_PER_ADDRESS_MAX;
  }

  /**
   * @param giveUp ends the stream; called when the answer was not taken in time
   * @returns to be called when it was taken or its stream ended, once
   */
  add(address: string, bytes: number, nowMs: number, giveUp: () => void): () => void {
    const pending: Pending = { untilMs: nowMs + ANSWER_MS_MAX, giveUp };
    this.#pending.add(pending);
    this.#count(address, bytes);
    return () => {
      if (pending.isDone === true) return;
      pending.isDone = true;
      this.#pending.delete(pending);
      this.#count(address, -bytes);
    };
  }

  /** @param nowMs monotonic */
  sweep(nowMs: number): void {
    for (const pending of this.#pending) {
      if (pending.untilMs > nowMs) return;
      this.#pending.delete(pending);
      pending.giveUp();
    }
  }

  #count(address: string, bytes: number): void {
    this.#bytes += bytes;
    this.#bytesOf.add(address, bytes);
  }
}

interface Pending {
  readonly untilMs: number;
  readonly giveUp: () => void;
  isDone?: boolean;
}
