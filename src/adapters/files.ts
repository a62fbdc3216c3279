import { randomUUID } from "node:crypto";
import { link, open, rename, rm, type FileHandle } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

const OWNER_ONLY = 0o600;
const PERMISSIONS = 0o777;
const OTHERS = 0o077;

/** The permissions of a file that others than its owner may use, in octal; `undefined` where only the owner may. */
export async function exposedMode(file: FileHandle): Promise<string | undefined> {
  const { mode } = await file.stat();
  // Windows has no such bits.
  if (process.platform === "win32" || (mode & OTHERS) === 0) return undefined;
  return (mode & PERMISSIONS).toString(8).padStart(4, "0");
}

/**
 * The file (0600) appears under its name complete and synced, or not at all, and never replaces one.
 * @throws the system's error; `EEXIST` where there is a file
 */
export async function addFile(path: string, text: string | Buffer): Promise<void> {
  // A link, unlike a rename, never replaces what is there.
  await viaTemporary(path, text, (temporary) => link(temporary, path));
}

/** Whenever the machine stops, the file (0600) has the old text or the new one, whole. @throws the system's error */
export async function replaceFile(path: string, text: string): Promise<void> {
  await viaTemporary(path, text, (temporary) => rename(temporary, path));
}

async function viaTemporary(path: string, text: string | Buffer, place: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = join(dirname(path), `${basename(path)}.${randomUUID()}.tmp`);
  try {
    await writeSynced(temporary, text);
    await place(temporary);
    await syncDirectory(dirname(path));
  } finally {
    await rm(temporary, { force: true });
  }
}

async function writeSynced(path: string, text: string | Buffer): Promise<void> {
  const file = await open(path, "wx", OWNER_ONLY);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  // Directories cannot be opened for a sync on Windows.
  if (process.platform === "win32") return;
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
