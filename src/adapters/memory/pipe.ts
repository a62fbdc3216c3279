import type { CancelTimer } from "../../ports/clock.ts";
import { RETRANSMIT_MS, STALL_MS_MAX, type Wire } from "./wire.ts";

interface Parcel {
  readonly bytes: number;
  readonly deliver: () => void;
  /** `undefined` while the path is cut. */
  dueMs: number | undefined;
}

/** One direction of a connection: everything arrives, in order, or the pipe breaks. */
export class Pipe {
  readonly #wire: Wire;
  readonly #from: string;
  readonly #to: string;
  readonly #onBroken: () => void;
  #parcels: Parcel[] = [];
  #cancel: CancelTimer | undefined;
  #lastDueMs = 0;
  #stalledSinceMs: number | undefined;
  #closed = false;

  constructor(wire: Wire, from: string, to: string, onBroken: () => void) {
    this.#wire = wire;
    this.#from = from;
    this.#to = to;
    this.#onBroken = onBroken;
  }

  push(bytes: number, deliver: () => void): void {
    if (this.#closed) return;
    const parcel: Parcel = { bytes, deliver, dueMs: undefined };
    this.#parcels.push(parcel);
    if (this.#stalledSinceMs === undefined) this.#dispatch(parcel);
    this.#arm();
  }

  /** Drops what has not arrived and takes no more. */
  close(): void {
    this.#closed = true;
    this.#parcels = [];
    this.#cancel?.();
  }

  #dispatch(parcel: Parcel): boolean {
    const nowMs = this.#wire.nowMs();
    const delayMs = this.#wire.link.ordered(this.#from, this.#to, parcel.bytes);
    if (delayMs === undefined) {
      this.#stalledSinceMs ??= nowMs;
      return false;
    }
    parcel.dueMs = Math.max(this.#lastDueMs, nowMs + delayMs);
    this.#lastDueMs = parcel.dueMs;
    return true;
  }

  #arm(): void {
    const first = this.#parcels[0];
    if (this.#closed || this.#cancel !== undefined || first === undefined) return;
    if (first.dueMs === undefined) this.#cancel = this.#wire.after(RETRANSMIT_MS, () => this.#retransmit());
    else this.#cancel = this.#wire.after(first.dueMs - this.#wire.nowMs(), () => this.#arrive());
  }

  #arrive(): void {
    this.#cancel = undefined;
    // The timer was set for the first; a real one may fire a fraction early, so the first is not asked whether it is due.
    const nowMs = Math.max(this.#wire.nowMs(), this.#parcels[0]?.dueMs ?? 0);
    let arrived = 0;
    while ((this.#parcels[arrived]?.dueMs ?? Number.POSITIVE_INFINITY) <= nowMs) arrived++;
    for (const parcel of this.#parcels.splice(0, arrived)) {
      if (!this.#closed) parcel.deliver();
    }
    this.#arm();
  }

  #retransmit(): void {
    this.#cancel = undefined;
    if (this.#parcels.every((parcel) => parcel.dueMs !== undefined || this.#dispatch(parcel))) {
      this.#stalledSinceMs = undefined;
    } else if (this.#wire.nowMs() - (this.#stalledSinceMs ?? 0) >= STALL_MS_MAX) {
      this.close();
      this.#onBroken();
      return;
    }
    this.#arm();
  }
}
