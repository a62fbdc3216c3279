import assert from "node:assert/strict";
import { NDJSON } from "../../src/admin/ndjson.ts";
import { ROUTES } from "../../src/admin/routes.ts";
import { ADMIN_ANSWER_BYTES_MAX, adminRoutes } from "../../src/facade/admin/routes.ts";
import type { RunningNode } from "../../src/federation-api.ts";
import { agent, names, World, type TestNode } from "../node/harness.ts";
import { Api, contextOf, type Got } from "./agents-support.ts";

const coded = ({ status, code }: Got): [number, string | undefined] => [status, code];

async function withNode(name: string, script: (api: Api, node: TestNode, world: World) => Promise<void>): Promise<void> {
  const world = new World(name);
  await world.run(async () => {
    const node = await world.start("home");
    await script(Api.over(world, node), node, world);
  });
}

describe("facade: the admin API", () => {
  it("offers every route of the local socket, to operators alone", () =>
    withNode("routes", async (_api, { node, identity }) => {
      const context = contextOf(node as RunningNode, identity);
      const offered = (routes: ReturnType<typeof adminRoutes>): string[] =>
        routes.map(({ method, path }) => `${method} ${path}`).toSorted();
      const all = Object.entries(ROUTES).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`));
      assert.deepEqual(offered(adminRoutes(context, () => undefined)), all.toSorted());
      assert.deepEqual(offered(adminRoutes(context)), all.filter((name) => name !== "POST /admin/stop").toSorted());
      for (const { access } of adminRoutes(context)) assert.equal(access, "operator");
    }));

  it("gives what the socket gives", () =>
    withNode("results", async (api, node) => {
      const line = JSON.stringify({ mutations: names("agent", 3).map((name) => ({ op: "put", agent: agent(name) })) });
      const given = [
        await api.ask("POST", "/admin/mutations", {
          rawBody: Buffer.from(`${line}\n${line}`),
          headers: { "content-type": NDJSON },
        }),
        await api.ask("POST", "/admin/mutations", {
          rawBody: Buffer.from(line),
          headers: { "content-type": "application/json; charset=utf-8" },
        }),
      ];
      assert.deepEqual(
        given.map(({ text }) => text.trim().split("\n").length),
        [2, 1],
      );
      assert.deepEqual((await api.ask("GET", "/admin/identity")).body, node.node.identity());
      const view = await api.ask("GET", "/admin/agent", { query: { id: "test/agent-1" } });
      assert.deepEqual(view.body, JSON.parse(JSON.stringify(await node.node.getAgent("test/agent-1"))));
      const page = await api.ask("GET", "/admin/agents", { query: { limit: "2" } });
      assert.equal((page.body as { agents: unknown[] }).agents.length, 2);
      const exported = await api.ask("GET", "/admin/export");
      assert.equal(exported.text.trim().split("\n").length, 3);
      assert.deepEqual((await api.ask("POST", "/admin/peers", { body: { address: "/memory/nobody" } })).body, {});
      const synced = await api.ask("POST", "/admin/sync", { body: {} });
      assert.deepEqual([synced.status, synced.body], [200, { type: "result", sync: [] }]);
    }));

  it("T51 names what is wrong with a request", () =>
    withNode("refusals", async (api) => {
      assert.deepEqual(coded(await api.ask("GET", "/admin/status", { query: { x: "1" } })), [400, "bad_request"]);
      assert.deepEqual(coded(await api.ask("GET", "/admin/agent", { query: { id: "nobody" } })), [404, "not_found"]);
      assert.deepEqual(coded(await api.ask("DELETE", "/admin/peers", { query: { address: "/memory/nobody" } })), [
        404,
        "not_found",
      ]);
      const headers = { "content-type": NDJSON };
      for (const text of ["{", '{"mutations":[{"op":"drop"}]}', "[]", "\xff"]) {
        assert.deepEqual(coded(await api.ask("POST", "/admin/mutations", { rawBody: Buffer.from(text, "latin1"), headers })), [
          400,
          "bad_request",
        ]);
      }
      const proto = `{"mutations":[{"op":"put","agent":${JSON.stringify(agent("a")).replace("{", '{"__proto__":{},')}}]}`;
      const refused = await api.ask("POST", "/admin/mutations", { rawBody: Buffer.from(proto), headers });
      assert.match(refused.text, /"refused".*"schema".*__proto__/);
      const text = { "content-type": "text/plain" };
      assert.deepEqual(coded(await api.ask("POST", "/admin/mutations", { headers: text })), [415, "unsupported_media_type"]);
    }));

  it("says when an export is too large for one answer", () =>
    withNode("export", async (api, { node }) => {
      const document = "x".repeat(120_000);
      const count = Math.ceil(ADMIN_ANSWER_BYTES_MAX / 120_000) + 1;
      await node.mutate(
        names("n", count).map((name) => ({ op: "put", agent: agent(name, { original: { media_type: "a/b", document } }) })),
      );
      const answer = await api.ask("GET", "/admin/export");
      assert.deepEqual(coded(answer), [413, "too_large"]);
      assert.match(answer.detail, /page by page/);
    }));

  it("refuses pages of other sites, and names that were pointed here", () =>
    withNode("pages", async (api) => {
      const refused: [Record<string, string>, number, string][] = [
        [{ origin: "https://evil.example" }, 403, "cross_origin"],
        [{ origin: "null" }, 403, "cross_origin"],
        [{ "sec-fetch-site": "cross-site" }, 403, "cross_origin"],
        [{ host: "evil.example:8443" }, 421, "wrong_authority"],
        [{ host: "registry.example.evil.example" }, 421, "wrong_authority"],
        [{ ":authority": "evil.example" }, 421, "wrong_authority"],
        [{ host: "" }, 421, "wrong_authority"],
      ];
      for (const [headers, status, code] of refused) {
        assert.deepEqual(coded(await api.ask("GET", "/admin/identity", { headers })), [status, code], JSON.stringify(headers));
        assert.deepEqual(coded(await api.ask("POST", "/admin/peers", { headers, body: { address: "/memory/x" } })), [
          status,
          code,
        ]);
      }
      for (const host of ["registry.example:8443", "127.0.0.1:8443", "[::1]:8443", "localhost:8443", "192.0.2.7"]) {
        assert.equal((await api.ask("GET", "/admin/identity", { headers: { host } })).status, 200, host);
      }
    }));
});
