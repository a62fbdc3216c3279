import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { verifyProofDocument } from "../../protocols/checkpoint/proof-document.ts";
import type { RegistryNode } from "../../src/api.ts";
import { startRegistry } from "../../src/compose.ts";
import { CONFIG_DEFAULTS, type RegistryConfig } from "../../src/config.ts";
import { agent, names } from "./harness.ts";

const WAIT_MS = 15_000;
const POLL_MS = 10;
/** Enough that a sync takes longer than it takes to notice that it began. */
const AGENTS = 20_000;
const BATCH = 2_000;

async function until<T>(what: string, condition: () => Promise<T | undefined | false>): Promise<T> {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const found = await condition();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`waited ${WAIT_MS} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function synced(follower: RegistryNode, home: RegistryNode): Promise<unknown> {
  return until(`the catalogue of ${home.identity().name}`, async () => {
    const [{ catalog }, peers] = await Promise.all([home.status(), follower.listPeers()]);
    return peers.find(({ did }) => did === home.identity().did)?.syncedRoot === catalog.mapRoot;
  });
}

async function addressOf(node: RegistryNode): Promise<string> {
  return (await node.status()).multiaddrs[0] as string;
}

describe("registries over libp2p and LevelDB", function () {
  this.timeout(60_000);
  const running = new Set<RegistryNode>();
  let directory = "";

  async function start(name: string, peers: readonly string[], more: Partial<RegistryConfig> = {}): Promise<RegistryNode> {
    const node = await startRegistry({
      ...CONFIG_DEFAULTS,
      http: null,
      ...{ name, dataDir: join(directory, name), listen: ["/ip4/127.0.0.1/tcp/0"], peers, logLevel: "silent" },
      ...more,
    });
    running.add(node);
    return node;
  }

  async function stop(node: RegistryNode): Promise<void> {
    running.delete(node);
    await node.stop();
  }

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "registry-node-"));
  });

  afterEach(async () => {
    await Promise.all([...running].map(stop));
    await rm(directory, { recursive: true, force: true });
  });

  it("converge over three nodes, keep it through a restart, and prove what they replicate", async () => {
    const a = await start("a", []);
    const b = await start("b", [await addressOf(a)]);
    const c = await start("c", [await addressOf(b)]);
    await a.mutate(names("agent", 500).map((name) => ({ op: "put", agent: agent(name) })));
    await b.mutate([{ op: "put", agent: agent("of-b") }]);
    for (const [follower, home] of [
      [b, a],
      [c, a],
      [a, b],
      [c, b],
      [b, c],
    ] as const)
      await synced(follower, home);
    await stop(c);
    await a.mutate([{ op: "put", agent: agent("while-away") }]);
    const again = await start("c", [await addressOf(b)]);
    await synced(again, a);
    const found = await again.getAgent("test/while-away");
    assert.equal(found?.home.name, "a");
    const document = await again.proveAgent("test/while-away");
    const result = verifyProofDocument(JSON.stringify(document));
    assert.deepEqual([result.ok, result.problems], [true, []]);
  });

  it("T44 go on after a follower was killed in the middle of a bulk sync, without starting over", async () => {
    const home = await start("home", []);
    const all = names("agent", AGENTS).map((name) => ({ op: "put", agent: agent(name) }) as const);
    const calls = Array.from({ length: AGENTS / BATCH }, (_, i) => home.mutate(all.slice(i * BATCH, (i + 1) * BATCH)));
    await Promise.all(calls);
    const script = fileURLToPath(new URL("real-process.ts", import.meta.url));
    const child = spawn(process.execPath, [script, join(directory, "killed"), await addressOf(home)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(child, "exit");
    let atKill = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      const { received } = JSON.parse(line) as { received: number };
      if (received < AGENTS / 4) continue;
      atKill = received;
      child.kill("SIGKILL");
      break;
    }
    await exited;
    assert.ok(atKill > 0 && atKill < AGENTS, `${atKill} had come when it was killed`);
    const again = await start("killed", []);
    const [left] = await again.syncStatus();
    assert.ok(left && left.agents > 0 && left.agents < AGENTS, `${left?.agents} agents had reached the disk`);
    await again.addPeer(await addressOf(home));
    let total = 0;
    await until("the whole catalogue", async () => {
      const [status] = await again.syncStatus();
      total = Math.max(total, status?.total ?? 0);
      return status?.agents === AGENTS && status.syncedRoot !== null;
    });
    let shown = 0;
    for (let cursor: string | null = ""; cursor !== null;) {
      const page = await again.listAgents({ limit: 1_000, ...(cursor !== "" && { cursor }) });
      shown += page.agents.length;
      cursor = page.cursor;
    }
    assert.equal(shown, AGENTS);
    assert.ok(total < AGENTS, `the session after the restart announced ${total} changes`);
  });
});
