import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { startAdminServer, type AdminServer } from "../../src/admin/server.ts";
import type { ExitCode } from "../../src/cli/exit.ts";
import type { CliStream } from "../../src/cli/io.ts";
import { runCli } from "../../src/cli/program.ts";
import { MapNode, realClock, silentLog } from "../admin/map-node.ts";

/** A stream that keeps what is written; `isTTY` makes a terminal of it. */
export class Capture extends Writable {
  text = "";
  readonly isTTY: boolean;
  readonly columns: number;

  constructor(options: { isTTY?: boolean; columns?: number } = {}) {
    super({ decodeStrings: false });
    this.isTTY = options.isTTY ?? false;
    this.columns = options.columns ?? 80;
  }

  override _write(chunk: string | Uint8Array, _encoding: string, done: () => void): void {
    this.text += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString();
    this.emit("captured");
    done();
  }
}

export interface Run {
  readonly exit: ExitCode;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as the one JSON document that it has to be. */
  json<T = Record<string, unknown>>(): T;
}

/** A working directory, and in it, when asked for, a node that answers. */
export class Bench {
  readonly directory: string = mkdtempSync(join(tmpdir(), "cli-"));
  readonly node: MapNode = new MapNode();
  #server: AdminServer | undefined;

  get dataDir(): string {
    return this.directory;
  }

  async serve(): Promise<void> {
    const options = { dataDir: this.dataDir, clock: realClock, log: silentLog, environment: {} };
    this.#server = await startAdminServer(this.node, options);
    this.node.onStop = () => void this.#server?.close();
  }

  async run(
    argv: readonly string[],
    options: { stdin?: string; environment?: Record<string, string>; stdout?: Capture; stderr?: Capture } = {},
  ): Promise<Run> {
    const stdout = options.stdout ?? new Capture();
    const stderr = options.stderr ?? new Capture();
    const exit = await runCli(argv, {
      stdin: (async function* () {
        yield Buffer.from(options.stdin ?? "");
      })(),
      stdout: stdout as CliStream,
      stderr: stderr as CliStream,
      environment: { REGISTRY_DATA_DIR: this.dataDir, ...options.environment },
      workingDirectory: this.directory,
    });
    return { exit, stdout: stdout.text, stderr: stderr.text, json: <T>() => JSON.parse(stdout.text) as T };
  }

  async close(): Promise<void> {
    await this.#server?.close();
    rmSync(this.directory, { recursive: true });
  }
}
