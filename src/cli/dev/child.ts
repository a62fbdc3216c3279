import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { AdminClient } from "../../admin/client.ts";
import type { Status } from "../../api.ts";
import { CliError, EXIT } from "../exit.ts";

/** One registry of a throw-away federation: a real `registry start` in a process of its own. */
export interface DevRegistry {
  readonly name: string;
  readonly did: string;
  readonly multiaddr: string;
  readonly dataDir: string;
  readonly pid: number;
  readonly client: AdminClient;
  /** The end of its log. */
  lastWords(): string;
  stop(): Promise<void>;
  kill(): void;
}

const READY_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 10_000;
/** Lines of a registry's log that are shown when it fails. */
const LOG_LINES_SHOWN = 20;

export interface DevRegistryOptions {
  readonly name: string;
  /** Directory of the whole federation. */
  readonly directory: string;
  readonly peer: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** @throws CliError with the end of its log when it does not come up */
export async function startDevRegistry(options: DevRegistryOptions): Promise<DevRegistry> {
  const { name, directory } = options;
  const dataDir = join(directory, name);
  mkdirSync(dataDir, { mode: 0o700 });
  const logPath = join(directory, `${name}.log`);
  const log = openSync(logPath, "a", 0o600);
  const child = spawn(process.execPath, [entryPath(), ...startArguments(options, dataDir)], {
    // Where no .env of the user's lies.
    cwd: directory,
    env: withoutSettings(options.environment),
    // The channel ties the child's life to ours; its log goes to a file beside its data.
    stdio: ["ignore", "pipe", log, "ipc"],
    // Ctrl-C reaches a whole process group: the children shall hear of it from us, in order.
    detached: true,
  });
  closeSync(log);
  const ended = once(child, "exit").then(
    () => undefined,
    () => undefined,
  );
  const status = await ready(child, ended);
  if (status === undefined) {
    child.kill("SIGKILL");
    throw new CliError(EXIT.failure, "not_started", `registry ${name} did not start:\n${lastLines(logPath)}`);
  }
  return {
    name,
    did: status.did,
    multiaddr: status.multiaddrs[0] ?? "",
    dataDir,
    pid: child.pid ?? 0,
    client: new AdminClient(dataDir),
    lastWords: () => lastLines(logPath),
    stop: () => stopChild(child, ended),
    kill: () => child.kill("SIGKILL"),
  };
}

function lastLines(path: string): string {
  return readFileSync(path, "utf8").trimEnd().split("\n").slice(-LOG_LINES_SHOWN).join("\n");
}

function startArguments({ name, peer }: DevRegistryOptions, dataDir: string): string[] {
  const fixed = [
    "start",
    "--json",
    "--name",
    name,
    "--data-dir",
    dataDir,
    "--listen",
    "/ip4/127.0.0.1/tcp/0",
    "--http",
    "127.0.0.1:0",
    // They learn of each other by gossip, at addresses of this machine.
    "--allow-private-addresses",
    "true",
    "--log-level",
    "warn",
  ];
  return peer === undefined ? fixed : [...fixed, "--peer", peer];
}

/** Beside this file in the sources and in what is built from them. */
function entryPath(): string {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return fileURLToPath(new URL(`../main.${extension}`, import.meta.url));
}

/** The user's own registry is configured by these; the throw-away one must not hear of them. */
function withoutSettings(environment: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  const kept = Object.entries(environment).filter(([name]) => !/^(?:REGISTRY|FEDERATION)_/.test(name));
  return Object.fromEntries(kept);
}

async function ready(child: ChildProcess, ended: Promise<void>): Promise<Status | undefined> {
  const lines = createInterface({ input: child.stdout as Readable });
  const deadline = AbortSignal.timeout(READY_TIMEOUT_MS);
  const first = once(lines, "line", { signal: deadline }).then(
    ([line]) => JSON.parse(line as string) as Status,
    () => undefined,
  );
  return Promise.race([first, ended]).then((status) => status ?? undefined);
}

async function stopChild(child: ChildProcess, ended: Promise<void>): Promise<void> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  await ended;
  clearTimeout(timer);
}
