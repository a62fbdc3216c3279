import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { sampleAgents } from "../../src/cli/dev/sample.ts";
import { EXIT } from "../../src/cli/exit.ts";
import type { ImportReport } from "../../src/cli/import/report.ts";
import type { PeerStatus } from "../../src/api.ts";
import { ROOT } from "./build.ts";
import { converged, CONVERGE_MS_MAX, Site, until, type Outcome, type Registry } from "./site.ts";

const REAL_CATALOGUE = join(process.env["REGISTRY_TEST_DATA"] ?? join(ROOT, "../shared/data"), "docker-mcp-servers.jsonl");
const POLL_MS = 10;
const AGENTS = 300;
/** More than is committed at once, so that a follower can be killed with some of them. */
const MANY_AGENTS = 8_000;
const SINGLE_CHANGES = 5;
const QUIET_MS = 2_500;
const SEEN_MS_MAX = 1_000;
/** Nobody listens on it, and who announces it can be dialled by nobody. */
const NOWHERE = ["--announce", "/ip4/127.0.0.1/tcp/1"];
const PRIVATE = ["--allow-private-addresses", "true"];

describe("e2e federation over HTTP (real processes)", function () {
  this.timeout(120_000);
  let site: Site;
  beforeEach(() => {
    site = new Site();
  });
  afterEach(() => site.close());

  const start = (name: string, ...argv: readonly string[]): Promise<Registry> => {
    const http = argv.includes("--http") ? [] : ["--http", "127.0.0.1:0"];
    return site.start(name, ...http, ...PRIVATE, ...argv);
  };
  const isolated = (name: string, ...argv: readonly string[]): Promise<Registry> => start(name, ...NOWHERE, ...argv);
  const at = (registry: Registry, ...argv: readonly string[]): Promise<Outcome> =>
    site.run([...argv, "--data-dir", registry.dataDir, "--json"]);
  const importInto = async (registry: Registry, file: string): Promise<ImportReport> => {
    const outcome = await at(registry, "agent", "import", file);
    assert.ok(outcome.exit === EXIT.ok || outcome.exit === EXIT.partial, `exit ${outcome.exit}: ${outcome.stderr}`);
    return outcome.json<ImportReport>();
  };
  const sample = (agents: number): string => {
    const lines = sampleAgents(agents).map((agent) => `${JSON.stringify(agent)}\n`);
    return site.write(`sample-${agents}.jsonl`, lines.join(""));
  };
  /** One registry as another sees it, through the command line. */
  const seen = async (by: Registry, whom: Registry): Promise<PeerStatus | undefined> => {
    const { peers } = (await at(by, "status")).json<{ peers: readonly PeerStatus[] }>();
    return peers.find(({ did }) => did === whom.did);
  };

  it("a chain of three joined by URL converges; an update and a delete arrive", async () => {
    const first = await isolated("alder");
    const second = await isolated("birch", "--peer", urlOf(first));
    // The third is told of the second alone, and who it must be; it learns of the first from it.
    const third = await isolated("cedar", "--peer", `${urlOf(second)}#${second.did}`);
    const file = existsSync(REAL_CATALOGUE) ? REAL_CATALOGUE : sample(AGENTS);
    const { imported } = await importInto(first, file);
    assert.ok(imported >= AGENTS, `only ${imported} agents were imported`);
    await converged(first, [second, third]);
    for (const [by, whom] of [
      [second, first],
      [third, first],
      [third, second],
    ] as const) {
      assert.equal((await seen(by, whom))?.transport, "http", `${by.name} follows ${whom.name}`);
    }

    const agent = { humanReadableId: "acme/traveller", name: "Traveller", capabilities: ["travel/trains"] };
    const registered = await at(first, "agent", "register", site.write("agent.json", JSON.stringify(agent)));
    assert.equal(registered.exit, EXIT.ok, registered.stderr);
    await converged(first, [second, third]);
    const renamed = site.write("agent.json", JSON.stringify({ ...agent, name: "Wanderer" }));
    assert.equal((await at(first, "agent", "update", renamed)).exit, EXIT.ok);
    await converged(first, [second, third]);
    const got = (await at(third, "agent", "get", "acme/traveller")).json<{ agent: { name: string; revision: number } }>();
    assert.deepEqual([got.agent.name, got.agent.revision], ["Wanderer", 2]);
    assert.equal((await at(first, "agent", "deregister", "acme/traveller")).exit, EXIT.ok);
    const mapRoot = await converged(first, [second, third]);
    assert.equal((await at(third, "agent", "get", "acme/traveller")).exit, EXIT.failure);

    // What the last of the chain adds reaches the first, which was told of nobody.
    const own = site.write("own.jsonl", '{"humanReadableId":"acme/own","name":"Own","capabilities":["text/summary"]}\n');
    await importInto(third, own);
    await converged(third, [second, first]);
    assert.equal((await seen(first, third))?.transport, "http");
    for (const registry of [second, third]) assert.equal((await seen(registry, first))?.syncedRoot, mapRoot);
  });
  it("a change is seen within a second by who waits for it", async () => {
    const home = await isolated("alder");
    const follower = await isolated("birch", "--peer", urlOf(home));
    await importInto(home, sample(AGENTS));
    await converged(home, [follower]);
    const tookMs: number[] = [];
    for (const agent of sampleAgents(AGENTS + SINGLE_CHANGES).slice(AGENTS)) {
      // After news a follower pauses before it waits again.
      await pause(QUIET_MS);
      const orderedMs = performance.now();
      const [result] = await home.client.mutate([{ op: "put", agent }]);
      assert.equal(result?.outcome, "created", JSON.stringify(result));
      await converged(home, [follower]);
      tookMs.push(performance.now() - orderedMs);
    }
    assert.equal((await seen(follower, home))?.transport, "http");
    // The median: what else the machine does may hold up one of them.
    const median = tookMs.toSorted((a, b) => a - b)[Math.floor(SINGLE_CHANGES / 2)] as number;
    assert.ok(median < SEEN_MS_MAX, `${tookMs.map(Math.round).join(", ")} ms`);
  });

  it("T44 kill -9 of a follower in the middle of a sync over HTTP: it converges after its next start", async () => {
    const home = await isolated("alder");
    assert.equal((await importInto(home, sample(MANY_AGENTS))).imported, MANY_AGENTS);
    let follower = await isolated("birch", "--peer", urlOf(home));
    await inTheMiddle(follower, home.did);
    await follower.signal("SIGKILL");
    follower = await isolated("birch", "--peer", urlOf(home));
    await converged(home, [follower]);
    assert.equal((await seen(follower, home))?.transport, "http");
    for (const { name, client } of [home, follower]) {
      const { evidence, catalog } = await client.status();
      assert.deepEqual([evidence, catalog.paused], [0, null], `${name} saw a contradiction`);
    }
  });

  it("a wrong pin is refused and says who answered; peer add and remove take URLs", async () => {
    const [first, second, other] = await Promise.all([isolated("alder"), isolated("birch"), isolated("cedar")]);
    await importInto(first, sample(AGENTS));
    const wrong = await at(second, "peer", "add", urlOf(first), "--pin", other.did);
    assert.notEqual(wrong.exit, EXIT.ok);
    assert.match(wrong.stderr, new RegExp(`${first.did}[^]*${other.did}|${other.did}[^]*${first.did}`));
    assert.equal(await seen(second, first), undefined, "what a wrong pin refused was met all the same");
    const junk = await at(second, "peer", "add", urlOf(first), "--pin", "did:key:junk");
    assert.deepEqual([junk.exit, /is not the DID of a registry/.test(junk.stderr)], [EXIT.usage, true], junk.stderr);

    const added = await at(second, "peer", "add", urlOf(first), "--pin", first.did);
    assert.equal(added.exit, EXIT.ok, added.stderr);
    await converged(first, [second]);
    assert.deepEqual([(await seen(second, first))?.configured, (await seen(second, first))?.transport], [true, "http"]);
    assert.equal((await at(second, "peer", "remove", urlOf(first))).exit, EXIT.ok);
    await until("forgetting alder", second, ({ peers }) =>
      peers.every(({ did, configured, followed }) => did !== first.did || !(configured || followed)),
    );
  });

  it("joined by URL, libp2p takes over where it can be dialled", async () => {
    const first = await start("alder");
    await importInto(first, sample(AGENTS));
    const [second, behind] = await Promise.all([
      start("birch", "--peer", urlOf(first)),
      isolated("cedar", "--peer", urlOf(first)),
    ]);
    await converged(first, [second, behind]);
    const met = await until("libp2p", second, ({ peers }) =>
      peers.some(({ did, transport }) => did === first.did && transport === "libp2p"),
    );
    assert.equal(met.peers.find(({ did }) => did === first.did)?.connected, true);
    // What comes later comes over libp2p, too, and those who cannot be dialled take part.
    await importInto(second, sample(AGENTS / 2));
    await converged(second, [first, behind]);
    await importInto(behind, sample(AGENTS / 3));
    await converged(behind, [first, second]);
  });
});

/** Polls until some pages of the catalogue of `home` have come and others have not. */
async function inTheMiddle({ name, client }: Registry, home: string): Promise<void> {
  const deadlineMs = performance.now() + CONVERGE_MS_MAX;
  for (;;) {
    const sync = (await client.syncStatus()).find(({ did }) => did === home);
    if (sync !== undefined && sync.received > 0 && sync.received < sync.total) return;
    assert.ok((sync?.syncedRoot ?? null) === null, `${name} was done before it could be killed`);
    assert.ok(performance.now() < deadlineMs, `${name} did not begin: ${JSON.stringify(sync)}`);
    await pause(POLL_MS);
  }
}

function urlOf({ name, ready }: Registry): string {
  assert.ok(ready.http, `${name} has no HTTPS interface`);
  return ready.http.url;
}
