import { createReadStream } from "node:fs";
import { startRegistry } from "../../src/compose.ts";
import { CONFIG_DEFAULTS } from "../../src/config.ts";
import { readDocuments } from "../../src/catalog/import/documents.ts";
import type { Mutation } from "../../src/api.ts";
import { syntheticAgent } from "./records.ts";

/** The home registry of the bench: a process of its own that fills and changes its catalogue when told to. */
const MUTATIONS = 2_000;
const CALLS_AHEAD = 16;

const dataDir = process.argv[2] as string;
const node = await startRegistry({
  ...CONFIG_DEFAULTS,
  http: null,
  ...{ name: "home", dataDir, listen: ["/ip4/127.0.0.1/tcp/0"], follow: "none", logLevel: "error" },
  requestsPerPeerPerMinuteMax: 100_000,
});

async function write(mutations: AsyncIterable<Mutation> | Iterable<Mutation>): Promise<number> {
  const calls = new Set<Promise<unknown>>();
  let batch: Mutation[] = [];
  let count = 0;
  const flush = async (): Promise<void> => {
    const call = node.mutate(batch).finally(() => calls.delete(call));
    calls.add(call);
    batch = [];
    if (calls.size >= CALLS_AHEAD) await Promise.race(calls);
  };
  for await (const mutation of mutations) {
    batch.push(mutation);
    count += 1;
    if (batch.length === MUTATIONS) await flush();
  }
  if (batch.length > 0) await flush();
  await Promise.all(calls);
  return count;
}

function* synthetic(from: number, to: number, step: number, version: number): Generator<Mutation> {
  for (let i = from; i < to; i += step) yield { op: "put", agent: syntheticAgent(i, version) };
}

async function* file(path: string): AsyncGenerator<Mutation> {
  for await (const line of readDocuments(createReadStream(path), "auto"))
    if ("agent" in line) yield { op: "put", agent: line.agent };
}

type Command =
  | { readonly do: "fill"; readonly count: number }
  | { readonly do: "change"; readonly count: number; readonly of: number; readonly version: number }
  | { readonly do: "import"; readonly paths: readonly string[] }
  | { readonly do: "stop" };

process.on("message", (command: Command) => void run(command));

async function run(command: Command): Promise<void> {
  const started = performance.now();
  const cpu = process.cpuUsage();
  let count = 0;
  if (command.do === "stop") {
    await node.stop();
    process.exit(0);
  } else if (command.do === "fill") count = await write(synthetic(0, command.count, 1, 0));
  else if (command.do === "change")
    count = await write(synthetic(0, command.of, Math.floor(command.of / command.count), command.version));
  else for (const path of command.paths) count += await write(file(path));
  const { mapRoot, agents } = (await node.status()).catalog;
  const used = process.cpuUsage(cpu);
  process.send?.({ mapRoot, agents, count, ms: performance.now() - started, cpuMs: (used.user + used.system) / 1_000 });
}

const status = await node.status();
process.send?.({
  address: status.multiaddrs[0],
  did: status.did,
  mapRoot: status.catalog.mapRoot,
  agents: status.catalog.agents,
});
