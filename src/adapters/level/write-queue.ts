import { StoreError } from "../../ports/store.ts";

/** An operation with the key as the engine keeps it. */
export type EngineOperation =
  | { readonly type: "put"; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: "del"; readonly key: Uint8Array };

/** Writes a group of operations atomically. */
export type WriteGroup = (operations: readonly EngineOperation[], durable: boolean) => Promise<void>;

/** Batches that may wait while one group is being written. Callers await their batches, so a full queue is a caller's bug. */
export const WAITING_BATCHES_MAX = 16_384;

/** Batches that wait are written together, up to this many operations: one wait for the disk serves them all. */
export const GROUP_OPERATIONS_MAX = 2_048;

interface Waiting {
  readonly operations: readonly EngineOperation[];
  readonly durable: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Keeps batches in the order in which they were submitted. The engine runs writes on a pool of threads and promises no order
 * between two that are under way, so one group is written at a time; what arrives meanwhile forms the next group.
 */
export class WriteQueue {
  readonly #write: WriteGroup;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;

  constructor(write: WriteGroup) {
    this.#write = write;
  }

  /** Rejects with what the write rejected with, or with StoreError `unavailable` when WAITING_BATCHES_MAX wait. */
  submit(operations: readonly EngineOperation[], durable: boolean): Promise<void> {
    if (this.#waiting.length >= WAITING_BATCHES_MAX) {
      const message = `${WAITING_BATCHES_MAX} batches wait for the disk: await earlier ones before submitting more`;
      return Promise.reject(new StoreError("unavailable", message));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ operations, durable, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when nothing waits or is being written. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#takeGroup();
      const first = group[0] as Waiting;
      const operations = group.length === 1 ? first.operations : group.flatMap((batch) => batch.operations);
      try {
        await this.#write(
          operations,
          group.some((batch) => batch.durable),
        );
        for (const batch of group) batch.resolve();
      } catch (error) {
        for (const batch of group) batch.reject(error);
      }
    }
    this.#running = undefined;
  }

  #takeGroup(): Waiting[] {
    let count = 1;
    let operations = (this.#waiting[0] as Waiting).operations.length;
    for (; count < this.#waiting.length; count++) {
      operations += (this.#waiting[count] as Waiting).operations.length;
      if (operations > GROUP_OPERATIONS_MAX) break;
    }
    return this.#waiting.splice(0, count);
  }
}
