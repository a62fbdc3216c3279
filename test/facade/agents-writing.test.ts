import assert from "node:assert/strict";
import { mintDid } from "../../protocols/lib/did.ts";
import type { AgentRecord } from "../../protocols/record/record.ts";
import type { RunningNode } from "../../src/federation-api.ts";
import { agent, World, type TestNode } from "../node/harness.ts";
import { Api, OPERATOR, Owner, pathOf, svidOf, URL_OF_REGISTRY, type Asking, type Got } from "./agents-support.ts";

async function withNode(
  name: string,
  script: (parts: { world: World; node: TestNode; api: Api }) => Promise<void>,
): Promise<void> {
  const world = new World(name);
  await world.run(async () => {
    const node = await world.start("home");
    await script({ world, node, api: Api.over(world, node) });
  });
}

const minted = (node: TestNode, name: string): string => mintDid(node.identity.publicKey, `test/${name}`);
const coded = ({ status, code }: Got): [number, string | undefined] => [status, code];

describe("facade: writing agents", () => {
  it("creates, replaces and deletes for the operator, with the record as the answer", () =>
    withNode("write", async ({ node, api }) => {
      const did = minted(node, "one");
      const created = await api.ask("POST", "/agents", { body: agent("one"), caller: OPERATOR });
      assert.equal(created.status, 201, created.detail);
      assert.equal(created.headers["location"], pathOf(did));
      const read = await api.ask("GET", created.headers["location"] as string);
      assert.deepEqual([read.text, read.headers["etag"]], [created.text, created.headers["etag"]]);
      assert.deepEqual(coded(await api.ask("POST", "/agents", { body: agent("one", { version: "2" }), caller: OPERATOR })), [
        409,
        "exists",
      ]);
      // What a GET gives can be changed and put back.
      const changed = { ...(read.body as AgentRecord), description: "changed" };
      const replaced = await api.ask("PUT", pathOf(did), { body: changed, caller: OPERATOR });
      assert.deepEqual([replaced.status, (replaced.body as AgentRecord).revision], [200, 2], replaced.detail);
      const unchanged = await api.ask("PUT", pathOf(did), { body: changed, caller: OPERATOR });
      assert.deepEqual([unchanged.status, unchanged.headers["etag"]], [200, replaced.headers["etag"]]);
      const put = await api.ask("PUT", pathOf(minted(node, "two")), { body: agent("two"), caller: OPERATOR });
      assert.deepEqual([put.status, put.headers["location"]], [201, pathOf(minted(node, "two"))]);
      assert.deepEqual(
        [(await api.ask("DELETE", pathOf(did), { caller: OPERATOR })).status, (await api.ask("GET", pathOf(did))).status],
        [204, 404],
      );
      assert.deepEqual(coded(await api.ask("DELETE", pathOf(did), { caller: OPERATOR })), [404, "not_found"]);
    }));

  it("honours If-Match and If-None-Match", () =>
    withNode("conditions", async ({ node, api }) => {
      const path = pathOf(minted(node, "one"));
      const put = (version: string, headers: Record<string, string>): Promise<Got> =>
        api.ask("PUT", path, { body: agent("one", { version }), headers, caller: OPERATOR });
      assert.deepEqual(coded(await put("1", { "if-match": "*" })), [412, "precondition_failed"]);
      const first = await put("1", { "if-none-match": "*" });
      assert.equal(first.status, 201);
      assert.deepEqual(coded(await put("2", { "if-none-match": "*" })), [412, "precondition_failed"]);
      const etag = first.headers["etag"] as string;
      const second = await put("2", { "if-match": `"${"f".repeat(64)}", ${etag}` });
      assert.equal(second.status, 200, second.detail);
      const stale = await put("3", { "if-match": etag });
      assert.deepEqual(coded(stale), [412, "precondition_failed"]);
      assert.equal(stale.headers["etag"], second.headers["etag"], "says what it is now");
      assert.equal((await put("3", { "if-match": `W/${second.headers["etag"]}` })).status, 412, "a weak tag never matches here");
      assert.equal((await put("3", { "if-match": "*" })).status, 200);
      assert.deepEqual(coded(await put("4", { "if-match": "no quotes" })), [400, "bad_condition"]);
      assert.equal((await api.ask("DELETE", path, { headers: { "if-match": etag }, caller: OPERATOR })).status, 412);
      const current = (await api.ask("GET", path)).headers["etag"] as string;
      // Of writers that saw the same revision, one wins.
      const race = await Promise.all(["5", "6", "7"].map((version) => put(version, { "if-match": current })));
      assert.deepEqual(
        race.map(({ status }) => status).toSorted((a, b) => a - b),
        [200, 412, 412],
      );
      const last = (await api.ask("GET", path)).headers["etag"] as string;
      assert.equal((await api.ask("DELETE", path, { headers: { "if-match": last }, caller: OPERATOR })).status, 204);
    }));

  it("lets in the agent's own key by a signed record, and by a signed request", () =>
    withNode("own key", async ({ node, api }) => {
      const owner = new Owner("mine");
      const path = pathOf(owner.did);
      const created = await api.ask("POST", "/agents", { body: owner.signed(node.did, 1) });
      assert.equal(created.status, 201, created.detail);
      assert.deepEqual(
        coded(await api.ask("PUT", path, { body: owner.signed(node.did, 1, { version: "2" }) })),
        [401, "bad_signature"],
        "an old revision",
      );
      assert.deepEqual(
        coded(await api.ask("PUT", path, { body: owner.signed("did:web:other.example", 2) })),
        [401, "bad_signature"],
        "another registry",
      );
      const thief = new Owner("mine");
      const forged = { ...thief.signed(node.did, 2, { version: "2" }), did: owner.did };
      assert.deepEqual(coded(await api.ask("PUT", path, { body: forged })), [401, "bad_signature"]);
      assert.deepEqual(
        coded(await api.ask("PUT", path, { body: owner.signed(node.did, 2), caller: { signedBy: thief.did } })).slice(0, 1),
        [200],
        "both proofs are looked at",
      );
      assert.equal(
        (await api.ask("PUT", path, { body: owner.signed(node.did, 3, { version: "2" }), caller: { signedBy: owner.did } }))
          .status,
        200,
      );
      assert.deepEqual(coded(await api.ask("DELETE", path)), [401, "authority_required"]);
      assert.deepEqual(coded(await api.ask("DELETE", path, { caller: { signedBy: thief.did } })), [403, "authority_required"]);
      assert.equal((await api.ask("DELETE", path, { caller: { signedBy: owner.did } })).status, 204);
      const unsigned = { ...agent("mine"), did: owner.did };
      assert.deepEqual(coded(await api.ask("PUT", path, { body: unsigned, caller: OPERATOR })), [400, "agent_signature_missing"]);
    }));

  it("lets in certificates of this trust domain as far as their names go", () =>
    withNode("certificates", async ({ world, node, api }) => {
      const { identity } = node;
      const certificate = (path: string, of = identity): Asking => ({ caller: { svid: svidOf(of, path) } });
      const foreign = world.identity("foreign");
      const path = pathOf(minted(node, "one"));
      const put = (asking: Asking, body = agent("one", { version: JSON.stringify(asking).slice(-40) })): Promise<Got> =>
        api.ask("PUT", path, { ...asking, body });
      for (const [asking, status] of [
        [{}, 401],
        [certificate("/operator/alice", foreign), 403],
        [certificate("/agent/test/one", foreign), 403],
        [certificate("/registry/other"), 403],
        [certificate("/operator"), 403],
        [certificate("/operators/alice"), 403],
        [certificate("/agent/test"), 403],
        [certificate("/agent/test/one/more"), 403],
        [certificate("/agent/test/two"), 403],
        [{ caller: { signedBy: node.did } }, 403],
        [certificate("/agent/test/one"), 201],
        [certificate("/operator/alice"), 200],
        // It is shown to whatever address a peer names, ours too.
        [certificate(`/registry/${identity.name}`), 403],
      ] as const) {
        const answer = await put(asking);
        assert.equal(answer.status, status, `${JSON.stringify(asking)}: ${answer.detail}`);
        if (status === 401) assert.equal(answer.headers["www-authenticate"], "Bearer");
        if (status > 400) assert.equal(answer.code, "authority_required");
      }
      // A certificate for one agent neither takes over another's DID nor gives its own agent another's name.
      const did = "did:web:agent.example";
      await node.node.mutate([{ op: "put", agent: agent("victim", { did }) }]);
      const taken = await api.ask("PUT", pathOf(did), { ...certificate("/agent/test/thief"), body: agent("thief") });
      assert.deepEqual(coded(taken), [403, "authority_required"]);
      const renamed = await api.ask("PUT", pathOf(did), { ...certificate("/agent/test/victim"), body: agent("thief") });
      assert.deepEqual(coded(renamed), [403, "authority_required"]);
      assert.equal((await api.ask("DELETE", pathOf(did), certificate("/agent/test/one"))).status, 403);
      assert.equal((await api.ask("DELETE", pathOf(did), certificate("/agent/test/victim"))).status, 204);
    }));

  it("lets a certificate for a name register no DID that says of itself whose it is", () =>
    withNode("names", async ({ node, api }) => {
      const caller = { svid: svidOf(node.identity, "/agent/test/one") };
      const did = "did:web:bank.example";
      const body = { ...agent("one"), did };
      assert.deepEqual(coded(await api.ask("POST", "/agents", { body, caller })), [403, "authority_required"]);
      const refused = await api.ask("PUT", pathOf(did), { body, caller });
      assert.deepEqual(coded(refused), [403, "authority_required"]);
      assert.match(refused.detail, /registered here/);
      const owner = new Owner("one");
      assert.equal((await api.ask("POST", "/agents", { body: owner.signed(node.did, 1), caller })).status, 201, "its key has");
      assert.equal((await api.ask("DELETE", pathOf(owner.did), { caller })).status, 204);
      assert.equal((await api.ask("POST", "/agents", { body, caller: OPERATOR })).status, 201);
      const changed = await api.ask("PUT", pathOf(did), { body: { ...body, version: "2" }, caller });
      assert.equal(changed.status, 200, changed.detail);
      assert.deepEqual(coded(await api.ask("POST", "/agents", { body, caller })), [409, "exists"]);
      assert.equal((await api.ask("DELETE", pathOf(did), { caller })).status, 204);
      assert.deepEqual(coded(await api.ask("PUT", pathOf(did), { body, caller })), [403, "authority_required"]);
    }));

  it("does not let such a certificate bring back an agent that is removed in this moment", () =>
    withNode("gone", async ({ world, node, api }) => {
      const caller = { svid: svidOf(node.identity, "/agent/test/one") };
      const did = "did:web:bank.example";
      const body = { ...agent("one", { version: "2" }), did };
      for (const removedAt of [1, 2]) {
        await node.node.mutate([{ op: "put", agent: agent("one", { did }) }]);
        let reads = 0;
        const readOwnAgent: RunningNode["readOwnAgent"] = async (id) => {
          const document = await (node.node as RunningNode).readOwnAgent(id);
          if (++reads === removedAt) await node.node.mutate([{ op: "delete", did }]);
          return document;
        };
        const racing = Api.over(world, node, { node: { ...(node.node as RunningNode), readOwnAgent } });
        const answer = await racing.ask("PUT", pathOf(did), { body, caller });
        assert.deepEqual(coded(answer), removedAt === 1 ? [403, "authority_required"] : [404, "not_found"]);
        assert.equal((await api.ask("GET", pathOf(did))).status, 404);
      }
    }));

  it("leaves the reputation to the registry", () =>
    withNode("score", async ({ node, api }) => {
      const owner = new Owner("mine");
      const boast = { ...owner.signed(node.did, 1), reputation_score: 1 };
      assert.deepEqual(coded(await api.ask("POST", "/agents", { body: boast })), [403, "not_yours"]);
      assert.equal(
        (await api.ask("POST", "/agents", { body: { ...boast, reputation_score: 0.7 }, caller: OPERATOR })).status,
        201,
      );
      const next = { ...owner.signed(node.did, 2, { version: "2" }), reputation_score: 0.7 };
      const kept = await api.ask("PUT", pathOf(owner.did), { body: next });
      assert.deepEqual([kept.status, (kept.body as AgentRecord).reputation_score], [200, 0.7], kept.detail);
    }));

  it("T32 writes no agent of another registry, and says where its home is", async () => {
    const world = new World("foreign");
    await world.run(async () => {
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      const did = "did:web:agent.example";
      await a.add("one");
      await a.node.mutate([{ op: "put", agent: agent("web", { did }) }]);
      await world.synced(b, a);
      const api = Api.over(world, b);
      for (const method of ["PUT", "DELETE"] as const) {
        const asking = { ...(method === "PUT" && { body: agent("one") }), caller: OPERATOR };
        const foreign = await api.ask(method, pathOf(minted(a, "one")), asking);
        assert.deepEqual(coded(foreign), [403, "foreign_did"]);
        assert.match(foreign.detail, /home/);
      }
      const elsewhere = await api.ask("DELETE", pathOf(did), { caller: OPERATOR });
      assert.deepEqual(coded(elsewhere), [404, "not_found"]);
      assert.ok(elsewhere.detail.includes(a.did), elsewhere.detail);
      assert.deepEqual(elsewhere.body, { home: a.did });
      // A condition counts only for what would be done without it.
      const tag = { "if-match": `"${"f".repeat(64)}"` };
      const conditional = await api.ask("DELETE", pathOf(did), { headers: tag, caller: OPERATOR });
      assert.deepEqual(coded(conditional), [404, "not_found"]);
      const stale = await api.ask("PUT", pathOf(did), { body: agent("web"), headers: tag, caller: OPERATOR });
      assert.deepEqual(coded(stale), [412, "precondition_failed"]);
      assert.ok(stale.detail.includes(a.did), stale.detail);
      const known = { bundle: undefined, isolated: false, isWanted: false, url: "https://a.example" };
      const telling = Api.over(world, b, { node: { ...(b.node as RunningNode), knownRegistry: () => Promise.resolve(known) } });
      const told = await telling.ask("DELETE", pathOf(did), { caller: OPERATOR });
      assert.deepEqual([told.status, told.body], [404, { home: a.did, url: known.url }]);
      assert.ok(told.detail.includes(`${a.did} (${known.url})`), told.detail);
      const made = { ...agent("web", { did }), registry: a.did };
      assert.deepEqual(coded(await api.ask("PUT", pathOf(did), { body: made, caller: OPERATOR })), [403, "wrong_registry"]);
      // Two homes may claim one DID: ours is found although the other's is shown.
      const mine = await api.ask("PUT", pathOf(did), { body: agent("web", { version: "2" }), caller: OPERATOR });
      assert.equal(mine.status, 201, mine.detail);
      await a.node.mutate([{ op: "put", agent: agent("web", { did, version: "3" }) }]);
      await world.synced(b, a);
      assert.equal((await api.ask("GET", pathOf(did))).headers["x-registry-home"], a.did);
      const again = {
        body: agent("web", { version: "4" }),
        headers: { "if-match": mine.headers["etag"] as string },
        caller: OPERATOR,
      };
      assert.equal((await api.ask("PUT", pathOf(did), again)).status, 200);
    });
  });

  it("T51 keeps the catalogue's reasons", () =>
    withNode("refusals", async ({ api }) => {
      const cases: [unknown, number, string][] = [
        [{ ...agent("a"), name: "" }, 400, "schema"],
        [{ ...agent("a"), unknown: 1 }, 400, "schema"],
        [JSON.parse(JSON.stringify(agent("a")).replace("{", '{"__proto__":{"x":1},')), 400, "schema"],
        [JSON.parse(JSON.stringify(agent("a")).replace('"endpoints":[{', '"endpoints":[{"__proto__":1,')), 400, "schema"],
        [{ ...agent("a"), endpoints: [{ url: "nowhere", protocol: "a2a" }] }, 400, "schema"],
        [
          { ...agent("a"), description: "x".repeat(16_384), original: { media_type: "a/b", document: "y".repeat(131_000) } },
          413,
          "too_large",
        ],
        [{ ...agent("a"), humanReadableId: "a//b" }, 400, "bad_did"],
        [{ ...agent("a"), did: "nonsense" }, 400, "bad_did"],
        [{ ...agent("a"), did: "did:key:zNonsense", agent_signature: "x" }, 400, "schema"],
        [{ name: "x" }, 400, "invalid"],
        ["text", 400, "invalid"],
        [[], 400, "invalid"],
      ];
      for (const [body, status, code] of cases) {
        const answer = await api.ask("POST", "/agents", { body, caller: OPERATOR });
        assert.deepEqual(coded(answer), [status, code], `${JSON.stringify(body).slice(0, 200)}: ${answer.detail}`);
        assert.notEqual(answer.detail, "");
      }
      assert.equal((await api.ask("POST", "/agents", { body: agent("a"), caller: OPERATOR })).status, 201);
      const twin = { ...agent("a"), did: "did:web:twin.example" };
      assert.deepEqual(coded(await api.ask("POST", "/agents", { body: twin, caller: OPERATOR })), [409, "name_taken"]);
      const other = await api.ask("PUT", pathOf("did:web:x.example"), { body: twin, caller: OPERATOR });
      assert.deepEqual(coded(other), [400, "did_mismatch"]);
      assert.deepEqual(coded(await api.ask("PUT", "/agents/test%2Fa", { body: agent("a"), caller: OPERATOR })), [400, "bad_did"]);
    }));

  it("refuses what a page of another site makes a browser send", () =>
    withNode("origins", async ({ node, api }) => {
      const svid = svidOf(node.identity, "/operator/alice");
      const body = agent("one");
      const headersRefused = [
        { origin: "https://evil.example" },
        { origin: "null" },
        { "sec-fetch-site": "cross-site" },
        { "sec-fetch-site": "same-site" },
      ];
      for (const headers of headersRefused) {
        assert.deepEqual(coded(await api.ask("POST", "/agents", { body, headers, caller: { svid } })), [403, "cross_origin"]);
        assert.equal((await api.ask("PUT", pathOf(minted(node, "one")), { body, headers, caller: { svid } })).status, 403);
        assert.equal((await api.ask("DELETE", pathOf(minted(node, "one")), { headers, caller: { svid } })).status, 403);
      }
      const headers = { origin: new URL(URL_OF_REGISTRY).origin, "sec-fetch-site": "same-origin" };
      assert.equal((await api.ask("POST", "/agents", { body, headers, caller: { svid } })).status, 201);
    }));
});
