import { StoreError } from "../../ports/store.ts";

/** The engine's codes and texts as the port's: `LEVEL_*` codes are those of abstract-level and its LevelDB binding. */

/** What a failed read means. `key` is named where one key was read. */
export function readError(error: unknown, key?: Uint8Array): StoreError {
  if (error instanceof StoreError) return error;
  const code = codeOf(error);
  if (code !== undefined && CLOSED.has(code))
    return new StoreError("closed", "the store or snapshot was closed", { cause: error });
  if (code === "LEVEL_CORRUPTION") {
    const where = key === undefined ? { cause: error } : { cause: error, key };
    return new StoreError("damaged", `a block of the store is damaged: ${messageOf(error)}`, where);
  }
  return new StoreError("unavailable", `the store cannot be read: ${messageOf(error)}`, { cause: error });
}

export function writeError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const code = codeOf(error);
  if (code !== undefined && CLOSED.has(code)) return new StoreError("closed", "the store was closed", { cause: error });
  return new StoreError("write_failed", `the disk refused the write, nothing of it was applied: ${messageOf(error)}`, {
    cause: error,
  });
}

/** Whether opening failed because another opener holds the engine's lock. */
export function isLocked(error: unknown): boolean {
  return codeOf(causeOf(error)) === "LEVEL_LOCKED" && !/permission denied|read-only/i.test(messageOf(causeOf(error)));
}

export function openError(error: unknown, directory: string): StoreError {
  const cause = causeOf(error);
  const advice =
    codeOf(cause) === "LEVEL_CORRUPTION"
      ? "its files are damaged; restore the data directory from a backup, or start with a new one and sync again"
      : "check that the directory exists, belongs to this user and has space left";
  return new StoreError("unavailable", `the store in ${directory} cannot be opened: ${messageOf(cause)}; ${advice}`, {
    cause: error,
  });
}

const CLOSED: ReadonlySet<string> = new Set(["LEVEL_DATABASE_NOT_OPEN", "LEVEL_SNAPSHOT_NOT_OPEN", "LEVEL_ITERATOR_NOT_OPEN"]);

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

function causeOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : error;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
