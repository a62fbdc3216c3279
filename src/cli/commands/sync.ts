import type { Command } from "commander";
import type { SyncStatus } from "../../api.ts";
import type { Cli } from "../cli.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { startProgress } from "../progress.ts";
import { plain, short, table } from "../text.ts";

export function syncCommand(program: Command, cli: Cli): void {
  const sync = program.command("sync").description("replication of the registries that are followed");
  sync
    .command("now")
    .argument("[did]", "only this registry; all that are followed by default")
    .description("sync now, and wait until it is done")
    .action(async (did: string | undefined, _options, command: Command) => {
      const progress = startProgress(cli.io.stderr, { label: "sync", total: 0, items: "changes" });
      const result = await cli
        .withNode(command, (client) =>
          client.syncNow(did, (states) => {
            progress.setTotal(sum(states, ({ total }) => total));
            progress.update(sum(states, ({ received }) => received));
          }),
        )
        .finally(() => progress.stop());
      await cli.show(command, { sync: result }, () => describeSync(result));
      cli.exitCode = outcome(result);
    });
  sync
    .command("status")
    .description("show where every replica stands")
    .action(async (_options, command: Command) => {
      const states = await cli.withNode(command, (client) => client.syncStatus());
      await cli.show(command, { sync: states }, () => describeSync(states));
    });
}

function outcome(states: readonly SyncStatus[]): ExitCode {
  const failed = states.filter(({ state }) => state === "failed").length;
  if (failed === 0) return EXIT.ok;
  return failed === states.length ? EXIT.failure : EXIT.partial;
}

function sum(states: readonly SyncStatus[], of: (state: SyncStatus) => number): number {
  return states.reduce((total, state) => total + of(state), 0);
}

function describeSync(states: readonly SyncStatus[]): string {
  if (states.length === 0) return "No registry is followed yet.";
  const rows = states.map((state) => [
    plain(state.name),
    short(state.did),
    state.state,
    state.agents,
    state.lastSync ?? "never",
    plain(state.lastError ?? ""),
  ]);
  return table(["REGISTRY", "DID", "STATE", "AGENTS", "LAST SYNC", "PROBLEM"], rows);
}
