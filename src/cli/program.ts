import { Command, CommanderError } from "commander";
import { Cli } from "./cli.ts";
import { agentCommand } from "./commands/agent.ts";
import { certificateCommand } from "./commands/certificate.ts";
import { devCommand } from "./commands/dev.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { idCommand } from "./commands/id.ts";
import { initCommand } from "./commands/init.ts";
import { peerCommand } from "./commands/peer.ts";
import { startCommand } from "./commands/start.ts";
import { statusCommand } from "./commands/status.ts";
import { stopCommand } from "./commands/stop.ts";
import { syncCommand } from "./commands/sync.ts";
import { versionCommand } from "./commands/version.ts";
import { CliError, errorCodeOf, exitCodeOf, type ExitCode } from "./exit.ts";
import { paint, type CliIo } from "./io.ts";
import { SettingsError } from "./settings/mistakes.ts";
import { plain, plainJson, plainLines } from "./text.ts";

const HELP_FOOTER = `
These need no running node: init, start, id, doctor, agent verify, dev, version. The others speak to the node of --data-dir.
Exit codes: 0 ok, 1 failure, 2 usage, 3 node unreachable, 4 refused or unverified, 5 partial.
Data goes to standard output, messages to standard error.`;

/** Runs one command line (without the interpreter and script) and returns its exit code; it never throws. */
export async function runCli(argv: readonly string[], io: CliIo): Promise<ExitCode> {
  const cli = new Cli(io);
  const json = argv.slice(0, argv.includes("--") ? argv.indexOf("--") : argv.length).includes("--json");
  const program = buildProgram(cli, json);
  try {
    await program.parseAsync([...argv], { from: "user" });
    return cli.exitCode;
  } catch (error) {
    if (!isSaid(error, json)) report(error, io, { ...program.opts<ProgramOptions>(), json });
    return exitCodeOf(error);
  }
}

/** @param json errors are said as JSON: commander says nothing of its own */
function buildProgram(cli: Cli, json: boolean): Command {
  const { stdout, stderr } = cli.io;
  const writeErr = (text: string): void => void (json || stderr.write(text));
  // Before the first .command(): subcommands copy these when they are made.
  const program = new Command("registry")
    .exitOverride()
    .configureOutput({ writeOut: (text) => void stdout.write(text), writeErr })
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError("(--help shows what there is)")
    .description("A sovereign registry of AI agents that federates peer to peer.")
    .option("--json", "print data as JSON, one document a line")
    .option("--data-dir <directory>", "data directory of the registry (REGISTRY_DATA_DIR; default .registry)")
    .option("--env-file <file>", "read settings from this file instead of .env")
    .option("--log-level <level>", "debug also shows where an error came from (REGISTRY_LOG_LEVEL; default info)")
    .addHelpText("after", HELP_FOOTER);
  const groups: readonly ((program: Command, cli: Cli) => void)[] = [
    initCommand,
    startCommand,
    stopCommand,
    statusCommand,
    idCommand,
    doctorCommand,
    agentCommand,
    peerCommand,
    syncCommand,
    certificateCommand,
    devCommand,
    versionCommand,
  ];
  for (const addTo of groups) addTo(program, cli);
  return program;
}

/** Commander has already written the help, and its own errors where they are for people. */
function isSaid(error: unknown, json: boolean): boolean {
  return error instanceof CommanderError && (!json || error.exitCode === 0);
}

function messageOf(error: unknown): string {
  if (!(error instanceof CommanderError)) return error instanceof Error ? error.message : String(error);
  if (error.code === "commander.help") return "no command was named; --help shows what there is";
  return `${error.message.replace(/^error: /, "")}; --help shows what there is`;
}

/** Whether the line breaks of its message are the command line's: elsewhere a stranger's could feign messages of ours. */
function isOwn(error: unknown): boolean {
  return error instanceof CliError || error instanceof SettingsError || error instanceof CommanderError;
}

interface ProgramOptions {
  readonly json?: boolean;
  readonly logLevel?: string;
}

function report(error: unknown, io: CliIo, options: ProgramOptions): void {
  const message = messageOf(error);
  if (options.json === true) {
    const mistakes = error instanceof SettingsError ? { mistakes: error.mistakes, warnings: error.warnings } : {};
    io.stderr.write(plainJson(JSON.stringify({ error: { code: errorCodeOf(error), message, ...mistakes } })) + "\n");
  } else {
    const warnings = error instanceof SettingsError ? error.warnings : [];
    for (const text of warnings) io.stderr.write(`${paint(io.stderr, io.environment, "yellow", "warning:")} ${plain(text)}\n`);
    io.stderr.write(
      `${paint(io.stderr, io.environment, "red", "error:")} ${isOwn(error) ? plainLines(message) : plain(message)}\n`,
    );
  }
  const level = options.logLevel ?? io.environment["REGISTRY_LOG_LEVEL"];
  if (level === "debug" && error instanceof Error) io.stderr.write(`${plainLines(error.stack ?? "")}\n`);
}
