import type { BigIntStats } from "node:fs";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { isCode, replaceFile } from "../files.ts";

/** The layout of the data directory that this version reads and writes. */
export const DATA_FORMAT = 1;

export const FORMAT_FILE = "format.json";
export const IDENTITY_FILE = "identity.json";
export const STORE_DIRECTORY = "store";
/** Lies beside the engine's files and is never rewritten, so that a store that was lost or put back is noticed too. */
export const MARKER_FILE = "marker";

/** What identifies the machine; `hostFacts()` has both. */
export interface HostIdentity {
  readonly machineId: string | undefined;
  readonly bootId: string | undefined;
}

export interface DataDirectory {
  /** Absolute. */
  readonly path: string;
  readonly storeDirectory: string;
  /**
   * The recorded identity does not match, or only the key is there: the directory was copied, restored or moved to another
   * machine, or its store was lost, so it may hold an older state than the one that this registry signed last (architecture, rule 7).
   */
  readonly copied: boolean;
  /** Records the present identity, once it is settled that signing may go on. */
  acceptIdentity(): Promise<void>;
}

export type DataDirectoryErrorCode =
  /** Written by a newer version of the registry. */
  | "newer_format"
  /** One of its own files cannot be understood. */
  | "damaged"
  /** It cannot be created, read or written. */
  | "unusable";

export class DataDirectoryError extends Error {
  override readonly name = "DataDirectoryError";
  readonly code: DataDirectoryErrorCode;

  constructor(code: DataDirectoryErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/**
 * Opens the data directory, and creates it (0700) when it is missing or empty; its parent must be there. Nothing is written into a directory of a newer
 * format. @throws DataDirectoryError
 * @param keyFile name of the key's file in it: a key that is there before anything else has signed elsewhere
 */
export async function openDataDirectory(path: string, host: HostIdentity, keyFile: string): Promise<DataDirectory> {
  const directory = resolve(path);
  try {
    return await openOrCreate(directory, host, keyFile);
  } catch (cause) {
    if (cause instanceof DataDirectoryError) throw cause;
    const message = `the data directory ${directory} cannot be used: ${(cause as Error).message}`;
    throw new DataDirectoryError("unusable", `${message}; check its permissions, or choose another one`, { cause });
  }
}

async function openOrCreate(directory: string, host: HostIdentity, keyFile: string): Promise<DataDirectory> {
  const storeDirectory = join(directory, STORE_DIRECTORY);
  await ensureDirectory(directory);
  await checkFormat(directory, storeDirectory);
  await ensureDirectory(storeDirectory);
  const recorded = await readRecorded(join(directory, IDENTITY_FILE));
  await refuseKeyless(directory, storeDirectory, keyFile);
  const isFresh = recorded === undefined && (await isEmptyStore(storeDirectory)) && !(await exists(join(directory, keyFile)));
  await writeFile(join(storeDirectory, MARKER_FILE), "", { flag: "a", mode: 0o600 });
  const acceptIdentity = async (): Promise<void> => {
    const present = await presentIdentity(directory, storeDirectory, host);
    await replaceFile(join(directory, IDENTITY_FILE), JSON.stringify(present, null, 2) + "\n");
  };
  const copied =
    !isFresh && (recorded === undefined || !isSame(recorded, await presentIdentity(directory, storeDirectory, host)));
  // Device numbers are compared within one boot only, so they are noted anew at each start.
  if (!copied) await acceptIdentity();
  return { path: directory, storeDirectory, copied, acceptIdentity };
}

/** The key is made before the store, so a catalogue without a key has lost it: a new one would be another registry. */
async function refuseKeyless(directory: string, storeDirectory: string, keyFile: string): Promise<void> {
  if ((await exists(join(directory, keyFile))) || (await isEmptyStore(storeDirectory))) return;
  const message = `the data directory ${directory} holds a registry's catalogue, but its key ${keyFile} is missing`;
  throw new DataDirectoryError(
    "damaged",
    `${message}; restore ${keyFile} from your copy of it, or choose another data directory`,
  );
}

/** Its parent must be there. */
async function ensureDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (!isCode(error, "EEXIST")) throw error;
  }
}

