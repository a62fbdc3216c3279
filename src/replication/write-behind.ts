import type { Store, StoreOperation } from "../ports/store.ts";

/** Additions that may wait for the disk while the next one is made. */
const WAITING_MAX = 8;

/**
 * Writes to the store beside the work that makes them: in order, one batch at a time, each with all that came meanwhile. After a
 * failure nothing more is written, since what follows builds on what was lost.
 */
export class WriteBehind {
  readonly #store: Store;
  #waiting: StoreOperation[] = [];
  #additions = 0;
  #current: Promise<void> | undefined;
  #failure: Error | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** Resolves when more may be added. @throws StoreError once a write has failed, this one or one before */
  async add(operations: readonly StoreOperation[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    for (const operation of operations) this.#waiting.push(operation);
    this.#additions += 1;
    this.#current ??= this.#write();
    if (this.#additions >= WAITING_MAX) await this.#current;
    if (this.#failed !== undefined) throw this.#failed;
  }

  /** Resolves when all that was added is written. @throws StoreError when it was not */
  async done(): Promise<void> {
    while (this.#current !== undefined) await this.#current;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Read through a getter, since it may have changed during a wait. */
  get #failed(): Error | undefined {
    return this.#failure;
  }

  /** One batch; the next one begins before this resolves. Never rejects. */
  async #write(): Promise<void> {
    const operations = this.#waiting;
    this.#waiting = [];
    this.#additions = 0;
    try {
      await this.#store.batch(operations, { durable: false });
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      this.#waiting = [];
    }
    this.#current = this.#waiting.length > 0 ? this.#write() : undefined;
  }
}
