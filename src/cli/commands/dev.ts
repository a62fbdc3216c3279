import type { Command } from "commander";
import { setTimeout as pause } from "node:timers/promises";
import { isJson, type Cli } from "../cli.ts";
import { Federation, NODES_MAX, NODES_MIN } from "../dev/federation.ts";
import { describeLive, show, type ShowSummary } from "../dev/show.ts";
import { CliError, EXIT } from "../exit.ts";
import { paint, write } from "../io.ts";
import { onInterrupt } from "../signals.ts";

const AGENTS_DEFAULT = "600";
const AGENTS_MAX = 100_000;
const LIVE_INTERVAL_MS = 1_000;

export function devCommand(program: Command, cli: Cli): void {
  program
    .command("dev")
    .option("--nodes <number>", `registries to start, ${NODES_MIN} to ${NODES_MAX}`, "3")
    .option("--agents <number>", "sample agents, spread over the registries", AGENTS_DEFAULT)
    .option("--once", "end after the show")
    .description("show a throw-away federation of real registries on this machine (needs no node)")
    .action(async (options: { nodes: string; agents: string; once?: boolean }, command: Command) => {
      const nodes = numberIn(options.nodes, "--nodes", NODES_MIN, NODES_MAX);
      const agents = numberIn(options.agents, "--agents", nodes, AGENTS_MAX);
      await dev(cli, command, { nodes, agents, once: options.once === true });
    });
}

async function dev(cli: Cli, command: Command, options: { nodes: number; agents: number; once: boolean }): Promise<void> {
  const { io } = cli;
  const interrupted = new AbortController();
  const ignoreSignals = onInterrupt(() => interrupted.abort());
  const federation = await Federation.create(io.environment);
  const { signal } = interrupted;
  try {
    // The story is the data, unless a script asked for the facts alone.
    const summary = await show(io, federation, { ...options, signal, out: isJson(command) ? io.stderr : io.stdout });
    if (isJson(command)) await write(io.stdout, JSON.stringify(summary) + "\n");
    if (!options.once) await keepRunning(cli, federation, summary, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    if (options.once) cli.exitCode = EXIT.failure;
  } finally {
    if (!options.once) cli.say(`\nending ${federation.registries.length} registries and removing ${federation.directory} …`);
    await federation.close();
    ignoreSignals();
  }
}

async function keepRunning(cli: Cli, federation: Federation, summary: ShowSummary, signal: AbortSignal): Promise<void> {
  const { stderr, environment } = cli.io;
  const bold = (text: string): string => paint(stderr, environment, "bold", text);
  const [, second] = summary.registries;
  cli.say(`\n${bold("It keeps running; Ctrl-C ends it. In another terminal, try")}`);
  for (const words of ["status", "agent list --limit 5", `agent get ${summary.lookup.humanReadableId} --proof`]) {
    cli.say(`  npm run --silent registry -- ${words} --data-dir ${second?.dataDir ?? ""}`);
  }
  cli.say("");
  const startedMs = performance.now();
  let before = "";
  while (!signal.aborted) {
    const statuses = await federation.statuses();
    const line = describeLive(statuses, (performance.now() - startedMs) / 1_000);
    const news = line.replace(/, up .*/, "");
    if (stderr.isTTY === true) stderr.write(`\r\u001b[2K  ${line}`);
    else if (news !== before) cli.say(news);
    before = news;
    await pause(LIVE_INTERVAL_MS, undefined, { signal });
  }
}

function numberIn(text: string, flag: string, min: number, max: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new CliError(EXIT.usage, "usage", `${flag} takes ${min} to ${max}, not ${text}`);
}
