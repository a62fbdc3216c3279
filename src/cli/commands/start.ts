import { setTimeout as pause } from "node:timers/promises";
import type { Command } from "commander";
import { systemClock } from "../../adapters/system/clock.ts";
import { pinoLog } from "../../adapters/system/log.ts";
import { AdminClient } from "../../admin/client.ts";
import { NodeUnreachableError } from "../../admin/errors.ts";
import { startAdminServer } from "../../admin/server.ts";
import { describeStart } from "../banner.ts";
import { dataDirectoryProblem, isJson, type Cli } from "../cli.ts";
import { CliError, EXIT } from "../exit.ts";
import { write } from "../io.ts";
import { planListening } from "../ports.ts";
import { addSettingOptions } from "../setting-options.ts";
import { onInterrupt } from "../signals.ts";
import { plain } from "../text.ts";

/** How long the process that holds a data directory may take to say who it is, in milliseconds. */
const OWNER_TIMEOUT_MS = 2_000;

export function startCommand(program: Command, cli: Cli): void {
  addSettingOptions(program.command("start"))
    .description("run a registry until Ctrl-C (needs no running node: it is the node)")
    .action((_options, command: Command) => start(cli, command));
}

async function start(cli: Cli, command: Command): Promise<void> {
  const settings = cli.settings(command);
  for (const warning of settings.warnings) cli.warn(warning);
  // Before the ports, which the registry that runs already holds: what it is about to say of them would mislead.
  await refuseServed(settings.config.dataDir);
  const { listen, http } = settings.config;
  const isDefault = (field: "listen" | "http"): boolean => settings.origins[field].kind === "default";
  const plan = await planListening({
    ...{ listen, isListenDefault: isDefault("listen") },
    ...{ http, isHttpDefault: isDefault("http") },
  });
  for (const warning of plan.warnings) cli.warn(warning);

  const { promise: stopRequested, resolve: requestStop } = Promise.withResolvers<void>();
  const ignoreSignals = onInterrupt(() => {
    cli.say("draining … (once more to force)");
    requestStop();
  });
  // A parent that started us over a channel owns us: when it goes, in whatever way, so do we.
  process.on("disconnect", requestStop);

  const config = { ...settings.config, listen: plan.listen, http: plan.http };
  // The node's libraries take a while to load, and no other command needs them.
  const { startRegistry } = await import("../../compose.ts");
  const node = await startRegistry(config, requestStop);
  try {
    const admin = await startAdminServer(Object.assign(node, { requestStop }), {
      dataDir: config.dataDir,
      clock: systemClock(),
      log: pinoLog({ level: config.logLevel }),
      environment: cli.io.environment,
    });
    const status = await node.status();
    cli.say(describeStart(cli.io, status, { ...settings, config }));
    if (isJson(command))
      await write(cli.io.stdout, JSON.stringify({ event: "ready", dataDir: config.dataDir, ...status }) + "\n");
    await stopRequested;
    await node.stop();
    await admin.close();
  } finally {
    await node.stop();
    ignoreSignals();
    process.off("disconnect", requestStop);
  }
  cli.say("stopped");
}

/** @throws CliError naming the process that serves this data directory already */
async function refuseServed(dataDir: string): Promise<void> {
  const client = new AdminClient(dataDir);
  try {
    const owner = await Promise.race([client.process(), pause(OWNER_TIMEOUT_MS, undefined, { ref: false })]);
    const who = owner === undefined ? "a process that does not say who it is" : `process ${owner.pid} ("${plain(owner.name)}")`;
    const message = `the data directory ${dataDir} is served already by ${who}`;
    throw new CliError(
      EXIT.failure,
      "in_use",
      `${message}; stop it with \`registry stop\`, or name another directory with --data-dir`,
    );
  } catch (error) {
    // Nobody answers: what else stands in the way is found when the directory is opened.
    if (!(error instanceof NodeUnreachableError)) throw dataDirectoryProblem(dataDir, error) ?? error;
  } finally {
    client.close();
  }
}
