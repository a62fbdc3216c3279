import assert from "node:assert/strict";
import { verifyProofDocument } from "../../protocols/checkpoint/proof-document.ts";
import { mintDid } from "../../protocols/lib/did.ts";
import { valueOf } from "../../protocols/lib/hash.ts";
import { LIST_LIMIT_MAX } from "../../src/api.ts";
import { agent, names, World, type TestNode } from "../node/harness.ts";
import { Api, pathOf } from "./agents-support.ts";

const minted = (node: TestNode, name: string): string => mintDid(node.identity.publicKey, `test/${name}`);

describe("facade: reading agents", () => {
  it("gives exact record bytes, with what proves them and what tells whether they changed", async () => {
    const world = new World("get");
    await world.run(async () => {
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      await a.add("one", "zwei/ü");
      await world.synced(b, a);
      const api = Api.over(world, b);
      for (const name of ["one", "zwei/ü"]) {
        const did = minted(a, name);
        const got = await api.ask("GET", pathOf(did));
        assert.equal(got.status, 200);
        const hash = Buffer.from(valueOf(Buffer.from(got.text))).toString("hex");
        assert.equal(got.headers["etag"], `"${hash}"`, "anybody can compute the tag from the bytes");
        assert.equal(got.headers["x-registry-home"], a.did);
        assert.match(got.headers["last-modified"] ?? "", /^\w{3}, \d\d \w{3} 20\d\d \d\d:\d\d:\d\d GMT$/);
        const link = /^<([^>]+)>/.exec(got.headers["link"] ?? "")?.[1] as string;
        const proof = await api.ask("GET", link);
        const verified = verifyProofDocument(proof.text);
        assert.deepEqual([verified.ok, verified.did, verified.registry], [true, did, a.did], verified.problems.join());
        assert.equal(JSON.stringify((proof.body as { record: unknown }).record), got.text);
        for (const [header, status] of [
          [`"${hash}"`, 304],
          [`W/"${hash}"`, 304],
          [`"other", "${hash}"`, 304],
          ["*", 304],
          [`"${"0".repeat(64)}"`, 200],
          ["nonsense", 400],
        ] as const) {
          const again = await api.ask("GET", pathOf(did), { headers: { "if-none-match": header } });
          assert.equal(again.status, status, header);
          if (status === 304) assert.deepEqual([again.text, again.headers["etag"]], ["", `"${hash}"`]);
        }
      }
      assert.equal((await api.ask("GET", "/agents/test%2Fone")).headers["x-registry-home"], a.did, "by its name");
      for (const nobody of ["did:web:nobody.example", "test/nobody", "%", "did:key:"]) {
        assert.deepEqual((await api.ask("GET", pathOf(nobody))).code, "not_found");
        assert.equal((await api.ask("GET", `${pathOf(nobody)}/proof`)).status, 404);
      }
      await b.add("one");
      const ours = await api.ask("GET", "/agents/test%2Fone");
      assert.deepEqual([ours.status, ours.headers["x-registry-home"]], [200, b.did], "a name of ours means our agent");
      const proof = verifyProofDocument((await api.ask("GET", "/agents/test%2Fone/proof")).text);
      assert.deepEqual([proof.ok, proof.registry], [true, b.did], proof.problems.join());
      const c = await world.start("c", { peers: [a, b] });
      await world.synced(c, a);
      await world.synced(c, b);
      const several = await Api.over(world, c).ask("GET", "/agents/test%2Fone");
      assert.deepEqual([several.status, several.code], [400, "invalid"], "a name of two agents, neither of them ours");
      for (const node of [a, b]) assert.ok(several.detail?.includes(minted(node, "one")), several.detail);
    });
  });

  it("lists with all filters, page by page", async () => {
    const world = new World("list");
    await world.run(async () => {
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      const put = (node: TestNode, name: string, capability: string, score: number): Promise<unknown> =>
        node.node.mutate([{ op: "put", agent: agent(name, { capabilities: [capability], reputation_score: score }) }]);
      await put(a, "x", "translation/en-fr", 0.9);
      await put(a, "y", "vision", 0.5);
      await put(b, "z", "translation", 0.2);
      await world.synced(b, a);
      const api = Api.over(world, b);
      const list = async (query: Record<string, string>): Promise<string[]> => {
        const found: string[] = [];
        for (let cursor: string | null | undefined; cursor !== null;) {
          const { status, body, detail } = await api.ask("GET", "/agents", {
            query: { ...query, limit: "1", ...(cursor && { cursor }) },
          });
          assert.equal(status, 200, detail);
          const page = body as { agents: { name: string }[]; cursor: string | null };
          found.push(...page.agents.map(({ name }) => name));
          cursor = page.cursor;
        }
        return found.toSorted();
      };
      assert.deepEqual(await list({}), ["x", "y", "z"]);
      assert.deepEqual(await list({ capability: "translation" }), ["x", "z"]);
      assert.deepEqual(await list({ text: "AGENT Y" }), ["y"]);
      assert.deepEqual(await list({ registry: a.did }), ["x", "y"]);
      assert.deepEqual(await list({ minReputation: "0.5" }), ["x", "y"]);
      assert.deepEqual(await list({ capability: "translation", minReputation: "0.5", registry: b.did }), []);
    });
  });

  it("T51 refuses queries that make no sense", async () => {
    const world = new World("bad queries");
    await world.run(async () => {
      const a = await world.start("a");
      await a.add(...names("n", 150));
      const api = Api.over(world, a);
      const bad: Record<string, unknown>[] = [
        ...[
          { limit: "0" },
          { limit: "1e2" },
          { limit: "" },
          { limit: "0x10" },
          { limit: String(LIST_LIMIT_MAX + 1) },
          { limit: "1.5" },
        ],
        ...[
          { minReputation: "2" },
          { minReputation: "-1" },
          { minReputation: "NaN" },
          { capability: "" },
          { capability: "UPPER" },
        ],
        ...[{ cursor: "x" }, { cursor: "y".repeat(2_000) }, { text: "x".repeat(300) }, { unknown: "1" }, { text: ["a", "b"] }],
      ];
      for (const query of bad) {
        const { status, detail } = await api.ask("GET", "/agents", { query });
        assert.equal(status, 400, JSON.stringify(query));
        assert.notEqual(detail, "");
      }
      assert.equal((await api.ask("GET", "/agents", { query: { registry: "did:web:nobody.example" } })).status, 404);
      const { agents } = (await api.ask("GET", "/agents")).body as { agents: unknown[] };
      assert.equal(agents.length, 100, "a page without a limit");
    });
  });
});
