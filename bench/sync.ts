import { fork, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { startRegistry } from "../src/compose.ts";
import { CONFIG_DEFAULTS } from "../src/config.ts";
import type { RegistryNode } from "../src/api.ts";
import { parseArgs } from "node:util";

/**
 * Full sync, diff and the latency of a change between two processes over libp2p on the loopback, each batch verified and
 * durably stored: `node bench/sync.ts [--sizes 10000,100000] [--data DIR] [--json]`. The follower is this process.
 */
const { values } = parseArgs({ options: { sizes: { type: "string" }, data: { type: "string" }, json: { type: "boolean" } } });
const sizes = (values.sizes ?? "10000,100000").split(",").map(Number);
const dataDirectory = values.data ?? process.env["REGISTRY_TEST_DATA"] ?? resolve("..", "shared", "data");
const DIFF_CHANGES = 1_000;
const DIFF_ROUNDS = 5;
const LATENCY_ROUNDS = 20;
const POLL_MS = 3;

interface Filled {
  readonly mapRoot: string;
  readonly agents: number;
  readonly count: number;
  readonly ms: number;
  readonly cpuMs: number;
}

interface Row {
  readonly case: string;
  readonly agents: number;
  readonly ms: number;
  readonly note: string;
}

class Home {
  readonly #child: ChildProcess;

  constructor(dataDir: string) {
    this.#child = fork(new URL("./sync/server.ts", import.meta.url), [dataDir], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
  }

  next<T>(): Promise<T> {
    return new Promise((done, fail) => {
      const ended = (code: number | null): void => fail(new Error(`the home registry ended with ${code}`));
      this.#child.once("exit", ended);
      this.#child.once("message", (message) => {
        this.#child.off("exit", ended);
        done(message as T);
      });
    });
  }

  ask<T>(command: object): Promise<T> {
    const answer = this.next<T>();
    this.#child.send(command);
    return answer;
  }

  async stop(): Promise<void> {
    const ended = new Promise((done) => this.#child.once("exit", done));
    this.#child.send({ do: "stop" });
    await ended;
  }
}

function follow(dataDir: string, address: string): Promise<RegistryNode> {
  return startRegistry({
    ...CONFIG_DEFAULTS,
    http: null,
    ...{ name: "follower", dataDir, listen: ["/ip4/127.0.0.1/tcp/0"], peers: [address], logLevel: "error" },
  });
}

/** Resolves with the time at which the follower's replica is complete at `root`. */
async function synced(node: RegistryNode, did: string, root: string): Promise<number> {
  for (;;) {
    const status = (await node.syncStatus()).find((sync) => sync.did === did);
    if (status?.syncedRoot === root) return performance.now();
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

const rows: Row[] = [];
function report(row: Row): void {
  rows.push(row);
  console.error(`${row.case.padEnd(44)} ${String(row.agents).padStart(9)} ${row.ms.toFixed(1).padStart(10)} ms  ${row.note}`);
}

function median(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] as number;
}

async function measure(name: string, fill: (home: Home) => Promise<Filled>, diffs: boolean): Promise<void> {
  const base = mkdtempSync(join(tmpdir(), "registry-bench-"));
  const home = new Home(join(base, "home"));
  try {
    const { address, did } = await home.next<{ address: string; did: string }>();
    const filled = await fill(home);
    const { agents } = filled;
    report({ case: `${name}: import`, agents, ms: filled.ms, note: `home CPU ${filled.cpuMs.toFixed(0)} ms` });
    let node = await follow(join(base, "follower"), address);
    // Connected and greeted is where a sync begins; the transport's handshake is measured elsewhere.
    const cpu = process.cpuUsage();
    const started = await firstByte(node, did);
    const full = (await synced(node, did, filled.mapRoot)) - started;
    const used = process.cpuUsage(cpu);
    const rss = Math.round(process.resourceUsage().maxRSS / 1_024);
    report({
      case: `${name}: full sync`,
      agents,
      ms: full,
      note: `CPU ${((used.user + used.system) / 1_000).toFixed(0)} ms, peak RSS ${rss} MB`,
    });
    if (diffs) await measureDiffs(name, home, node, did, agents);
    await node.stop();
    const restart = performance.now();
    node = await follow(join(base, "follower"), address);
    await node.syncStatus();
    await node.listAgents({ limit: 1, registry: did });
    report({ case: `${name}: start with the replica stored`, agents, ms: performance.now() - restart, note: "" });
    await node.stop();
  } finally {
    await home.stop();
    rmSync(base, { recursive: true, force: true });
  }
}

async function firstByte(node: RegistryNode, did: string): Promise<number> {
  for (;;) {
    const status = (await node.syncStatus()).find((sync) => sync.did === did);
    if (status !== undefined && (status.state === "syncing" || status.agents > 0)) return performance.now();
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

async function measureDiffs(name: string, home: Home, node: RegistryNode, did: string, agents: number): Promise<void> {
  const diffs: number[] = [];
  for (let round = 1; round <= DIFF_ROUNDS; round++) {
    const changed = await home.ask<Filled>({ do: "change", count: DIFF_CHANGES, of: agents, version: round });
    const told = performance.now();
    diffs.push((await synced(node, did, changed.mapRoot)) - told);
  }
  report({
    case: `${name}: diff of ${DIFF_CHANGES} changes, after the commit`,
    agents,
    ms: median(diffs),
    note: `all: ${diffs.map((ms) => ms.toFixed(0)).join(" ")}`,
  });
  const latencies: number[] = [];
  for (let round = 1; round <= LATENCY_ROUNDS; round++) {
    const asked = performance.now();
    const changed = await home.ask<Filled>({ do: "change", count: 1, of: 1, version: 100 + round });
    latencies.push((await synced(node, did, changed.mapRoot)) - asked);
    await new Promise((done) => setTimeout(done, 300));
  }
  report({
    case: `${name}: one change, from order to visible`,
    agents,
    ms: median(latencies),
    note: `max ${Math.max(...latencies).toFixed(0)}`,
  });
}

for (const size of sizes) await measure(`${size} synthetic`, (home) => home.ask<Filled>({ do: "fill", count: size }), true);
const paths = ["lobehub-agents.jsonl", "docker-mcp-servers.jsonl", "mcp-registry-servers.jsonl"].map((file) =>
  join(dataDirectory, file),
);
if (paths.every((path) => existsSync(path)))
  await measure("real catalogue", (home) => home.ask<Filled>({ do: "import", paths }), false);
else console.error("real catalogue: skipped, its files are not there");
if (values.json === true) console.log(JSON.stringify({ bench: "sync", rows }));
