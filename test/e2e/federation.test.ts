import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { MutationResult } from "../../src/api.ts";
import { sampleAgents } from "../../src/cli/dev/sample.ts";
import type { ImportReport } from "../../src/cli/import/report.ts";
import { EXIT } from "../../src/cli/exit.ts";
import { ROOT } from "./build.ts";
import { converged, Site, until, type Registry } from "./site.ts";

const REAL_DATA = process.env["REGISTRY_TEST_DATA"] ?? join(ROOT, "../shared/data");
const AGENTS = 2_000;
const BATCH_AGENTS = 100;
/** Who learns of others by gossip dials them on this machine only if its operator allows that. */
const PRIVATE = ["--allow-private-addresses", "true"];

describe("e2e federation (real processes)", function () {
  this.timeout(90_000);
  let site: Site;
  let first: Registry;
  let second: Registry;
  let third: Registry;
  beforeEach(async () => {
    site = new Site();
    first = await site.start("alder", ...PRIVATE);
    // The second and the third are told of the first alone; they find each other through it.
    [second, third] = await Promise.all([
      site.start("birch", "--peer", first.address, ...PRIVATE),
      site.start("cedar", "--peer", first.address, ...PRIVATE),
    ]);
  });
  afterEach(() => site.close());

  const importInto = async (registry: Registry, ...argv: readonly string[]): Promise<ImportReport> => {
    const outcome = await site.run(["agent", "import", ...argv, "--data-dir", registry.dataDir, "--json"]);
    assert.ok(outcome.exit === EXIT.ok || outcome.exit === EXIT.partial, `exit ${outcome.exit}: ${outcome.stderr}`);
    return outcome.json<ImportReport>();
  };
  const sample = (agents: number): string =>
    site.write(
      "sample.jsonl",
      sampleAgents(agents)
        .map((agent) => `${JSON.stringify(agent)}\n`)
        .join(""),
    );
  const didsHeld = async (registry: Registry, home: string): Promise<Set<string>> => {
    const dids = new Set<string>();
    for await (const { did } of registry.client.exportAgents(home)) dids.add(did);
    return dids;
  };

  it("three registries converge on an imported catalogue; a second import changes nothing", async () => {
    const file = sample(AGENTS);
    const { imported, refusedCount } = await importInto(first, file);
    assert.deepEqual([imported, refusedCount], [AGENTS, 0]);
    const mapRoot = await converged(first, [second, third]);
    const again = await importInto(first, file);
    assert.deepEqual([again.imported, again.updated, again.unchanged], [0, 0, AGENTS]);
    assert.equal((await first.client.status()).catalog.mapRoot, mapRoot);
    // Those that were never told of each other have met, and what any of them adds reaches all.
    await until("the connection to cedar", second, ({ peers }) =>
      peers.some(({ did, connected }) => did === third.did && connected),
    );
    await importInto(
      third,
      site.write("own.jsonl", '{"humanReadableId":"acme/own","name":"Own","capabilities":["text/summary"]}\n'),
    );
    await converged(third, [first, second]);
  });

  it("T44 kill -9 of the importer and of a follower in the middle: nothing acknowledged is lost, one root in the end", async () => {
    const agents = sampleAgents(AGENTS);
    const acknowledged = new Set<string>();
    const write = async (): Promise<void> => {
      for (let i = 0; i < AGENTS; i += BATCH_AGENTS) {
        const batch = agents.slice(i, i + BATCH_AGENTS).map((agent) => ({ op: "put" as const, agent }));
        const results: readonly MutationResult[] = await first.client.mutate(batch);
        for (const { outcome, did } of results) if (outcome === "created" && did !== null) acknowledged.add(did);
      }
    };
    const writing = write().then(
      () => "written",
      () => "cut off",
    );
    const isSome =
      (part: number) =>
      ({ peers }: { peers: readonly { did: string; agents: number }[] }): boolean =>
        peers.some(({ did, agents: held }) => did === first.did && held >= part * AGENTS);
    await until("a first part of the catalogue", second, isSome(0.1));
    await second.signal("SIGKILL");
    await until("a further part of the catalogue", third, isSome(0.3));
    await first.signal("SIGKILL");
    assert.equal(await writing, "cut off", "the importer was to die in the middle");
    assert.ok(acknowledged.size >= BATCH_AGENTS, "something was to be acknowledged before");

    const { did, listening } = first;
    first = await site.start("alder", "--listen", listening, ...PRIVATE);
    second = await site.start("birch", "--peer", first.address, ...PRIVATE);
    assert.equal(first.did, did);
    const kept = await didsHeld(first, did);
    assert.deepEqual(
      [...acknowledged].filter((agent) => !kept.has(agent)),
      [],
    );
    // The import keeps the line that an agent came from, which the write before did not.
    const { imported, updated } = await importInto(first, sample(AGENTS));
    assert.deepEqual([imported, updated], [AGENTS - kept.size, kept.size]);
    await converged(first, [second, third]);
    assert.deepEqual(await didsHeld(second, did), await didsHeld(first, did));
    for (const registry of [first, second, third]) {
      const { evidence, catalog } = await registry.client.status();
      assert.deepEqual([evidence, catalog.paused], [0, null], `${registry.name} saw a contradiction`);
    }
  });

  const isThere = existsSync(REAL_DATA);
  const real = isThere ? "" : " (skipped: the real catalogues are not there; name their folder in REGISTRY_TEST_DATA)";
  (isThere ? it : it.skip)(
    `T44 the real catalogues, with a follower killed in the middle, give one map root${real}`,
    async () => {
      const lines = ["lobehub-agents.jsonl", "docker-mcp-servers.jsonl", "mcp-registry-servers.jsonl"];
      const cards = readdirSync(join(REAL_DATA, "a2a-cards")).map((name) => join("a2a-cards", name));
      const importing = importInto(first, join(REAL_DATA, lines[0] as string));
      await until("a part of the catalogue", second, ({ peers }) =>
        peers.some(({ did, agents }) => did === first.did && agents > 500),
      );
      await second.signal("SIGKILL");
      const reports = [await importing];
      for (const name of [...lines.slice(1), ...cards]) reports.push(await importInto(first, join(REAL_DATA, name)));
      second = await site.start("birch", "--peer", first.address, ...PRIVATE);
      const mapRoot = await converged(first, [second, third]);
      const total = reports.reduce((sum, { imported }) => sum + imported, 0);
      const { catalog } = await first.client.status();
      assert.equal(catalog.agents, total);
      assert.ok(total > 9_800, `only ${total} agents were taken`);
      const again = await importInto(first, join(REAL_DATA, lines[0] as string));
      assert.deepEqual([again.imported, again.updated], [0, 0]);
      assert.equal((await first.client.status()).catalog.mapRoot, mapRoot);
    },
  );
});
