import type { AgentInput } from "../../api.ts";
import { readDocuments } from "../../catalog/import/documents.ts";
import type { Cli } from "../cli.ts";
import { CliError, EXIT } from "../exit.ts";
import { openInput } from "../input.ts";

/**
 * One agent from a file for the registry `own`, put into shape as an import would, with what was changed said aloud.
 * @throws CliError when there is none, more than one, or one that cannot be read
 */
export async function readAgent(cli: Cli, file: string, own: string): Promise<AgentInput> {
  const input = await openInput(cli.io, file);
  let found: AgentInput | undefined;
  for await (const item of readDocuments(input.chunks, "auto", { own })) {
    if ("error" in item) throw new CliError(EXIT.refused, item.error.code, `${file} line ${item.line}: ${item.error.reason}`);
    if (found !== undefined) {
      throw new CliError(EXIT.usage, "usage", `${file} holds more than one agent; use \`registry agent import\` for many`);
    }
    found = item.agent;
    for (const warning of item.warnings) cli.warn(warning);
  }
  if (found === undefined) throw new CliError(EXIT.refused, "empty", `${file} holds no agent`);
  return found;
}
