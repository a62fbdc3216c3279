import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { devNull } from "node:os";
import { join } from "node:path";
import type { AgentPage, Status } from "../../src/api.ts";
import { sampleAgents } from "../../src/cli/dev/sample.ts";
import { EXIT } from "../../src/cli/exit.ts";
import type { ProofReport } from "../../protocols/checkpoint/proof-document.ts";
import { ROOT } from "./build.ts";
import { Site, until, type Launched, type Outcome, type Registry } from "./site.ts";

const AGENTS = 250;
const PAGE = 100;

describe("e2e commands (real processes)", function () {
  this.timeout(60_000);
  let site: Site;
  beforeEach(() => {
    site = new Site();
  });
  afterEach(() => site.close());

  const at = (registry: Registry, ...argv: readonly string[]): Promise<Outcome> =>
    site.run([...argv, "--data-dir", registry.dataDir, "--json"]);
  const filled = async (name: string): Promise<Registry> => {
    const registry = await site.start(name);
    const lines = sampleAgents(AGENTS).map((agent) => `${JSON.stringify(agent)}\n`);
    const { exit, stderr } = await at(registry, "agent", "import", site.write("sample.jsonl", lines.join("")));
    assert.equal(exit, EXIT.ok, stderr);
    return registry;
  };

  it("T30 a proof is verified offline, also by a pipe; a flipped character is refused", async () => {
    const registry = await filled("alder");
    const { humanReadableId } = sampleAgents(1)[0] as { humanReadableId: string };
    const { stdout } = await at(registry, "agent", "get", humanReadableId, "--proof");
    await registry.signal("SIGINT");
    const { exit, json } = await site.run(["agent", "verify", "-", "--json"], stdout);
    assert.equal(exit, EXIT.ok);
    const report = json<ProofReport>();
    assert.deepEqual([report.ok, report.humanReadableId, report.registry], [true, humanReadableId, registry.did]);
    // One character each of the record, of a hash and of the signed note.
    const places = [stdout.indexOf(humanReadableId), stdout.search(/[0-9a-f]{64}/), stdout.lastIndexOf(registry.did.slice(-8))];
    for (const place of places) {
      assert.ok(place > 0);
      const flipped = stdout[place] === "a" ? "b" : "a";
      const forged = stdout.slice(0, place) + flipped + stdout.slice(place + 1);
      const refused = await site.run(["agent", "verify", site.write("proof.json", forged)]);
      assert.equal(refused.exit, EXIT.refused, refused.stdout + refused.stderr);
    }
  });

  it("pages list every agent once, and a bad line never stops the good ones", async () => {
    const registry = await filled("alder");
    const dids: string[] = [];
    let cursor: string | null = null;
    do {
      const argv: string[] = ["agent", "list", "--limit", String(PAGE), ...(cursor === null ? [] : ["--cursor", cursor])];
      const page: AgentPage = (await at(registry, ...argv)).json<AgentPage>();
      assert.ok(page.agents.length <= PAGE);
      dids.push(...page.agents.map(({ did }) => did));
      ({ cursor } = page);
    } while (cursor !== null);
    assert.deepEqual([dids.length, new Set(dids).size], [AGENTS, AGENTS]);
    const mixed =
      '{"humanReadableId":"acme/a","name":"A","capabilities":["x"]}\n{"name":\n{"humanReadableId":"acme/b","name":"B","capabilities":["x"]}\n';
    const { exit, json } = await at(registry, "agent", "import", site.write("mixed.jsonl", mixed));
    assert.equal(exit, EXIT.partial);
    const { imported, refused } = json<{ imported: number; refused: readonly { line: number }[] }>();
    assert.deepEqual([imported, refused.map(({ line }) => line)], [2, [2]]);
  });

  it("peers are added and removed while it runs", async () => {
    const [alder, birch] = await Promise.all([filled("alder"), site.start("birch")]);
    assert.equal((await at(birch, "peer", "add", alder.address)).exit, EXIT.ok);
    await until("the catalogue of alder", birch, ({ peers }) =>
      peers.some(({ did, agents }) => did === alder.did && agents === AGENTS),
    );
    assert.equal((await at(birch, "sync", "now", alder.did)).exit, EXIT.ok);
    assert.equal((await at(birch, "peer", "remove", alder.did)).exit, EXIT.ok);
    await until("forgetting alder", birch, ({ peers }) =>
      peers.every(({ did, configured, followed }) => did !== alder.did || !(configured || followed)),
    );
    assert.equal((await at(birch, "peer", "remove", "did:key:z6MkunknownunknownunknownUnknown")).exit, EXIT.failure);
  });

  it("exit codes tell usage, an unreachable node, a refusal and a missing agent apart", async () => {
    const registry = await site.start("alder");
    const unknown = await site.run(["agent", "lst"]);
    assert.deepEqual([unknown.exit, unknown.stdout], [EXIT.usage, ""]);
    const setting = await site.run(["start", "--data-dir", "other", "--log-level", "loud", "--peer", "http://example.org"]);
    assert.equal(setting.exit, EXIT.usage);
    assert.match(setting.stderr, /must begin with https[^]*loud/);
    assert.equal((await site.run(["status", "--data-dir", "nobody"])).exit, EXIT.unreachable);
    assert.equal((await at(registry, "agent", "get", "acme/nobody")).exit, EXIT.failure);
    const foreign = site.write(
      "agent.json",
      '{"did":"did:key:junk","humanReadableId":"acme/x","name":"X","capabilities":["x"],"registry":"did:key:junk"}',
    );
    assert.equal((await at(registry, "agent", "register", foreign)).exit, EXIT.refused);
    assert.equal((await site.run(["version"])).exit, EXIT.ok);
  });

  describe("data directory", () => {
    it("refuses a second start and names the process that has it", async () => {
      const registry = await site.start("alder");
      const { pid } = await registry.client.process();
      const second = await site.run(["start", "--data-dir", registry.dataDir, "--listen", "/ip4/127.0.0.1/tcp/0"]);
      assert.equal(second.exit, EXIT.failure);
      assert.match(second.stderr, new RegExp(`\\b${pid}\\b`));
      assert.equal((await registry.client.status()).did, registry.did);
    });

    it("T50 refuses the format of a newer version and leaves it alone", async () => {
      const registry = await site.start("alder");
      await registry.signal("SIGINT");
      const path = join(registry.dataDir, "format.json");
      const newer = '{"format":1000}\n';
      writeFileSync(path, newer);
      const refused = await site.run(["start", "--data-dir", registry.dataDir, "--listen", "/ip4/127.0.0.1/tcp/0"]);
      assert.equal(refused.exit, EXIT.failure);
      assert.match(refused.stderr, /format 1000[^]*newer version/);
      assert.equal(readFileSync(path, "utf8"), newer);
    });

    it("SIGINT drains: what was acknowledged before it is there after the next start", async () => {
      const registry = await filled("alder");
      const { catalog } = await registry.client.status();
      const { exit, stderr } = await registry.signal("SIGINT");
      assert.equal(exit, EXIT.ok, stderr);
      assert.match(stderr, /draining[^]*stopped/);
      const again = await site.start("alder");
      const { catalog: kept } = await again.client.status();
      assert.deepEqual([kept.agents, kept.mapRoot, kept.epoch], [catalog.agents, catalog.mapRoot, catalog.epoch]);
    });
  });

  describe("out of the box", () => {
    const bannerOf = async ({ child, outcome }: Launched): Promise<void> => {
      let said = "";
      const { promise, resolve } = Promise.withResolvers<void>();
      child.stderr?.on("data", (text: string) => {
        said += text;
        if (said.includes("Others join with")) resolve();
      });
      const early = await Promise.race([promise, outcome]);
      assert.ok(early === undefined, `it ended before it was up: ${early?.stderr}`);
    };

    it("`npm start` runs one registry in an empty data directory, Ctrl-C ends it", async () => {
      const dataDir = join(site.directory, "data");
      const npm = process.env["npm_execpath"];
      // A checkout may have settings of its own in .env.
      const start = ["start", "--", "--env-file", devNull];
      const [command, argv]: [string, string[]] = npm === undefined ? ["npm", start] : [process.execPath, [npm, ...start]];
      const started = site.spawn(command, argv, { cwd: ROOT, environment: { REGISTRY_DATA_DIR: dataDir }, group: true });
      await bannerOf(started);
      const status = (await site.run(["status", "--data-dir", dataDir, "--json"])).json<Status>();
      assert.deepEqual([status.name, status.catalog.agents, status.peers], ["registry", 0, []]);
      // As a terminal does: to npm and to what it runs.
      process.kill(-(started.child.pid as number), "SIGINT");
      const { stderr } = await started.outcome;
      assert.match(stderr, /stopped/);
      assert.equal(existsSync(join(dataDir, "admin.sock")), false);
    });

    it("`start` without a word keeps everything in .registry of the working directory", async () => {
      const started = site.launch(["start"]);
      await bannerOf(started);
      assert.deepEqual(readdirSync(site.directory), [".registry"]);
      started.child.kill("SIGINT");
      assert.equal((await started.outcome).exit, EXIT.ok);
    });

    it("`dev --once` shows a federation and leaves nothing behind", async () => {
      const { exit, stdout, stderr } = await site.run(["dev", "--nodes", "3", "--agents", "60", "--once"]);
      assert.equal(exit, EXIT.ok, stderr);
      assert.match(stdout, /proved by/);
      assert.deepEqual(readdirSync(site.directory), []);
    });
  });
});
