import { verifyProofDocument } from "../../../protocols/checkpoint/proof-document.ts";
import { MUTATIONS_MAX, type Mutation, type Status } from "../../api.ts";
import { CliError, EXIT } from "../exit.ts";
import { paint, type CliIo, type CliStream } from "../io.ts";
import { startProgress } from "../progress.ts";
import { count, duration, plural, short, table } from "../text.ts";
import type { DevRegistry } from "./child.ts";
import { areSynced, haveMet, replicated, type Federation } from "./federation.ts";
import { sampleAgents } from "./sample.ts";

const MEET_TIMEOUT_MS = 60_000;
const SYNC_TIMEOUT_MS = 300_000;

export interface ShowSummary {
  readonly directory: string;
  readonly registries: readonly {
    readonly name: string;
    readonly did: string;
    readonly multiaddr: string;
    readonly dataDir: string;
    readonly pid: number;
    readonly agents: number;
    readonly replicated: number;
    readonly mapRoot: string;
  }[];
  readonly agents: number;
  readonly meetSeconds: number;
  readonly syncSeconds: number;
  readonly lookup: Lookup;
}

interface Lookup {
  readonly did: string;
  readonly humanReadableId: string;
  readonly home: string;
  readonly askedAt: string;
  readonly verified: boolean;
  readonly problems: readonly string[];
}

export interface ShowOptions {
  readonly nodes: number;
  readonly agents: number;
  readonly signal: AbortSignal;
  /** Where the story is told; the progress bar is drawn on standard error. */
  readonly out: CliStream;
}

/** Starts the registries and shows, step by step, what a federation does. */
export async function show(io: CliIo, federation: Federation, options: ShowOptions): Promise<ShowSummary> {
  const { signal, out } = options;
  const tell = (text: string): void => void out.write(text + "\n");
  const heading = (text: string): void => tell(`\n${paint(out, io.environment, "bold", text)}`);
  const tick = paint(out, io.environment, "green", "✓");

  tell(`\nA federation of ${options.nodes} registries on this machine, in a directory that goes when you are done.`);
  heading("Starting");
  for (let i = 0; i < options.nodes; i++) {
    signal.throwIfAborted();
    const { name, did, multiaddr } = await federation.add();
    tell(`  ${tick} ${name.padEnd(8)} ${short(did)}  ${multiaddr.replace(/\/p2p\/.*/, "")}`);
  }

  const [first] = federation.registries;
  heading(`Finding each other (all were told of ${first?.name ?? ""} alone; gossip does the rest)`);
  const metMs = await timed(() => federation.until("finding each other", MEET_TIMEOUT_MS, signal, haveMet));
  tell(
    `  ${tick} each is connected to the ${options.nodes - 1 === 1 ? "other" : `${options.nodes - 1} others`}, after ${duration(metMs / 1_000)}`,
  );

  heading(`Registering ${plural(options.agents, "sample agent")}, each at one of the registries`);
  const startedMs = performance.now();
  await Promise.all(federation.registries.map((registry, i) => registerShare(registry, i, options)));
  tell(`  ${tick} signed and stored, after ${duration((performance.now() - startedMs) / 1_000)}`);

  heading("Replicating (every batch is checked against the checkpoint that its registry signed)");
  const statuses = await replicate(io, federation, options);
  const syncSeconds = (performance.now() - startedMs) / 1_000;
  tell(indent(describe(statuses)));
  tell(`  ${tick} every registry holds all catalogues, ${duration(syncSeconds)} after the first agent was registered`);

  const lookup = await lookUp(federation, options.agents);
  heading(`Looking up an agent of ${lookup.home} at ${lookup.askedAt}, with its proof`);
  if (!lookup.verified) {
    throw new CliError(EXIT.refused, "unverified", `the proof of ${lookup.did} does not hold: ${lookup.problems.join("; ")}`);
  }
  tell(`  ${tick} ${lookup.humanReadableId}: proved by ${lookup.home}'s own signature, whoever answers`);
  tell(`    ${paint(out, io.environment, "dim", lookup.did)}`);
  return summarise(federation, statuses, { agents: options.agents, meetSeconds: metMs / 1_000, syncSeconds, lookup });
}

