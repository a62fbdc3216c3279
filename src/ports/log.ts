/** Structured events for operators. Messages are constant strings; what varies goes into `fields` (JSON values, no secrets). */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same log with `fields` on every event. */
  child(fields: LogFields): Log;
}

export type LogFields = Readonly<Record<string, unknown>>;
