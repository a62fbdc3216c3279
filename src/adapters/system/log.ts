import { pino, type DestinationStream, type Logger } from "pino";
import type { Log, LogFields } from "../../ports/log.ts";
import { humanLine } from "./human-line.ts";

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

export interface LogOptions {
  /** The least level that is written; `info` by default. */
  readonly level?: LogLevel;
  /** Lines for people instead of JSON; by default when standard error is a terminal. */
  readonly pretty?: boolean;
  /** Where lines go; standard error by default. Standard output is for data alone. */
  readonly destination?: { write(line: string): unknown };
}

/** Structured events through pino. Fields named `privateKey`, at the top or one level down, are blanked. */
export function pinoLog(options: LogOptions = {}): Log {
  const output = options.destination ?? process.stderr;
  const pretty = options.pretty ?? (options.destination === undefined && process.stderr.isTTY);
  const stream: DestinationStream = { write: (line) => void output.write(pretty ? humanLine(line) : line) };
  const logger = pino(
    {
      level: options.level ?? "info",
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // Fields called `error` hold what was thrown; the stack only where a bug is looked for.
      serializers: { error: (value: unknown) => (value instanceof Error ? pino.stdSerializers.err(value) : value) },
      redact: { paths: ["privateKey", "*.privateKey"], censor: "[redacted]" },
    },
    stream,
  );
  return wrap(logger);
}

function wrap(logger: Logger): Log {
  return {
    debug: (message, fields = NONE) => logger.debug(fields, message),
    info: (message, fields = NONE) => logger.info(fields, message),
    warn: (message, fields = NONE) => logger.warn(fields, message),
    error: (message, fields = NONE) => logger.error(fields, message),
    child: (fields) => wrap(logger.child({ ...fields })),
  };
}

const NONE: LogFields = {};
