import type { Log, LogFields } from "../../src/ports/log.ts";

/** Lines kept of each machine for the report of a violation; the oldest leave first. */
export const LOG_LINES_MAX = 200;

export type LogLevel = "debug" | "info" | "warn" | "error";

/** A machine's log over all its runs. It is no part of the trace: words may change without changing what happens. */
export class MachineLog {
  readonly #nowMs: () => number;
  readonly #onLine: ((line: string) => void) | undefined;
  readonly #lines: string[] = [];
  #errors = 0;

  constructor(nowMs: () => number, onLine?: (line: string) => void) {
    this.#nowMs = nowMs;
    this.#onLine = onLine;
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  get errors(): number {
    return this.#errors;
  }

  /** The log as one run of the process writes it. */
  of(run: string, fields: LogFields = {}): Log {
    const write = (level: LogLevel) => (message: string, more?: LogFields) =>
      this.#write(run, level, message, { ...fields, ...more });
    return {
      debug: write("debug"),
      info: write("info"),
      warn: write("warn"),
      error: write("error"),
      child: (more) => this.of(run, { ...fields, ...more }),
    };
  }

  #write(run: string, level: LogLevel, message: string, fields: LogFields): void {
    if (level === "error") this.#errors++;
    if (level === "debug" && this.#onLine === undefined) return;
    const line = `${this.#nowMs().toFixed(3)} ${run} ${level} ${message} ${spell(fields)}`;
    this.#onLine?.(line);
    if (this.#lines.length >= LOG_LINES_MAX) this.#lines.shift();
    this.#lines.push(line);
  }
}

function spell(fields: LogFields): string {
  return JSON.stringify(fields, (_, value: unknown) => (value instanceof Error ? `${value.name}: ${value.message}` : value));
}
