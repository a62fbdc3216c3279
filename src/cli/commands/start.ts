import type { Command } from "commander";
import { systemClock } from "../../adapters/system/clock.ts";
import { pinoLog } from "../../adapters/system/log.ts";
import { startAdminServer } from "../../admin/server.ts";
import { describeStart } from "../banner.ts";
import { isJson, type Cli } from "../cli.ts";
import { write } from "../io.ts";
import { planListening } from "../ports.ts";
import { addSettingOptions } from "../setting-options.ts";
import { onInterrupt } from "../signals.ts";

export function startCommand(program: Command, cli: Cli): void {
  addSettingOptions(program.command("start"))
    .description("run a registry until Ctrl-C (needs no running node: it is the node)")
    .action((_options, command: Command) => start(cli, command));
}

async function start(cli: Cli, command: Command): Promise<void> {
  const settings = cli.settings(command);
  for (const warning of settings.warnings) cli.warn(warning);
  const plan = await planListening(settings.config.listen, settings.origins.listen.kind === "default");
  for (const warning of plan.warnings) cli.warn(warning);

  const { promise: stopRequested, resolve: requestStop } = Promise.withResolvers<void>();
  const ignoreSignals = onInterrupt(() => {
    cli.say("draining … (once more to force)");
    requestStop();
  });
  // A parent that started us over a channel owns us: when it goes, in whatever way, so do we.
  process.on("disconnect", requestStop);

  const config = { ...settings.config, listen: plan.listen };
  // The node's libraries take a while to load, and no other command needs them.
  const { startRegistry } = await import("../../compose.ts");
  const node = await startRegistry(config);
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
