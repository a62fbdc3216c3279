import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * Who holds the store, for the message to the one who comes second. The engine's own lock decides; this file only names the
 * process, so a stale or missing one does no harm.
 */
export const OWNER_FILE = "owner.json";

export async function writeOwner(directory: string): Promise<void> {
  await writeFile(join(directory, OWNER_FILE), JSON.stringify({ pid: process.pid }) + "\n", { mode: 0o600 });
}

export async function removeOwner(directory: string): Promise<void> {
  await rm(join(directory, OWNER_FILE), { force: true });
}

/** The id of the live process that wrote the owner file; `undefined` when that cannot be had. */
export async function readOwner(directory: string): Promise<number | undefined> {
  try {
    const owner = JSON.parse(await readFile(join(directory, OWNER_FILE), "utf8")) as { readonly pid?: unknown } | null;
    const pid = owner?.pid;
    return typeof pid === "number" && Number.isSafeInteger(pid) && pid > 0 && isAlive(pid) ? pid : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // A process of another user may not be signalled, yet it lives.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
