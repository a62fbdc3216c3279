import { Option, type Command } from "commander";
import { canonicalText } from "../../../protocols/lib/canonical.ts";
import { isDid } from "../../../protocols/lib/did.ts";
import { recordJson } from "../../../protocols/record/record.ts";
import type { AdminClient } from "../../admin/client.ts";
import { LIST_LIMIT_MAX, type AgentPage, type AgentView, type ListQuery, type Mutation, type MutationResult } from "../../api.ts";
import { isJson, type Cli } from "../cli.ts";
import { CliError, EXIT } from "../exit.ts";
import { facts, plain, short, table } from "../text.ts";
import { importCommand } from "./agent-import.ts";
import { verifyCommand } from "./agent-verify.ts";
import { findAgents } from "./find-agents.ts";
import { readAgent } from "./read-agent.ts";

const LIST_LIMIT_DEFAULT = "50";

export function agentCommand(program: Command, cli: Cli): void {
  const agent = program.command("agent").description("the agents of this registry and of those that it follows");
  putCommand(agent, cli, "register", "create", "register one agent from a JSON file");
  getCommand(agent, cli);
  listCommand(agent, cli);
  putCommand(agent, cli, "update", "update", "replace one agent by what a JSON file says");
  deregisterCommand(agent, cli);
  importCommand(agent, cli);
  exportCommand(agent, cli);
  verifyCommand(agent, cli);
}

const ifRevisionOption = (): Option =>
  new Option("--if-revision <number>", "only if the stored revision is this one").argParser((text) =>
    wholeNumber(text, "--if-revision"),
  );

function putCommand(agent: Command, cli: Cli, name: string, mode: "create" | "update", description: string): void {
  agent
    .command(name)
    .argument("<file>", "one agent as JSON; - for standard input")
    .addOption(ifRevisionOption())
    .description(description)
    .action(async (file: string, options: { ifRevision?: number }, command: Command) => {
      await cli.withNode(command, async (client) => {
        const { did: own } = await client.process();
        const input = await readAgent(cli, file, own);
        await mutateOne(cli, command, client, { op: "put", agent: input, mode, ...options });
      });
    });
}

function deregisterCommand(agent: Command, cli: Cli): void {
  agent
    .command("deregister")
    .argument("<did|name>", "DID or humanReadableId of an agent of this registry")
    .addOption(ifRevisionOption())
    .description("take an agent out of this registry's catalogue")
    .action((id: string, options: { ifRevision?: number }, command: Command) =>
      cli.withNode(command, async (client) => {
        const did = isDid(id) ? id : await ownAgent(client, id);
        await mutateOne(cli, command, client, { op: "delete", did, ...options });
      }),
    );
}

/** DID of our own agent of this name. @throws CliError `refused` when the name is another registry's */
async function ownAgent(client: AdminClient, name: string): Promise<string> {
  const { agent, home } = await client.getAgent(name);
  if (home.own) return agent.did;
  throw new CliError(EXIT.refused, "not_ours", `"${name}" is an agent of ${home.did}: only its home can take it out`);
}

/** @throws CliError `refused` with the node's reason */
async function mutateOne(cli: Cli, command: Command, client: AdminClient, mutation: Mutation): Promise<void> {
  const [result] = await client.mutate([mutation]);
  if (result === undefined) throw new CliError(EXIT.failure, "no_answer", "the node did not answer for this agent");
  if (result.outcome === "refused")
    throw new CliError(
      EXIT.refused,
      result.code,
      `refused (${result.code}): ${plain(result.reason)}${refusalFix(mutation, result)}`,
    );
  await cli.show(command, result, () => describeResult(result));
}

function refusalFix(mutation: Mutation, { code }: MutationResult & { outcome: "refused" }): string {
  const isThere =
    mutation.op === "put" && mutation.mode === "create" && mutation.ifRevision === undefined && code === "revision_conflict";
  return isThere ? "; `registry agent update` replaces it" : "";
}

function describeResult(result: Exclude<MutationResult, { outcome: "refused" }>): string {
  return `${result.outcome}  ${result.did}  revision ${result.revision}`;
}

function getCommand(agent: Command, cli: Cli): void {
  agent
    .command("get")
    .argument("<did|name>", "DID, or a humanReadableId: of this registry's agent, else of the only one that has it")
    .option("--proof", "print record, inclusion proof, commit and checkpoint as one JSON document for `agent verify`")
    .description("show one agent")
    .action(async (id: string, options: { proof?: boolean }, command: Command) => {
      if (options.proof === true) {
        const document = await cli.withNode(command, (client) => client.proveAgent(id));
        await cli.writeJson(JSON.stringify(document, undefined, isJson(command) ? undefined : 2));
        return;
      }
      const view = await cli.withNode(command, (client) => client.getAgent(id));
      await cli.show(command, view, () => describeAgent(view));
    });
}

function describeAgent({ agent, home, claims }: AgentView): string {
  return facts([
    ["name", plain(agent.name)],
    ["id", plain(agent.humanReadableId)],
    ["DID", agent.did],
    ["home", `${plain(home.name)}${home.own ? " (this registry)" : ""}  ${home.did}`],
    ["status", `${agent.status}, version ${plain(agent.version) || "unknown"}, revision ${agent.revision}`],
    ["reputation", agent.reputation_score === undefined ? "" : agent.reputation_score.toFixed(2)],
    ["capabilities", plain(agent.capabilities.join(", "))],
    ["tags", plain(agent.tags.join(", "))],
    ["endpoints", agent.endpoints.map(({ url, protocol }) => `${plain(protocol)}  ${plain(url)}`).join("\n")],
    ["description", plain(agent.description)],
    ["also claimed", claims.map((claim) => `${claim.home}, revision ${claim.agent.revision}`).join("\n")],
  ]);
}

