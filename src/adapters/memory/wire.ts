import type { CancelTimer, Clock } from "../../ports/clock.ts";
import type { Random } from "../../ports/random.ts";
import type { Link, WireEvent } from "./link.ts";

/** A cut path is tried again after this time, in milliseconds. */
export const RETRANSMIT_MS = 200;
/** A path that stays cut for longer breaks the connections over it, in milliseconds. */
export const STALL_MS_MAX = 15_000;

/** True time, chance and the links: what every connection of one hub shares. */
export class Wire {
  readonly random: Random;
  readonly link: Link;
  readonly #clock: Clock;
  readonly #observe: (event: WireEvent) => void;

  constructor(options: {
    readonly clock: Clock;
    readonly random: Random;
    readonly link: Link;
    readonly observe: (event: WireEvent) => void;
  }) {
    this.random = options.random;
    this.link = options.link;
    this.#clock = options.clock;
    this.#observe = options.observe;
  }

  nowMs(): number {
    return this.#clock.monotonic();
  }

  /** Without a delay there is no timer: real timers cannot wait for less than a millisecond. */
  after(delayMs: number, fire: () => void): CancelTimer {
    if (delayMs > 0) return this.#clock.after(delayMs, fire);
    let cancelled = false;
    queueMicrotask(() => {
      if (!cancelled) fire();
    });
    return () => {
      cancelled = true;
    };
  }

  observe(stage: WireEvent["stage"], type: WireEvent["type"], from: string, to: string, bytes?: Uint8Array): void {
    this.#observe({ stage, type, from, to, bytes });
  }

  /** One packet outside any connection. Whether it arrived before the sender gave up. */
  async carry(from: string, to: string): Promise<boolean> {
    const giveUpMs = this.nowMs() + STALL_MS_MAX;
    for (;;) {
      const delayMs = this.link.ordered(from, to, 0);
      await new Promise<void>((resolve) => void this.after(delayMs ?? RETRANSMIT_MS, resolve));
      if (delayMs !== undefined) return true;
      if (this.nowMs() >= giveUpMs) return false;
    }
  }
}
