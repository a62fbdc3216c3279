import { Option, type Command } from "commander";
import { readDocuments, type ImportFormat } from "../../catalog/import/documents.ts";
import type { Cli } from "../cli.ts";
import { importAgents } from "../import/import-agents.ts";
import { describeReport, importExitCode } from "../import/report.ts";
import { openInput } from "../input.ts";
import { startProgress } from "../progress.ts";

export function importCommand(agent: Command, cli: Cli): void {
  agent
    .command("import")
    .argument("<file>", "JSON Lines of agents, an A2A agent card, or MCP server.json; - for standard input")
    .addOption(new Option("--format <format>", "what the file holds").choices(["auto", "jsonl", "a2a", "mcp"]).default("auto"))
    .description("register or update every agent of a file; a bad line never stops the good ones")
    .action(async (file: string, options: { format: ImportFormat }, command: Command) => {
      const startedMs = performance.now();
      const input = await openInput(cli.io, file);
      const report = await cli.withNode(command, async (client) => {
        // Without a node not a byte of the file is read, and no bar is drawn.
        const { did: own } = await client.process();
        const progress = startProgress(cli.io.stderr, { label: "import", total: input.bytes, items: "agents" });
        const lines = readDocuments(input.chunks, options.format, { own });
        const update = ({ bytes, lines: read }: { bytes: number; lines: number }): void => progress.update(bytes, read);
        try {
          const imported = await importAgents(client, lines, update);
          progress.update(input.bytes, imported.lines);
          return imported;
        } finally {
          progress.stop();
        }
      });
      await cli.show(command, report, () => describeReport(report, (performance.now() - startedMs) / 1_000));
      cli.exitCode = importExitCode(report);
    });
}
