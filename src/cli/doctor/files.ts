import { accessSync, constants, readdirSync, readFileSync, statfsSync, statSync, type Stats } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Check } from "../../api.ts";
import { plural } from "../text.ts";
import { AS_OWNER, check, failed, ok, skipped, warning, type Finding } from "./check.ts";

/** As package.json asks; the launcher refuses older ones. */
const NODE_WANTED = [22, 19] as const;
/** Below it a catalogue of a million agents does not fit, and below the floor no commit may. */
const FREE_BYTES_LOW = 1_073_741_824;
const FREE_BYTES_FLOOR = 67_108_864;
const OTHERS = 0o077;
/** As adapters/level lays a data directory out. */
const STORE_DIRECTORY = "store";
const STORE_MARKER = "marker";
/** Of LevelDB: it names the newest list of the store's files. */
const STORE_POINTER = "CURRENT";

export function nodeCheck(): Promise<Check> {
  return check("node", () => {
    const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
    const isOld = major < NODE_WANTED[0] || (major === NODE_WANTED[0] && minor < NODE_WANTED[1]);
    return isOld
      ? failed(`Node ${process.version}`, `install Node ${NODE_WANTED.join(".")} or newer`)
      : ok(`Node ${process.version}`);
  });
}

/** Where a data directory keeps what is secret. */
export interface SecretPaths {
  readonly key: string;
  /** Reads the key that is at `key` as a start does. @throws Error whose message is what a start would say */
  readonly readKey: () => Promise<unknown>;
  /** A running registry looks at its store itself. */
  readonly isRunning: boolean;
  /** Directory of certificate authorities. */
  readonly tls: string;
  readonly operatorToken: string;
}

/** The data directory, its free space, and that its secrets are nobody else's. */
export function fileChecks(dataDir: string, secrets: SecretPaths): Promise<Check[]> {
  const { tls, operatorToken } = secrets;
  return Promise.all([
    check("data-directory", () => checkDirectory(dataDir)),
    check("free-space", () => checkSpace(dataDir)),
    check("key", () => checkKey(dataDir, secrets)),
    ...(secrets.isRunning ? [] : [check("store-files", () => checkStoreFiles(join(dataDir, STORE_DIRECTORY)))]),
    check("tls", () => checkTls(tls)),
    check("operator-token", () =>
      checkSecret(operatorToken, "the operator's token; it is made by the first start with an HTTPS interface"),
    ),
  ]);
}

function checkDirectory(dataDir: string): Finding {
  const facts = factsOf(dataDir);
  if (facts === undefined) {
    const parent = existingParent(dataDir);
    if (isWritable(parent)) return skipped(`${dataDir} is not there yet; it is made by \`registry init\` or the first start`);
    return failed(
      `${dataDir} is not there, and ${parent} cannot be written`,
      "name a directory that this user may write to with --data-dir",
    );
  }
  if (!facts.isDirectory())
    return failed(`${dataDir} is no directory`, "move that file away, or name a directory with --data-dir");
  const problem = writeProblem(dataDir);
  if (problem !== undefined) return unwritable(dataDir, dataDir, problem);
  if (isOpenToOthers(facts))
    return warning(`${dataDir} can be entered by others (mode ${modeOf(facts)})`, `run: chmod 700 ${dataDir}`);
  return ok(dataDir);
}

function checkSpace(dataDir: string): Finding {
  const { bavail, bsize } = statfsSync(existingParent(dataDir));
  const free = bavail * bsize;
  const found = `${(free / FREE_BYTES_LOW).toFixed(1)} GiB free`;
  const fix = "make room on that disk, or move the data directory to another one";
  if (free < FREE_BYTES_FLOOR) return failed(found, fix);
  return free < FREE_BYTES_LOW ? warning(found, fix) : ok(found);
}

function checkSecret(path: string, what: string): Finding {
  const facts = factsOf(path);
  if (facts === undefined) return skipped(`${path} is not there yet: ${what}`);
  return isOpenToOthers(facts)
    ? failed(`${path} may be used by others (mode ${modeOf(facts)})`, `run: chmod 600 ${path}`)
    : ok(`${path} is private`);
}

