import assert from "node:assert/strict";
import { LIST_ROWS_MAX } from "../../src/agent-reading.ts";
import { LIST_LIMIT_MAX, LIST_TEXT_LENGTH_MAX, MUTATIONS_MAX, type AgentInput, type ListQuery } from "../../src/api.ts";
import { agent, World, type TestNode } from "./harness.ts";

async function put(node: TestNode, ...agents: readonly AgentInput[]): Promise<void> {
  for (let at = 0; at < agents.length; at += MUTATIONS_MAX) {
    const results = await node.node.mutate(agents.slice(at, at + MUTATIONS_MAX).map((one) => ({ op: "put", agent: one })));
    for (const result of results) assert.notEqual(result.outcome, "refused", JSON.stringify(result));
  }
}

/** Names of all agents that the pages of `query` show, and how many pages there were. */
async function listed(node: TestNode, query: Partial<ListQuery>): Promise<{ names: string[]; pages: number }> {
  const names: string[] = [];
  let pages = 0;
  for (let cursor: string | null = ""; cursor !== null;) {
    const page = await node.node.listAgents({ limit: 3, ...query, ...(cursor !== "" && { cursor }) });
    names.push(...page.agents.map(({ name }) => name));
    cursor = page.cursor;
    pages += 1;
  }
  return { names: names.toSorted(), pages };
}

describe("listing agents", () => {
  it("filters by capability, text, registry and reputation, over all catalogues and pages", async () => {
    const world = new World("filters");
    await world.run(async () => {
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      await put(
        a,
        agent("one", { capabilities: ["translation/en-fr"], tags: ["Fast"], reputation_score: 0.9 }),
        agent("two", { capabilities: ["translation"], description: "Übersetzt ﬁnnische Texte.", reputation_score: 0.5 }),
        agent("three", { capabilities: ["translations/en-fr", "vision"] }),
        agent("four", { capabilities: ["vision/ocr"], name: "four", tags: ["fast", "cheap"], reputation_score: 0.89 }),
      );
      await put(b, agent("five", { capabilities: ["translation/de"], description: "FAST and small", reputation_score: 1 }));
      await world.synced(b, a);
      const cases: [Partial<ListQuery>, string[]][] = [
        [{}, ["five", "four", "one", "three", "two"]],
        [{ capability: "translation" }, ["five", "one", "two"]],
        [{ capability: "translation/en-fr" }, ["one"]],
        [{ capability: "trans" }, []],
        [{ text: "fast" }, ["five", "four", "one"]],
        [{ text: "  CHEAP\tfast " }, ["four"]],
        [{ text: "finnische" }, ["two"]],
        [{ text: "u\u0308bersetzt FINNISCHE" }, ["two"]],
        [{ text: "test/three" }, ["three"]],
        [{ text: "one two" }, []],
        [{ text: "   " }, ["five", "four", "one", "three", "two"]],
        [{ minReputation: 0.9 }, ["five", "one"]],
        [{ minReputation: 0.01 }, ["five", "four", "one", "two"]],
        [{ minReputation: 0 }, ["five", "four", "one", "three", "two"]],
        [{ registry: a.did, text: "fast" }, ["four", "one"]],
        [{ registry: b.did, capability: "translation", minReputation: 0.5 }, ["five"]],
        [{ capability: "translation", text: "fast", minReputation: 0.95 }, ["five"]],
      ];
      for (const limit of [1, 3, LIST_LIMIT_MAX]) {
        for (const [query, expected] of cases) {
          const { names } = await listed(b, { ...query, limit });
          assert.deepEqual(names, expected.toSorted(), `${JSON.stringify(query)}, ${limit} a page`);
        }
      }
    });
  });

  it("looks at a bounded number of records, and goes on from there", async () => {
    const world = new World("budget");
    await world.run(async () => {
      const a = await world.start("a");
      const common = Array.from({ length: LIST_ROWS_MAX + 50 }, (_, i) => agent(`common-${i}`, { capabilities: ["common"] }));
      const rare = Array.from({ length: 5 }, (_, i) => agent(`rare-${i}`, { capabilities: ["rare"] }));
      await put(a, ...rare, ...common);
      const first = await a.node.listAgents({ limit: LIST_LIMIT_MAX, capability: "nothing" });
      assert.deepEqual(first.agents, []);
      assert.notEqual(first.cursor, null, "more than one page may look at");
      const { names, pages } = await listed(a, { limit: LIST_LIMIT_MAX, capability: "rare" });
      assert.deepEqual(names, ["rare-0", "rare-1", "rare-2", "rare-3", "rare-4"]);
      assert.equal(pages, 2);
      assert.equal((await listed(a, { limit: LIST_LIMIT_MAX })).names.length, LIST_ROWS_MAX + 55);
    });
  });

  it("ends a page with the record that fills it", async () => {
    const world = new World("bytes");
    await world.run(async () => {
      const a = await world.start("a");
      const document = "x".repeat(120_000);
      const large = Array.from({ length: 100 }, (_, i) => agent(`n${i}`, { original: { media_type: "text/plain", document } }));
      await put(a, ...large);
      const page = await a.node.listAgents({ limit: LIST_LIMIT_MAX });
      assert.ok(page.agents.length > 60 && page.agents.length < 75, `${page.agents.length} records of 120 KB`);
      assert.equal((await listed(a, { limit: LIST_LIMIT_MAX })).names.length, 100);
    });
  });

  it("goes on behind a registry that is forgotten in the middle", async () => {
    const world = new World("forgotten");
    await world.run(async () => {
      const others: TestNode[] = [];
      for (const name of ["x", "y", "z"]) others.push(await world.start(name));
      for (const other of others) await other.add(`${other.name}1`, `${other.name}2`);
      const node = await world.start("node", { peers: others });
      for (const other of others) await world.synced(node, other);
      const [first, second] = others.toSorted((p, q) => (p.did < q.did ? -1 : 1)) as [TestNode, TestNode];
      const page = await node.node.listAgents({ limit: 1 });
      assert.equal(page.agents[0]?.registry, first.did);
      await node.node.removePeer(first.address);
      await world.until("it to be forgotten", async () => (await node.peer(first.did))?.followed !== true);
      const rest = await node.node.listAgents({ limit: 10, cursor: page.cursor as string });
      assert.equal(rest.agents.length, 4);
      assert.equal(rest.agents[0]?.registry, second.did);
    });
  });

  it("T51 refuses conditions that make no sense", async () => {
    const world = new World("conditions");
    await world.run(async () => {
      const { node, did } = await world.start("a");
      const bad: Partial<ListQuery>[] = [
        ...[{ capability: "" }, { capability: "Translation" }, { capability: "a//b" }, { capability: "a".repeat(129) }],
        ...[{ text: "x".repeat(LIST_TEXT_LENGTH_MAX + 1) }, { minReputation: -0.1 }, { minReputation: 1.01 }],
        ...[{ minReputation: Number.NaN }, { limit: 0 }, { limit: LIST_LIMIT_MAX + 1 }, { limit: 1.5 }],
        ...[{ cursor: "x" }, { cursor: "" }, { cursor: Buffer.from("00 did:key:z").toString("base64url") }],
      ];
      for (const query of bad) {
        await assert.rejects(node.listAgents({ limit: 1, ...query }), { code: "invalid" }, JSON.stringify(query));
      }
      const missing = `${did.slice(0, -1)}x`;
      await assert.rejects(node.listAgents({ limit: 1, registry: missing }), { code: "not_found" });
    });
  });
});
