import { existsSync, readFileSync } from "node:fs";
import type { Command } from "commander";
import type { Cli } from "../cli.ts";

export function versionCommand(program: Command, cli: Cli): void {
  program
    .version(packageFacts().version, "--version", "show the version alone")
    .command("version")
    .description("show the version (needs no node)")
    .action(async (_options, command: Command) => {
      const { name, version } = packageFacts();
      await cli.show(command, { name, version, node: process.version }, () => `${name} ${version} (Node ${process.version})`);
    });
}

/** The nearest package.json above: its depth differs between the sources and what is built from them. */
function packageFacts(): { readonly name: string; readonly version: string } {
  let directory = new URL(".", import.meta.url);
  while (!existsSync(new URL("package.json", directory))) directory = new URL("..", directory);
  return JSON.parse(readFileSync(new URL("package.json", directory), "utf8")) as { name: string; version: string };
}
