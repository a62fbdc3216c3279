import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startRegistry } from "../src/compose.ts";
import { CONFIG_DEFAULTS } from "../src/config.ts";
import { ServerProcess, type Served } from "./facade/process.ts";

/**
 * What the web face costs: CPU time of the server for one `GET /agents/{did}` beside the same server answering a constant, under
 * h2load, and a full sync, a diff and single changes over HTTP between two processes: `node bench/facade.ts [--agents 10000] [--only-syncs]
 * [--json]`.
 */
const { values } = parseArgs({
  options: {
    agents: { type: "string", default: "10000" },
    requests: { type: "string", default: "8000" },
    rounds: { type: "string", default: "9" },
    "only-syncs": { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const AGENTS = Number(values.agents);
const REQUESTS = Number(values.requests);
const ROUNDS = Number(values.rounds);
/** h2load: connections, and requests of each at a time. Few enough that nothing is shed as overload. */
const CLIENTS = 4;
const STREAMS = 4;
const DIFF_CHANGES = 1_000;
const DIFF_ROUNDS = 5;
const SINGLE_CHANGES = 20;
/** Longer than a follower pauses after news, so that it waits for the next. */
const QUIET_MS = 2_500;
const POLL_MS = 3;
const WARM_UPS_MAX = 20;
/** Of what one request may cost beside the constant. */
const TARGET_RATIO = 1.5;

interface Loaded {
  readonly cpuMicroseconds: number;
  readonly perSecond: number;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] as number;
}

const round = (value: number): number => Math.round(value * 100) / 100;

/** @throws Error unless every request was answered with success */
async function load(server: ServerProcess, url: string): Promise<Loaded> {
  const argv = ["-n", String(REQUESTS), "-c", String(CLIENTS), "-m", String(STREAMS), url];
  const before = await server.state();
  const child = spawn("h2load", argv, { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  await once(child, "close");
  const { cpuMs } = await server.state();
  if (!said.includes(`${REQUESTS} succeeded, 0 failed`)) throw new Error(`h2load of ${url} failed:\n${said}`);
  const perSecond = Number(/([\d.]+) req\/s/.exec(said)?.[1]);
  return { cpuMicroseconds: ((cpuMs - before.cpuMs) * 1_000) / REQUESTS, perSecond };
}

/** Until all requests of a load are served: after the import of the catalogue a part of them is sent away as overload. */
async function warmUp(server: ServerProcess, url: string): Promise<void> {
  for (let left = WARM_UPS_MAX; ; left--) {
    try {
      await load(server, url);
      return;
    } catch (error) {
      if (left === 0) throw error;
    }
  }
}

/** Every case in turn, again and again, in alternating order: what else the machine does meets all of them. */
async function compare(server: ServerProcess, served: Served): Promise<object> {
  const agent = `${served.url}/agents/${encodeURIComponent(served.agent)}`;
  const cases = { agent, constant: `${served.url}/healthz`, bare: `${served.bareUrl}/` };
  const names = Object.keys(cases) as (keyof typeof cases)[];
  const rounds: Record<keyof typeof cases, Loaded>[] = [];
  await warmUp(server, agent);
  for (const name of names) await load(server, cases[name]);
  for (let i = 0; i < ROUNDS; i++) {
    const results: Partial<Record<keyof typeof cases, Loaded>> = {};
    for (const name of i % 2 === 0 ? names : names.toReversed()) results[name] = await load(server, cases[name]);
    rounds.push(results as Record<keyof typeof cases, Loaded>);
  }
  const ratioTo = (other: "constant" | "bare"): number =>
    round(median(rounds.map((each) => each.agent.cpuMicroseconds / each[other].cpuMicroseconds)));
  return {
    cases: names.map((name) => ({
      case: name,
      cpuMicroseconds: round(median(rounds.map((each) => each[name].cpuMicroseconds))),
      requestsPerSecond: Math.round(median(rounds.map((each) => each[name].perSecond))),
    })),
    ratioToConstant: ratioTo("constant"),
    ratioToBareHttp2: ratioTo("bare"),
    targetRatio: TARGET_RATIO,
  };
}

/** A follower that can reach the home over HTTP alone. */
async function follow(server: ServerProcess, served: Served, dataDir: string): Promise<object> {
  const node = await startRegistry({
    ...CONFIG_DEFAULTS,
    ...{ name: "follower", dataDir, listen: ["/ip4/127.0.0.1/tcp/0"], announce: ["/ip4/127.0.0.1/tcp/1"], logLevel: "error" },
    ...{ http: "127.0.0.1:0", allowPrivateAddresses: true, peers: [served.url] },
  });
  const sync = async (isDone: (root: string | null, state: string, agents: number) => boolean): Promise<number> => {
    for (;;) {
      const found = (await node.syncStatus()).find(({ did }) => did === served.did);
      if (found !== undefined && isDone(found.syncedRoot, found.state, found.agents)) return performance.now();
      await new Promise((done) => setTimeout(done, POLL_MS));
    }
  };
  try {
    const began = await sync((_root, state, agents) => state === "syncing" || agents > 0);
    const fullMs = (await sync((root) => root === served.mapRoot)) - began;
    const diffs: number[] = [];
    for (let version = 1; version <= DIFF_ROUNDS; version++) {
      const change = { do: "change", count: DIFF_CHANGES, step: Math.floor(AGENTS / DIFF_CHANGES), version };
      const { mapRoot } = await server.ask<{ mapRoot: string }>(change);
      const told = performance.now();
      // Asked for at once: what changes in a row is otherwise told together.
      await node.syncNow(served.did);
      diffs.push((await sync((root) => root === mapRoot)) - told);
    }
    const visible = await seeChanges(server, sync);
    const transport = (await node.status()).peers.find(({ did }) => did === served.did)?.transport;
    if (transport !== "http") throw new Error(`it was followed over ${String(transport)}`);
    return {
      ...{ fullSyncMs: round(fullMs), diffMs: round(median(diffs)), diffChanges: DIFF_CHANGES },
      ...{ visibleMs: round(median(visible)), visibleMsMax: round(Math.max(...visible)), singleChanges: SINGLE_CHANGES },
    };
  } finally {
    await node.stop();
  }
}

type Sync = (isDone: (root: string | null) => boolean) => Promise<number>;

/** From the order of one change at the home until the follower has it, which nobody told to look. */
async function seeChanges(server: ServerProcess, sync: Sync): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < SINGLE_CHANGES; i++) {
    await new Promise((done) => setTimeout(done, QUIET_MS));
    const { mapRoot: before } = await server.state();
    const ordered = performance.now();
    const [seen] = await Promise.all([
      sync((root) => root !== before),
      server.ask({ do: "change", count: 1, step: 1, version: DIFF_ROUNDS + 1 + i }),
    ]);
    times.push(seen - ordered);
  }
  return times;
}

async function measure(): Promise<void> {
  const base = mkdtempSync(join(tmpdir(), "registry-bench-"));
  const server = new ServerProcess(join(base, "home"), String(AGENTS));
  try {
    const served = await server.served;
    const reading = !values["only-syncs"] && hasH2load() ? await compare(server, served) : undefined;
    const syncing = await follow(server, served, join(base, "follower"));
    const result = { bench: "facade", agents: AGENTS, requests: REQUESTS, rounds: ROUNDS, reading, syncing };
    if (values.json) return console.log(JSON.stringify(result));
    if (reading !== undefined) {
      const { cases, ...ratios } = reading as { cases: object[] };
      console.table(cases);
      console.table(ratios);
    }
    console.table(syncing);
  } finally {
    await server.stop();
    rmSync(base, { recursive: true, force: true });
  }
}

function hasH2load(): boolean {
  if (spawnSync("h2load", ["--version"]).status === 0) return true;
  console.error("h2load is not here (package nghttp2-client): reading is not measured");
  return false;
}

await measure();
