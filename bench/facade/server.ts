import { createSecureServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { startRegistry } from "../../src/compose.ts";
import { CONFIG_DEFAULTS } from "../../src/config.ts";
import { syntheticAgent } from "../sync/records.ts";

/**
 * A registry with a catalogue, in a process of its own that says what CPU time it has used: `bench/facade/server.ts DIR AGENTS
 * [LIFETIME_SECONDS]`. Beside it, in the same process and with the same certificate, a bare HTTP/2 server that answers a constant
 * as long as a record.
 */
const MUTATIONS = 2_000;
/** One machine stands for all clients: no limit by address, none by registry. */
const REQUESTS_PER_MINUTE_MAX = 1_000_000;

const [dataDir = "", agents = "0", lifetime = String(CONFIG_DEFAULTS.svidLifetimeSeconds)] = process.argv.slice(2);
const node = await startRegistry({
  ...CONFIG_DEFAULTS,
  ...{ name: "home", dataDir, listen: ["/ip4/127.0.0.1/tcp/0"], announce: ["/ip4/127.0.0.1/tcp/1"], logLevel: "error" },
  ...{ http: "127.0.0.1:0", allowPrivateAddresses: true, follow: "none", svidLifetimeSeconds: Number(lifetime) },
  ...{ requestsPerPeerPerMinuteMax: REQUESTS_PER_MINUTE_MAX, requestsPerAddressPerMinuteMax: REQUESTS_PER_MINUTE_MAX },
});
const { credentials } = node;
if (credentials === undefined) throw new Error("the registry has no web face");

async function write(count: number, version: number, step: number = 1): Promise<void> {
  for (let first = 0; first < count; first += MUTATIONS) {
    const batch = Array.from({ length: Math.min(MUTATIONS, count - first) }, (_, i) => (first + i) * step);
    await node.mutate(batch.map((index) => ({ op: "put", agent: syntheticAgent(index, version) })));
  }
}

await write(Number(agents), 0);
const { agents: listed } = await node.listAgents({ limit: 1 });
const record = Buffer.from(JSON.stringify(listed[0]));
const { certificate: cert, key } = credentials.svid();
const bare = createSecureServer({ cert, key }, (_request, response) => {
  response.setHeader("content-type", "application/json");
  response.end(record);
}).listen(0, "127.0.0.1");
await new Promise((done) => bare.once("listening", done));

type Command =
  | { readonly do: "cpu" }
  | { readonly do: "change"; readonly count: number; readonly step: number; readonly version: number }
  | { readonly do: "operator"; readonly lifetimeMs: number }
  | { readonly do: "stop" };

process.on("message", (command: Command) => void run(command));

async function run(command: Command): Promise<void> {
  if (command.do === "stop") {
    bare.close();
    await node.stop();
    process.exit(0);
  }
  if (command.do === "change") await write(command.count, command.version, command.step);
  if (command.do === "operator") {
    process.send?.(await credentials?.issue({ path: "/operator/bench", lifetimeMs: command.lifetimeMs }));
    return;
  }
  const { user, system } = process.cpuUsage();
  process.send?.({ cpuMs: (user + system) / 1_000, mapRoot: (await node.status()).catalog.mapRoot });
}

const status = await node.status();
process.send?.({
  did: status.did,
  url: status.http?.url,
  bareUrl: `https://127.0.0.1:${(bare.address() as AddressInfo).port}`,
  agent: listed[0]?.did,
  mapRoot: status.catalog.mapRoot,
  bundle: credentials.bundle(),
});