async function checkKey(dataDir: string, { key, readKey }: SecretPaths): Promise<Finding> {
  const restore = `restore ${basename(key)} from your copy`;
  if (factsOf(key) === undefined && hasData(join(dataDir, STORE_DIRECTORY)))
    return failed(`${key} is not there, but the data that was signed with it is`, restore);
  const secret = checkSecret(key, "the registry's key; it is made by `registry init` or the first start");
  if (secret.state !== "ok") return secret;
  try {
    await readKey();
    return secret;
  } catch (error) {
    const { message, cause } = error as Error;
    const isOthers = (cause as NodeJS.ErrnoException | undefined)?.code === "EACCES";
    return failed(message, isOthers ? AS_OWNER : `${restore}, as a file that this user may read`);
  }
}

/** Whether a start can open the store, as far as its files tell; opening it would write to it, maybe as another user. */
function checkStoreFiles(store: string): Finding {
  const facts = factsOf(store);
  if (facts === undefined) return skipped(`${store} is not there yet; it is made by the first start`);
  const restore = "restore the data directory from a backup, or start with a new one and sync again";
  if (!facts.isDirectory()) return failed(`${store} is no directory`, restore);
  const problem = writeProblem(store);
  if (problem !== undefined) return unwritable(store, store, problem);
  const names = readdirSync(store);
  for (const path of names.map((name) => join(store, name))) {
    const closed = accessProblem(path, constants.R_OK | constants.W_OK);
    if (closed !== undefined) return unwritable(path, store, closed);
  }
  if (!names.includes(STORE_POINTER))
    return hasData(store) ? failed(`${join(store, STORE_POINTER)} is missing`, restore) : skipped(`${store} holds no data yet`);
  const manifest = readFileSync(join(store, STORE_POINTER), "latin1").trim();
  if (factsOf(join(store, manifest))?.isFile() !== true || manifest === "")
    return failed(`${store} is damaged: ${STORE_POINTER} names ${JSON.stringify(manifest)}, which is not there`, restore);
  return ok(`${plural(names.length, "file")} in ${store}`);
}

/** @param directory what has to be given to this user as a whole */
function unwritable(path: string, directory: string, problem: string): Finding {
  if (problem === "EROFS")
    return failed(`${path} is on a read-only file system`, "mount it for writing, or name another directory with --data-dir");
  return failed(
    `${path} belongs to user ${statSync(path).uid} and cannot be read and written by this user (${problem})`,
    `run as its owner, or: chown -R "$(id -un)" ${directory}`,
  );
}

/** A directory that was only made, and never started, holds a marker at most. */
function hasData(store: string): boolean {
  return factsOf(store)?.isDirectory() === true && readdirSync(store).some((name) => name !== STORE_MARKER);
}

function checkTls(directory: string): Finding {
  const facts = factsOf(directory);
  if (facts === undefined) return skipped(`${directory} is not there yet; it is made by the first start with an HTTPS interface`);
  if (!facts.isDirectory()) return failed(`${directory} is no directory`, "move that file away");
  if (isOpenToOthers(facts))
    return failed(`${directory} can be entered by others (mode ${modeOf(facts)})`, `run: chmod 700 ${directory}`);
  const names = readdirSync(directory);
  const open = names.filter((name) => isOpenToOthers(statSync(join(directory, name))));
  return open.length > 0
    ? failed(
        `others may use ${open.join(", ")} in ${directory}`,
        `run: chmod 600 ${open.map((name) => join(directory, name)).join(" ")}`,
      )
    : ok(`${plural(names.length, "private file")} in ${directory}`);
}

function existingParent(path: string): string {
  const parent = dirname(path);
  return factsOf(path) !== undefined || parent === path ? path : existingParent(parent);
}

/** `undefined` where there is nothing, also below a file. */
function factsOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}

function isWritable(path: string): boolean {
  return writeProblem(path) === undefined;
}

/** What keeps files from being listed and made in a directory: a code of the system, or `undefined`. */
function writeProblem(directory: string): string | undefined {
  return accessProblem(directory, constants.R_OK | constants.W_OK | constants.X_OK);
}

function accessProblem(path: string, mode: number): string | undefined {
  try {
    accessSync(path, mode);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "unknown";
  }
}

/** Windows has no such modes. */
function isOpenToOthers({ mode }: Stats): boolean {
  return process.platform !== "win32" && (mode & OTHERS) !== 0;
}

function modeOf({ mode }: Stats): string {
  return (mode & 0o777).toString(8).padStart(4, "0");
}
