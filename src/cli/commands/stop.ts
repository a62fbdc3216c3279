import type { Command } from "commander";
import type { Cli } from "../cli.ts";

export function stopCommand(program: Command, cli: Cli): void {
  program
    .command("stop")
    .description("drain the running node and wait until it has ended")
    .action(async (_options, command: Command) => {
      let pid = 0;
      await cli.withNode(command, (client) =>
        client.stop((owner) => {
          pid = owner.pid;
          cli.say(`stopping ${owner.name} (process ${owner.pid}) …`);
        }),
      );
      await cli.show(command, { stopped: true, pid }, () => "stopped");
    });
}
