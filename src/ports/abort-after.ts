import { NetworkError } from "./network.ts";
import type { Clock } from "./clock.ts";

/** A signal of its own that aborts after `delayMs` or with its parent; dispose of it, so that nothing is left on either. */
export class AbortAfter implements Disposable {
  readonly #controller = new AbortController();
  readonly #cancel: () => void;
  readonly #parent: AbortSignal;
  readonly #onAbort = (): void => this.#controller.abort(this.#parent.reason);

  constructor(clock: Clock, delayMs: number, parent: AbortSignal) {
    this.#parent = parent;
    this.#cancel = clock.after(delayMs, () => this.#controller.abort(new NetworkError("timeout", `no answer in ${delayMs} ms`)));
    parent.addEventListener("abort", this.#onAbort, { once: true });
    if (parent.aborted) this.#onAbort();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    this.#cancel();
    this.#parent.removeEventListener("abort", this.#onAbort);
  }
}
