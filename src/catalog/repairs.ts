import { equal, hex } from "../../protocols/lib/bytes.ts";
import type { Log } from "../ports/log.ts";
import type { Store, StoreOperation } from "../ports/store.ts";
import type { Catalogue } from "./catalogue.ts";
import { rowKey } from "./rows.ts";
import type { RunTask } from "./tasks.ts";

/** Damaged records that are remembered until they are brought back; others are found again by the background check. */
export const DAMAGED_MAX = 1_024;
/** A record of which peers are being asked for a copy may be back after this time. */
export const REPAIR_SOON_MS = 2_000;
/** Peers that have no copy of a damaged record now are asked again after this time. */
export const REPAIR_RETRY_MS = 30_000;

/** A record of which the map still holds K and V. */
export interface LostRecord {
  readonly epoch: number;
  readonly logSize: number;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

type Lost = Pick<LostRecord, "key" | "value"> & {
  /** No peer had it; they are asked again later. */
  readonly isWaiting: boolean;
};

export interface RepairParts {
  readonly store: Store;
  readonly log: Log;
  /** Asks peers; `undefined` when none has the bytes. */
  readonly refetch: (lost: LostRecord, signal: AbortSignal) => Promise<Uint8Array | undefined>;
  /** The outcome comes in the actor's turn, and while no write is under way. */
  readonly task: RunTask;
  /** Calls `next` after this time. */
  readonly later: (delayMs: number) => void;
  /** A task for the time of which no commit and no other write begins; the outcome comes in the actor's turn. */
  readonly exclusively: RunTask;
}

/**
 * Brings back records of ours whose stored bytes are damaged (T45): the map still holds the hash that they had, so whoever has
 * a copy can give them back, one record at a time.
 */
export class Repairs {
  readonly #parts: RepairParts;
  /** By key in hex. */
  readonly #lost = new Map<string, Lost>();
  #busy = false;

  constructor(parts: RepairParts) {
    this.#parts = parts;
  }

  /** @returns milliseconds until it may be there again */
  damaged(catalogue: Catalogue, key: Uint8Array): number {
    const name = hex(key);
    const value = catalogue.map.get(key);
    const known = this.#lost.get(name);
    if (value === undefined || known?.isWaiting === false) return REPAIR_SOON_MS;
    if (known !== undefined) return REPAIR_RETRY_MS;
    this.#parts.log.error("a stored record is damaged: followers are asked for their copy of it", { key: name });
    if (this.#lost.size >= DAMAGED_MAX) return REPAIR_RETRY_MS;
    this.#lost.set(name, { key: Uint8Array.from(key), value: Uint8Array.from(value), isWaiting: false });
    this.next(catalogue);
    return REPAIR_SOON_MS;
  }

  /** Begins with the first of those that are lost; what nobody has goes to the end and waits. */
  next(catalogue: Catalogue): void {
    if (this.#busy) return;
    for (const [name, wanted] of this.#lost) {
      if (isStill(catalogue, wanted)) return this.#refetch(catalogue, wanted);
      this.#lost.delete(name);
    }
  }

  #refetch(catalogue: Catalogue, wanted: Lost): void {
    this.#busy = true;
    const { task, refetch } = this.#parts;
    const { key, value } = wanted;
    const lost: LostRecord = { key, value, epoch: catalogue.epoch, logSize: catalogue.log.size };
    task(
      (signal) => refetch(lost, signal),
      (outcome) => {
        this.#busy = false;
        this.#lost.delete(hex(lost.key));
        if (!isStill(catalogue, lost)) return this.next(catalogue);
        if (outcome.ok && outcome.value !== undefined) return this.#restore(catalogue, lost, outcome.value);
        return this.#wait(wanted);
      },
    );
  }

  #wait(lost: Lost): void {
    const { log, later } = this.#parts;
    const key = hex(lost.key);
    log.warn("no peer has a copy of a damaged record: they are asked again, or register the agent again", { key });
    this.#lost.set(key, { ...lost, isWaiting: true });
    later(REPAIR_RETRY_MS);
  }

  #restore(catalogue: Catalogue, lost: LostRecord, record: Uint8Array): void {
    const { store, log, exclusively } = this.#parts;
    const key = hex(lost.key);
    const put: StoreOperation = { type: "put", key: rowKey(catalogue.number, "record", lost.key), value: record };
    exclusively(
      () => store.batch([put], { durable: true }),
      (outcome) => {
        if (outcome.ok) log.info("a damaged record was brought back by a peer", { key });
        else log.error("a record that was brought back could not be stored", { key, error: outcome.error });
        this.next(catalogue);
      },
    );
  }
}

/** Whether the map says what it said when the bytes were lost. */
function isStill(catalogue: Catalogue, { key, value }: Pick<Lost, "key" | "value">): boolean {
  const now = catalogue.map.get(key);
  return now !== undefined && equal(now, value);
}