async function registerShare(registry: DevRegistry, index: number, { nodes, agents }: ShowOptions): Promise<void> {
  const share = sampleAgents(agents).filter((_, i) => i % nodes === index);
  const batches: Mutation[][] = [];
  for (let from = 0; from < share.length; from += MUTATIONS_MAX) {
    batches.push(share.slice(from, from + MUTATIONS_MAX).map((agent) => ({ op: "put", agent })));
  }
  for await (const results of registry.client.mutateAll(batches)) {
    const refused = results.find(({ outcome }) => outcome === "refused");
    if (refused?.outcome === "refused") {
      throw new CliError(EXIT.refused, refused.code, `${registry.name} refused a sample agent: ${refused.reason}`);
    }
  }
}

async function replicate(io: CliIo, federation: Federation, { nodes, agents, signal }: ShowOptions): Promise<readonly Status[]> {
  const progress = startProgress(io.stderr, { label: "sync", total: agents * (nodes - 1), items: "agents" });
  try {
    return await federation.until("replication", SYNC_TIMEOUT_MS, signal, (statuses) => {
      progress.update(replicated(statuses));
      return areSynced(statuses);
    });
  } finally {
    progress.stop();
  }
}

/** The last registry's first agent, asked for at the one before: neither is the one that all were told of. */
async function lookUp({ registries }: Federation, agents: number): Promise<Lookup> {
  const home = registries.at(-1) as DevRegistry;
  const asked = registries.at(-2) as DevRegistry;
  const { humanReadableId } = sampleAgents(agents)[registries.length - 1] ?? { humanReadableId: "" };
  const document = await asked.client.proveAgent(humanReadableId);
  const { ok, problems, did, registry } = verifyProofDocument(JSON.stringify(document));
  const isItsOwn = registry === home.did;
  return {
    did: did ?? "",
    humanReadableId,
    home: home.name,
    askedAt: asked.name,
    verified: ok && isItsOwn,
    problems: isItsOwn ? problems : [...problems, `registry: ${registry ?? "unreadable"} is not ${home.name}`],
  };
}

function summarise(
  federation: Federation,
  statuses: readonly Status[],
  rest: Omit<ShowSummary, "directory" | "registries">,
): ShowSummary {
  const registries = federation.registries.map(({ name, did, multiaddr, dataDir, pid }, i) => {
    const { catalog, peers } = statuses[i] as Status;
    const held = peers.reduce((sum, { agents }) => sum + agents, 0);
    return { name, did, multiaddr, dataDir, pid, agents: catalog.agents, replicated: held, mapRoot: catalog.mapRoot };
  });
  return { directory: federation.directory, registries, ...rest };
}

function describe(statuses: readonly Status[]): string {
  const rows = statuses.map(({ name, catalog, peers }) => [
    name,
    catalog.agents,
    peers.reduce((sum, { agents }) => sum + agents, 0),
    short(catalog.mapRoot, 12, 4),
  ]);
  return table(["REGISTRY", "OWN", "REPLICATED", "MAP ROOT"], rows);
}

/** One line that says how the federation is. */
export function describeLive(statuses: readonly Status[], seconds: number): string {
  const agents = statuses.reduce((sum, { catalog }) => sum + catalog.agents, 0);
  const state = areSynced(statuses) ? "all in sync" : "replicating";
  return `${plural(statuses.length, "registry", "registries")}, ${count(agents)} agents, ${state}, up ${duration(seconds)}`;
}

function indent(text: string): string {
  return text.replace(/^/gm, "    ");
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await run();
  return performance.now() - startedMs;
}
