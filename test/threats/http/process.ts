import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { AdminClient } from "../../../src/admin/client.ts";
import { TOKEN_FILE_NAME } from "../../../src/adapters/system/token-file.ts";
import type { Status } from "../../../src/api.ts";

const MAIN = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url));
/** From the start of a process to its ready line, on a busy machine. */
const START_MS_MAX = 30_000;
/** Until a line of the log that a test waits for is there. */
const LOG_MS_MAX = 15_000;
/** Characters of the log that are kept for the message of a failure. */
const LOG_LENGTH_MAX = 1_048_576;

export interface ProcessOptions {
  /** An empty one by default. */
  readonly dataDir?: string;
  /** 0, the default, takes a free one. */
  readonly port?: number;
  /** DIDs of the registries that it follows; none by default. */
  readonly follow?: readonly string[];
  readonly more?: readonly string[];
}

/** A whole registry in a process of its own, whose web face is real: TLS, HTTP/2, LevelDB below. */
export class RegistryProcess {
  readonly dataDir: string;
  readonly ready: Status;
  readonly admin: AdminClient;
  readonly #child: ChildProcess;
  readonly #log: Log;

  private constructor(dataDir: string, ready: Status, child: ChildProcess, log: Log) {
    this.dataDir = dataDir;
    this.ready = ready;
    this.admin = new AdminClient(dataDir);
    this.#child = child;
    this.#log = log;
  }

  /** @throws AssertionError with its last words when it is not ready in time */
  static async start({ dataDir, port = 0, follow = [], more = [] }: ProcessOptions = {}): Promise<RegistryProcess> {
    const directory = dataDir ?? mkdtempSync(join(tmpdir(), "threats-"));
    const argv = [
      ...["start", "--json", "--name", "target", "--data-dir", directory],
      ...["--listen", "/ip4/127.0.0.1/tcp/0", "--http", `127.0.0.1:${port}`],
      ...["--follow", follow.join(",") || "none", ...more],
    ];
    const environment = Object.entries(process.env).filter(([name]) => !/^(?:REGISTRY|FEDERATION)_/.test(name));
    const child = spawn(process.execPath, [MAIN, ...argv], {
      cwd: directory,
      env: { ...Object.fromEntries(environment), NO_COLOR: "1" },
      // Over the channel it learns when we are gone, and ends.
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    const log = new Log(child.stderr as Readable);
    const first = once(createInterface({ input: child.stdout as Readable }), "line") as Promise<[string]>;
    const exited = once(child, "exit").then(() => undefined);
    const line = await within(START_MS_MAX, Promise.race([first, exited]));
    if (line === undefined) child.kill("SIGKILL");
    assert.ok(line, `the registry did not start:\n${log.text}`);
    return new RegistryProcess(directory, JSON.parse(line[0]) as Status, child, log);
  }

  get did(): string {
    return this.ready.did;
  }

  get url(): string {
    return (this.ready.http as { url: string }).url;
  }

  /** What signed requests name. */
  get authority(): string {
    return new URL(this.url).host;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  get operatorToken(): string {
    return readFileSync(join(this.dataDir, TOKEN_FILE_NAME), "utf8").trim();
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resident memory of the process, in megabytes. */
  get residentMegabytes(): number {
    const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.#child.pid}/status`, "utf8")) ?? [];
    return Number(kilobytes) / 1_024;
  }

  /** What it has logged so far. */
  get log(): string {
    return this.#log.text;
  }

  /** Resolves once a line of the log holds all of `parts`. @throws AssertionError with the log */
  logged(...parts: readonly string[]): Promise<string> {
    return this.#log.line(parts);
  }

  /** Ends it as a crash would, and leaves its data directory. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Ends it in good order, and removes its data directory. @throws AssertionError when it does not end well */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
    rmSync(this.dataDir, { recursive: true, force: true });
    assert.equal(this.#child.exitCode, 0, `the registry did not stop in good order:\n${this.log}`);
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    this.admin.close();
    if (!this.isRunning) return;
    this.#child.kill(signal);
    await once(this.#child, "exit");
  }
}

/** Standard error of a process, line by line. */
class Log {
  text = "";
  readonly #stream: Readable;

  constructor(stream: Readable) {
    this.#stream = stream.setEncoding("utf8");
    stream.on("data", (chunk: string) => (this.text = (this.text + chunk).slice(-LOG_LENGTH_MAX)));
  }

  async line(parts: readonly string[]): Promise<string> {
    const deadlineMs = performance.now() + LOG_MS_MAX;
    for (;;) {
      const found = this.text.split("\n").find((line) => parts.every((part) => line.includes(part)));
      if (found !== undefined) return found;
      const more = await within(deadlineMs - performance.now(), once(this.#stream, "data"));
      assert.ok(more, `no line of the log holds ${parts.join(" and ")}:\n${this.text}`);
    }
  }
}

/** The value, or `undefined` when it does not come in time. */
export async function within<T>(ms: number, value: Promise<T>): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), ms);
  try {
    return await Promise.race([value, promise]);
  } finally {
    clearTimeout(timer);
  }
}

let shared: Promise<RegistryProcess> | undefined;

/**
 * One process for all tests that leave it as it was; each of them comes as registries, and from an address, of its own. Budgets of
 * requests are so large that no test meets them by accident.
 */
export function sharedRegistry(): Promise<RegistryProcess> {
  const more = ["--allow-private-addresses", "true", "--log-level", "debug", "--requests-per-peer-per-minute-max", "100000"];
  return (shared ??= RegistryProcess.start({ more }));
}

after(async () => {
  await (await shared)?.stop();
});