function listCommand(agent: Command, cli: Cli): void {
  agent
    .command("list")
    .option("--limit <number>", `agents to find, 1 to ${LIST_LIMIT_MAX}`, LIST_LIMIT_DEFAULT)
    .option("--cursor <cursor>", "where the page before ended")
    .option("--registry <did>", "only the agents of this registry")
    .option("--capability <path>", "only agents that can do this: translation finds translation/en-fr, too")
    .option("--text <words>", "only agents with all of these words in name, description, id or tags")
    .option("--min-reputation <number>", "only agents with at least this claimed score, 0 to 1")
    .description("list agents, ours first, page by page")
    .action(async (options: ListOptions, command: Command) => {
      const query = listQuery(options);
      const page = await cli.withNode(command, (client) => findAgents(client, query));
      await cli.show(command, page, () => describeList(page));
      if (page.unavailable.length > 0) partial(cli, `${count(page.unavailable.length)} of this page`);
      if (page.cursor === null || isJson(command)) return;
      cli.say(`${page.agents.length === 0 ? "searched so far: none yet; " : ""}more: --cursor ${page.cursor}`);
    });
}

interface ListOptions extends Pick<ListQuery, "cursor" | "registry" | "capability" | "text"> {
  readonly limit: string;
  readonly minReputation?: string;
}

/** @throws CliError `usage` */
function listQuery({ minReputation, ...options }: ListOptions): ListQuery {
  const limit = wholeNumber(options.limit, "--limit");
  if (limit < 1 || limit > LIST_LIMIT_MAX) throw usage(`--limit takes 1 to ${LIST_LIMIT_MAX}, not ${options.limit}`);
  for (const name of ["text", "capability", "registry", "cursor"] as const)
    if (options[name] === "") throw usage(`--${name} was given without a value: name one, or leave it out`);
  if (minReputation === undefined) return { ...options, limit };
  if (!/^(?:[01]|0?\.\d+|1\.0+)$/.test(minReputation))
    throw usage(`--min-reputation takes a number from 0 to 1, not "${minReputation}"`);
  return { ...options, limit, minReputation: Number(minReputation) };
}

const TITLE_COLUMNS = 40;

function describeList({ agents, cursor }: AgentPage): string {
  if (agents.length === 0) return cursor === null ? "No agents." : "No agents so far.";
  const rows = agents.map((agent) => [
    short(plain(agent.humanReadableId), TITLE_COLUMNS, 0),
    short(plain(agent.capabilities.join(", ")), TITLE_COLUMNS, 0),
    agent.status,
    short(agent.registry),
    agent.did,
  ]);
  return table(["ID", "CAPABILITIES", "STATUS", "HOME", "DID"], rows);
}

function exportCommand(agent: Command, cli: Cli): void {
  agent
    .command("export")
    .addOption(
      new Option(
        "--format <format>",
        "jsonl: whole records; original: the documents that they were imported from; each on a line of its own",
      )
        .choices(["jsonl", "original"])
        .default("jsonl"),
    )
    .option("--registry <did|all>", "another registry's agents, or all that are held here; this registry's own by default")
    .description("print agents, lossless, on standard output")
    .action(async (options: { format: "jsonl" | "original"; registry?: string }, command: Command) => {
      let [withoutOriginal, missing] = [0, 0];
      await cli.withNode(command, async (client) => {
        const registry = options.registry === "all" ? undefined : (options.registry ?? (await client.identity()).did);
        for await (const record of client.exportAgents(registry, () => missing++)) {
          const text = options.format === "jsonl" ? canonicalText(recordJson(record)) : oneLine(record.original?.document);
          if (text === undefined) withoutOriginal++;
          else await cli.writeJson(text);
        }
      });
      if (withoutOriginal > 0)
        cli.warn(
          withoutOriginal === 1
            ? "1 agent was not imported from a document and is not in this export; use --format jsonl"
            : `${withoutOriginal} agents were not imported from a document and are not in this export; use --format jsonl`,
        );
      if (missing > 0) partial(cli, `${count(missing)} of this export`);
    });
}

function count(agents: number): string {
  return agents === 1 ? "1 agent" : `${agents} agents`;
}

/** What is there was printed; that it is not all must not go unseen. */
function partial(cli: Cli, missing: string): void {
  cli.warn(`missing: ${missing}, whose stored bytes are damaged; peers are asked for their copies, so try again in a while`);
  cli.exitCode = EXIT.partial;
}

/** JSON on one line, every token as it was: inside of its strings a line break is always escaped. */
function oneLine(document: string | undefined): string | undefined {
  return document?.replace(/[\r\n]+/g, " ").trim();
}

function wholeNumber(text: string, flag: string): number {
  if (!/^\d{1,15}$/.test(text)) throw usage(`${flag} takes a whole number, not "${text}"`);
  return Number(text);
}

function usage(message: string): CliError {
  return new CliError(EXIT.usage, "usage", message);
}
