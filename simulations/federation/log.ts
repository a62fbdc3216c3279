import type { Log, LogFields } from "../../src/ports/log.ts";

/**
 * A process's log, written only where somebody reads along: a replay of the seed says it all again. It is no part of the trace:
 * words may change without changing what happens.
 */
export function virtualLog(run: string, nowMs: () => number, onLine: ((line: string) => void) | undefined): Log {
  const at = (fields: LogFields): Log => {
    const write =
      (level: string) =>
      (message: string, more: LogFields = {}): void => {
        onLine?.(`${nowMs().toFixed(3)} ${run} ${level} ${message} ${spell({ ...fields, ...more })}`);
      };
    return {
      debug: write("debug"),
      info: write("info"),
      warn: write("warn"),
      error: write("error"),
      child: (more) => at({ ...fields, ...more }),
    };
  };
  return at({});
}

function spell(fields: LogFields): string {
  return JSON.stringify(fields, (_, value: unknown) => (value instanceof Error ? `${value.name}: ${value.message}` : value));
}
