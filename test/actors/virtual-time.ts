import type { CancelTimer, Clock } from "../../src/ports/clock.ts";
import type { Log, LogFields } from "../../src/ports/log.ts";
import type { Scheduler } from "../../src/ports/scheduler.ts";

interface Timer {
  readonly atMs: number;
  readonly fire: () => void;
}

/** A clock that moves only when a test says so: both readings and all timers. */
export class VirtualClock implements Clock {
  #elapsedMs = 0;
  #timers: Timer[] = [];
  startMs: number;

  constructor(startMs = 1_760_000_000_000) {
    this.startMs = startMs;
  }

  now(): number {
    return this.startMs + this.#elapsedMs;
  }

  monotonic(): number {
    return this.#elapsedMs;
  }

  after(delayMs: number, fire: () => void): CancelTimer {
    const timer = { atMs: this.#elapsedMs + delayMs, fire };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  get pending(): number {
    return this.#timers.length;
  }

  /** Milliseconds until the next timer; infinite when there is none. */
  get untilNextMs(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#timers.map(({ atMs }) => atMs)) - this.#elapsedMs;
  }

  /** Fires what is due on the way, in order of time and, at one time, in the order in which it was set. */
  advance(ms: number): void {
    const end = this.#elapsedMs + ms;
    for (;;) {
      const due = this.#timers.filter(({ atMs }) => atMs <= end).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.#elapsedMs = Math.max(this.#elapsedMs, due.atMs);
      due.fire();
    }
    this.#elapsedMs = end;
  }
}

/** Turns run when a test says so. */
export class ManualScheduler implements Scheduler {
  readonly #turns: (() => void)[] = [];

  schedule(turn: () => void): void {
    this.#turns.push(turn);
  }

  get waiting(): number {
    return this.#turns.length;
  }

  /** Runs one turn; false when there was none. */
  step(): boolean {
    const turn = this.#turns.shift();
    turn?.();
    return turn !== undefined;
  }

  run(): void {
    while (this.step());
  }
}

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
  readonly fields: LogFields;
}

export function memoryLog(): Log & { readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at =
    (level: LogLine["level"]) =>
    (message: string, fields: LogFields = {}): void =>
      void lines.push({ level, message, fields });
  const log = { lines, debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error"), child: () => log };
  return log;
}

/** Lets every promise go on that waits for nothing but others: twice round the event loop. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 2; i++) await new Promise((resolve) => setImmediate(resolve));
}
