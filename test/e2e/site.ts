import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { AdminClient } from "../../src/admin/client.ts";
import type { Status } from "../../src/api.ts";
import { BINARY, ensureBuilt } from "./build.ts";

const POLL_MS = 20;
export const CONVERGE_MS_MAX = 30_000;

/** A command of the binary that has ended. */
export interface Outcome {
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
  json<T>(): T;
}

export interface Launched {
  readonly child: ChildProcess;
  readonly outcome: Promise<Outcome>;
}

/** A directory with registries in processes of their own, each started through the binary. `close` ends what still runs. */
export class Site {
  readonly directory: string;
  readonly #children = new Set<ChildProcess>();
  readonly #clients: AdminClient[] = [];

  constructor() {
    ensureBuilt();
    this.directory = mkdtempSync(join(tmpdir(), "e2e-"));
  }

  write(name: string, text: string): string {
    const path = join(this.directory, name);
    writeFileSync(path, text);
    return path;
  }

  launch(argv: readonly string[], stdin?: string): Launched {
    return this.spawn(process.execPath, [BINARY, ...argv], { stdin });
  }

  run(argv: readonly string[], stdin?: string): Promise<Outcome> {
    return this.launch(argv, stdin).outcome;
  }

  spawn(
    command: string,
    argv: readonly string[],
    options: { stdin?: string | undefined; cwd?: string; environment?: Record<string, string>; group?: boolean } = {},
  ): Launched {
    const inherited = Object.entries(process.env).filter(([name]) => !/^(?:REGISTRY|FEDERATION)_/.test(name));
    const child = spawn(command, argv, {
      cwd: options.cwd ?? this.directory,
      env: { ...Object.fromEntries(inherited), TMPDIR: this.directory, NO_COLOR: "1", ...options.environment },
      stdio: ["pipe", "pipe", "pipe"],
      detached: options.group === true,
    });
    this.#children.add(child);
    // A command that ends without reading its input is no failure of the test.
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.stdin ?? "");
    const texts = [child.stdout, child.stderr].map((stream) => collect(stream));
    const outcome = once(child, "close").then(([exit]) => {
      this.#children.delete(child);
      const [stdout = "", stderr = ""] = texts.map((text) => text());
      return { exit: exit as number | null, stdout, stderr, json: <T>() => JSON.parse(stdout) as T };
    });
    return { child, outcome };
  }

  /** Starts a registry in the folder `name` and waits until it is ready. @throws AssertionError with its last words */
  async start(name: string, ...argv: readonly string[]): Promise<Registry> {
    const listen = argv.includes("--listen") ? [] : ["--listen", "/ip4/127.0.0.1/tcp/0"];
    const dataDir = join(this.directory, name);
    const fixed = ["start", "--json", "--name", name, "--data-dir", dataDir, "--log-level", "warn"];
    const http = argv.includes("--http") ? [] : ["--http", "127.0.0.1:0"];
    const launched = this.launch([...fixed, ...listen, ...http, ...argv]);
    const line = once(createInterface({ input: launched.child.stdout as Readable }), "line") as Promise<[string]>;
    const first = await Promise.race([line, launched.outcome]);
    assert.ok(Array.isArray(first), `${name} did not start: ${"stderr" in first ? first.stderr : ""}`);
    const client = new AdminClient(dataDir);
    this.#clients.push(client);
    return new Registry(name, dataDir, JSON.parse(first[0] as string) as Status, client, launched);
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    const running = [...this.#children].filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    await Promise.all(running.map((child) => (child.kill("SIGKILL"), once(child, "exit"))));
    rmSync(this.directory, { recursive: true });
  }
}

export class Registry {
  readonly name: string;
  readonly dataDir: string;
  readonly ready: Status;
  readonly client: AdminClient;
  readonly #launched: Launched;

  constructor(name: string, dataDir: string, ready: Status, client: AdminClient, launched: Launched) {
    this.name = name;
    this.dataDir = dataDir;
    this.ready = ready;
    this.client = client;
    this.#launched = launched;
  }

  get did(): string {
    return this.ready.did;
  }

  get address(): string {
    return this.ready.multiaddrs[0] as string;
  }

  /** The address without the peer id: what a restarted registry listens on to be found where it was. */
  get listening(): string {
    return this.address.replace(/\/p2p\/.*/, "");
  }

  signal(signal: "SIGINT" | "SIGTERM" | "SIGKILL"): Promise<Outcome> {
    this.#launched.child.kill(signal);
    return this.#launched.outcome;
  }
}

/** Polls what a registry says of itself until `isDone`. @throws AssertionError with the last status */
export async function until(what: string, registry: Registry, isDone: (status: Status) => boolean): Promise<Status> {
  const deadlineMs = performance.now() + CONVERGE_MS_MAX;
  for (;;) {
    const status = await registry.client.status();
    if (isDone(status)) return status;
    assert.ok(
      performance.now() < deadlineMs,
      `${registry.name}: ${what} did not come about:\n${JSON.stringify(status, undefined, 2)}`,
    );
    await pause(POLL_MS);
  }
}

/** Waits until each follower holds the whole newest catalogue of `home`. Returns its map root. */
export async function converged(home: Registry, followers: readonly Registry[]): Promise<string> {
  const { catalog } = await home.client.status();
  for (const follower of followers) {
    await until(`the catalogue of ${home.name} at ${catalog.mapRoot}`, follower, ({ peers }) =>
      peers.some(
        ({ did, syncedRoot, agents }) => did === home.did && syncedRoot === catalog.mapRoot && agents === catalog.agents,
      ),
    );
  }
  return catalog.mapRoot;
}

function collect(stream: Readable): () => string {
  let text = "";
  stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  return () => text;
}
