import type { Command } from "commander";
import { AdminClient } from "../admin/client.ts";
import type { RegistryConfig } from "../config.ts";
import { CliError, EXIT, type ExitCode } from "./exit.ts";
import { paint, write, type CliIo } from "./io.ts";
import { SETTINGS } from "./settings/definitions.ts";
import { resolveSettings, type ResolvedSettings } from "./settings/resolve.ts";
import { plainJson, plainLines } from "./text.ts";

/** One run of the command line: options that every command takes, and how it speaks. */
export class Cli {
  readonly io: CliIo;
  exitCode: ExitCode = EXIT.ok;

  constructor(io: CliIo) {
    this.io = io;
  }

  /** Data, as one line of JSON or as text for people. */
  async show(command: Command, data: unknown, text: () => string): Promise<void> {
    await (isJson(command) ? this.writeJson(JSON.stringify(data)) : write(this.io.stdout, text() + "\n"));
  }

  /** JSON as it is for programs, who may check it byte for byte; escaped where it would steer a terminal. */
  async writeJson(json: string): Promise<void> {
    await write(this.io.stdout, (this.io.stdout.isTTY === true ? plainJson(json) : json) + "\n");
  }

  /** A message beside the data. */
  say(text: string): void {
    this.io.stderr.write(text + "\n");
  }

  warn(text: string): void {
    this.say(`${paint(this.io.stderr, this.io.environment, "yellow", "warning:")} ${plainLines(text)}`);
  }

  settings(command: Command, only?: readonly (keyof RegistryConfig)[]): ResolvedSettings {
    const options = command.optsWithGlobals<Record<string, string | readonly string[] | undefined>>();
    const flags = SETTINGS.flatMap(({ field, flag }) => {
      const given = options[camelCase(flag)];
      return given === undefined ? [] : [[field, [given].flat()]];
    });
    return resolveSettings(
      {
        flags: Object.fromEntries(flags) as Partial<Record<keyof RegistryConfig, readonly string[]>>,
        environment: this.io.environment,
        envFile: options["envFile"] as string | undefined,
        workingDirectory: this.io.workingDirectory,
      },
      only,
    );
  }

  /** Runs `use` with the node of the data directory, and hangs up afterwards. */
  async withNode<T>(command: Command, use: (client: AdminClient) => Promise<T>): Promise<T> {
    const { dataDir } = this.settings(command, ["dataDir"]).config;
    const client = new AdminClient(dataDir);
    try {
      return await use(client);
    } catch (error) {
      throw dataDirectoryProblem(dataDir, error) ?? error;
    } finally {
      client.close();
    }
  }
}

/** What the system's refusal to look into `dataDir` means; `undefined` for every other error. */
export function dataDirectoryProblem(dataDir: string, cause: unknown): CliError | undefined {
  if ((cause as NodeJS.ErrnoException).code !== "ENOTDIR") return undefined;
  const message = `the data directory ${dataDir} is a file and no directory; name a directory with --data-dir, or move that file away`;
  return new CliError(EXIT.usage, "not_a_directory", message, { cause });
}

export function isJson(command: Command): boolean {
  return command.optsWithGlobals<{ json?: boolean }>().json === true;
}

/** `--data-dir` as commander names it: `dataDir`. */
function camelCase(flag: string): string {
  return flag.slice(2).replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
