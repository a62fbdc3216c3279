import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";

export interface PortOwner {
  readonly pid: number;
  /** `name (process 123)`. */
  readonly name: string;
}

/** Who listens on `port`, on Linux and for processes that this user may look at. */
export function portOwner(port: number): PortOwner | undefined {
  try {
    const inodes = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((path) => listeningInodes(readFileSync(path, "utf8"), port));
    const pid = readdirSync("/proc").find((entry) => /^\d+$/.test(entry) && holdsSocket(entry, inodes));
    return pid === undefined ? undefined : { pid: Number(pid), name: `${commandOf(pid)} (process ${pid})` };
  } catch {
    return undefined;
  }
}

/** The words of a command line that say what runs: for an interpreter, such as node, its script too. */
const COMMAND_WORDS = 2;

function commandOf(pid: string): string {
  const words = readFileSync(`/proc/${pid}/cmdline`, "utf8")
    .split("\0", COMMAND_WORDS)
    .filter((word) => word !== "");
  return words.map((word) => basename(word)).join(" ") || readFileSync(`/proc/${pid}/comm`, "utf8").trim();
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
