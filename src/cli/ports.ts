import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import { basename } from "node:path";
import { multiaddr } from "@multiformats/multiaddr";

export interface ListenPlan {
  readonly listen: readonly string[];
  /** Ports of defaults that were taken, and what is used instead. */
  readonly warnings: readonly string[];
}

/** A port that was asked for by name is taken, or its address is not of this machine. */
export class PortError extends Error {
  override readonly name = "PortError";
  readonly code: string;

  constructor(code: "address_in_use" | "address_not_available", message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Looks at every port before the node starts: a default that is taken becomes a free one, a named one is refused.
 * @throws PortError naming the owner where the system tells it
 */
export async function planListening(addresses: readonly string[], isDefault: boolean): Promise<ListenPlan> {
  const listen: string[] = [];
  const warnings: string[] = [];
  for (const address of addresses) {
    const [host, port] = multiaddr(address).getComponents();
    const problem = await bindProblem(host?.value ?? "", Number(port?.value));
    if (problem === undefined) {
      listen.push(address);
    } else if (isDefault && problem === "EADDRINUSE") {
      listen.push(address.replace(/\/tcp\/\d+$/, "/tcp/0"));
      warnings.push(
        `the default port ${port?.value ?? ""} is taken${byOwner(Number(port?.value))}; a free one is used (name one with --listen)`,
      );
    } else {
      throw portError(address, Number(port?.value), problem);
    }
  }
  return { listen, warnings };
}

function portError(address: string, port: number, problem: string): PortError {
  if (problem === "EADDRINUSE") {
    return new PortError(
      "address_in_use",
      `cannot listen on ${address}: the port is taken${byOwner(port)}; free it or name another with --listen`,
    );
  }
  return new PortError(
    "address_not_available",
    `cannot listen on ${address} (${problem}); name an address of this machine with --listen`,
  );
}

async function bindProblem(host: string, port: number): Promise<string | undefined> {
  if (port === 0) return undefined;
  const probe = createServer();
  try {
    probe.listen({ host, port, exclusive: true });
    await once(probe, "listening");
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "unknown";
  } finally {
    if (probe.listening) await new Promise((resolve) => probe.close(resolve));
  }
}

function byOwner(port: number): string {
  const owner = portOwner(port);
  return owner === undefined ? "" : ` by ${owner}`;
}

/** `name (process 123)`, on Linux and for processes that this user may look at. */
export function portOwner(port: number): string | undefined {
  try {
    const inodes = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((path) => listeningInodes(readFileSync(path, "utf8"), port));
    const pid = readdirSync("/proc").find((entry) => /^\d+$/.test(entry) && holdsSocket(entry, inodes));
    return pid === undefined ? undefined : `${commandOf(pid)} (process ${pid})`;
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
