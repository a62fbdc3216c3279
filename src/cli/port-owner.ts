import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename, resolve } from "node:path";

export interface PortOwner {
  readonly pid: number;
  /** `name (process 123)`, and `of the data directory <path>` where its command line has one. */
  readonly name: string;
}

/** Who listens on `port`, on Linux and for processes that this user may look at. */
export function portOwner(port: number): PortOwner | undefined {
  try {
    const inodes = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((path) => listeningInodes(readFileSync(path, "utf8"), port));
    const pid = readdirSync("/proc").find((entry) => /^\d+$/.test(entry) && holdsSocket(entry, inodes));
    return pid === undefined ? undefined : { pid: Number(pid), name: nameOf(pid) };
  } catch {
    return undefined;
  }
}

function nameOf(pid: string): string {
  const words = readFileSync(`/proc/${pid}/cmdline`, "utf8")
    .split("\0")
    .filter((word) => word !== "");
  const command = commandOf(words) || readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  const dataDir = dataDirOf(words);
  const served = dataDir === undefined ? "" : ` of the data directory ${resolve(linkTarget(`/proc/${pid}/cwd`), dataDir)}`;
  return `${command} (process ${pid})${served}`;
}

/** What runs, in the fewest words: for an interpreter, such as node, its script too. */
export function commandOf([program = "", ...rest]: readonly string[]): string {
  const script = rest.find((word) => !word.startsWith("-"));
  return [program, script ?? ""]
    .map((word) => basename(word))
    .join(" ")
    .trim();
}

const DATA_DIR_FLAG = "--data-dir";

/** As a registry's command line names it: relative to its working directory, maybe. */
export function dataDirOf(words: readonly string[]): string | undefined {
  const index = words.indexOf(DATA_DIR_FLAG);
  if (index !== -1) return words[index + 1];
  return words.find((word) => word.startsWith(`${DATA_DIR_FLAG}=`))?.slice(DATA_DIR_FLAG.length + 1);
}

/** State LISTEN of /proc/net/tcp (proc_net_tcp(5)). */
const LISTEN = "0A";

function listeningInodes(text: string, port: number): string[] {
  const suffix = ":" + port.toString(16).toUpperCase().padStart(4, "0");
  const rows = text.split("\n").map((line) => line.trim().split(/\s+/));
  return rows.filter((row) => row[1]?.endsWith(suffix) === true && row[3] === LISTEN).map((row) => `socket:[${row[9] ?? ""}]`);
}

function holdsSocket(pid: string, inodes: readonly string[]): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => inodes.includes(linkTarget(`/proc/${pid}/fd/${fd}`)));
  } catch {
    return false;
  }
}

function linkTarget(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