async function checkFormat(directory: string, storeDirectory: string): Promise<void> {
  const path = join(directory, FORMAT_FILE);
  const text = await readIfThere(path);
  if (text === undefined) {
    if (await exists(storeDirectory)) {
      const message = `the data directory ${directory} holds a store but no ${FORMAT_FILE}, so its format is unknown`;
      throw new DataDirectoryError("damaged", `${message}; restore that file too, or choose an empty directory`);
    }
    await replaceFile(path, JSON.stringify({ format: DATA_FORMAT }) + "\n");
    return;
  }
  const format = formatIn(text);
  if (format === undefined) {
    const message = `${path} is damaged: it should read {"format":<number>}`;
    throw new DataDirectoryError("damaged", `${message}; restore it from a backup, or choose another data directory`);
  }
  if (format > DATA_FORMAT) {
    const message = `the data directory ${directory} has format ${format}, this version of the registry knows formats up to ${DATA_FORMAT}`;
    throw new DataDirectoryError(
      "newer_format",
      `${message}; run the newer version that wrote it, or choose another data directory`,
    );
  }
}

function formatIn(text: string): number | undefined {
  const format = fieldsIn(text)?.["format"];
  return typeof format === "number" && Number.isSafeInteger(format) && format > 0 ? format : undefined;
}

/** Where the directory is, and on which machine. */
interface RecordedIdentity {
  readonly machineId: string | null;
  readonly bootId: string | null;
  readonly directory: FileIdentity;
  readonly marker: MarkerIdentity;
}

/** Decimal text: inodes of some file systems do not fit a double. */
interface FileIdentity {
  /** May change when the system starts again, so it is compared within one boot only. */
  readonly device: string;
  readonly inode: string;
}

interface MarkerIdentity extends FileIdentity {
  /** Time of creation, nanoseconds since 1970, 0 where the file system has none: a freed inode is soon given out again. */
  readonly bornNs: string;
}

async function presentIdentity(directory: string, storeDirectory: string, host: HostIdentity): Promise<RecordedIdentity> {
  const marker = await stat(join(storeDirectory, MARKER_FILE), { bigint: true });
  return {
    machineId: host.machineId ?? null,
    bootId: host.bootId ?? null,
    directory: fileIdentity(await stat(directory, { bigint: true })),
    marker: { ...fileIdentity(marker), bornNs: String(marker.birthtimeNs) },
  };
}

function fileIdentity({ dev, ino }: BigIntStats): FileIdentity {
  return { device: String(dev), inode: String(ino) };
}

function isSame(recorded: RecordedIdentity, present: RecordedIdentity): boolean {
  const sameBoot = recorded.bootId !== null && recorded.bootId === present.bootId;
  const sameFile = (a: FileIdentity, b: FileIdentity): boolean => a.inode === b.inode && (!sameBoot || a.device === b.device);
  return (
    recorded.machineId === present.machineId &&
    sameFile(recorded.directory, present.directory) &&
    sameFile(recorded.marker, present.marker) &&
    (recorded.marker.bornNs === present.marker.bornNs || recorded.marker.bornNs === "0" || present.marker.bornNs === "0")
  );
}

/** `undefined` when there is none. One that cannot be understood matches nothing: the careful path is taken, and rewrites it. */
async function readRecorded(path: string): Promise<RecordedIdentity | undefined> {
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  const fields = fieldsIn(text);
  return {
    machineId: textOrNull(fields?.["machineId"]),
    bootId: textOrNull(fields?.["bootId"]),
    directory: markerIdentityIn(fields?.["directory"]),
    marker: markerIdentityIn(fields?.["marker"]),
  };
}

function markerIdentityIn(value: unknown): MarkerIdentity {
  const fields = isFields(value) ? value : {};
  const text = (name: string): string => textOrNull(fields[name]) ?? "";
  return { device: text("device"), inode: text("inode"), bornNs: text("bornNs") };
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function fieldsIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isFields(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** A start that was cut short may have left the marker alone. */
async function isEmptyStore(storeDirectory: string): Promise<boolean> {
  const entries = await readdir(storeDirectory);
  return entries.every((entry) => entry === MARKER_FILE);
}
