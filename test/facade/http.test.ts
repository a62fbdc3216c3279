import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { z } from "zod";
import { decodeBundle } from "../../protocols/bundle/bundle.ts";
import { pointsBack } from "../../protocols/http/did-document.ts";
import { decodeIntroduction } from "../../protocols/http/introduction-documents.ts";
import { decodeProblem } from "../../protocols/http/problem.ts";
import { NodeError } from "../../src/api.ts";
import { addressKeys } from "../../src/facade/address.ts";
import { CONFIG_DEFAULTS } from "../../src/config.ts";
import { ADDRESS_REQUESTS_BURST_SHARE, FAILED_PROOFS_BURST } from "../../src/facade/limits.ts";
import { READINESS_KEPT_MS } from "../../src/facade/public-routes.ts";
import { openFacade } from "../../src/facade/server.ts";
import { NetworkError } from "../../src/ports/network.ts";
import type { Route } from "../../src/facade/route.ts";
import { handshake } from "./client.ts";
import { Described } from "./described.ts";
import { clock, OPERATOR_TOKEN, send, ServedRegistry, TestRegistry, type Received, type Sending } from "./harness.ts";
import { TestClock } from "./test-clock.ts";

const run = promisify(execFile);

const echo: Route = {
  ...{ method: "PUT", path: "/echo/{name}", summary: "echo", access: "public" },
  params: z.strictObject({ name: z.string().max(20) }),
  query: z.strictObject({ times: z.coerce.number().int().min(1).optional() }),
  body: z.strictObject({ say: z.string() }),
  answers: { 200: { description: "what was sent", schema: z.unknown() } },
  handle: ({ params, query, body }) => Promise.resolve({ status: 200, body: { params, query, body } }),
};
const failing = (path: string, error: Error): Route => ({
  ...{ method: "GET", path, summary: "fails", access: "public", answers: {} },
  handle: () => Promise.reject(error),
});
const operators: Route = {
  ...{ method: "GET", path: "/operators", summary: "operators only", access: "operator" },
  answers: { 200: { description: "yes", schema: z.unknown() } },
  handle: () => Promise.resolve({ status: 200, body: { yes: true } }),
};

describe("the facade: HTTP", () => {
  let server: ServedRegistry;

  beforeEach(async () => {
    const busy = new NodeError("overloaded", "the mailbox is full");
    const routes = [echo, operators, failing("/bug", new Error("secret of row 7")), failing("/busy", busy)];
    server = await ServedRegistry.start({ routes, domain: "registry.example" });
  });
  afterEach(() => server.stop());

  const ask = (request: Sending): Promise<Received> => send(server.connect(), request);
  const put = (path: string, body: string, type = "application/json"): Promise<Received> =>
    ask({ method: "PUT", path, body, headers: { "content-type": type } });

  it("answers what anybody may know", async () => {
    const introduction = await ask({ path: "/federation/public" });
    assert.equal(introduction.status, 200);
    assert.ok(decodeIntroduction(introduction.body).descriptor.length > 0);
    assert.equal(introduction.headers["access-control-allow-origin"], "*");
    assert.equal(introduction.headers["x-content-type-options"], "nosniff");
    const did = await ask({ path: "/.well-known/did.json" });
    assert.ok(pointsBack(JSON.parse(did.body.toString()), server.registry.did, "registry.example"));
    assert.equal(did.headers["content-type"], "application/did+json");
    const bundle = await ask({ path: "/.well-known/spiffe/bundle.json" });
    assert.equal(decodeBundle(bundle.body.toString()).authorities.length, 1);
    const discovery = JSON.parse((await ask({ path: "/.well-known/agent-registry.json" })).body.toString()) as { did: string };
    assert.equal(discovery.did, server.registry.did);
    for (const path of ["/healthz", "/readyz"]) assert.equal((await ask({ path })).status, 200);
    const head = await ask({ method: "HEAD", path: "/federation/public" });
    assert.deepEqual([head.status, head.body.length], [200, 0]);
  });

  it("T17 refuses a request that names two hosts, whatever it asks for", async () => {
    const over1 = async (target: string, ...hosts: string[]): Promise<string> => {
      const socket = await handshake(server.facade.port, { tls: { ALPNProtocols: ["http/1.1"] } });
      socket.write(`GET ${target} HTTP/1.1\r\n${hosts.map((host) => `Host: ${host}\r\n`).join("")}Connection: close\r\n\r\n`);
      let text = "";
      for await (const chunk of socket.setEncoding("utf8")) text += chunk;
      return `${text.slice(9, 12)} ${/problem:(\w+)/.exec(text)?.[1]}`;
    };
    for (const path of ["/federation/public", "/healthz", "/nothing"]) {
      assert.equal(await over1(path, "a.example", "b.example"), "400 bad_header", path);
      assert.equal(await over1(path, "a.example", "a.example"), "400 bad_header", path);
      assert.equal(await over1(`https://b.example${path}`, "a.example"), "400 bad_header", path);
      const over2 = await ask({ path, headers: { ":authority": "a.example", host: "b.example" } });
      assert.deepEqual([over2.status, over2.problem?.code], [400, "bad_header"], path);
    }
    assert.equal(await over1("/healthz", "a.example"), "200 undefined");
    assert.equal(await over1("https://A.example/healthz", "a.example"), "200 undefined");
    assert.equal((await ask({ path: "/healthz", headers: { ":authority": "a.example", host: "a.example" } })).status, 200);
  });

  it("T16 refuses a body where none means anything, and what only might have had one is served", async () => {
    for (const method of ["GET", "HEAD"]) {
      const { status } = await ask({ method, path: "/healthz", body: "x" });
      assert.equal(status, 413, method);
    }
    assert.equal((await ask({ path: "/healthz", body: "" })).status, 200);
    const socket = await handshake(server.facade.port, { tls: { ALPNProtocols: ["http/1.1"] } });
    socket.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx");
    const [answer] = (await once(socket, "data")) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1\.1 413 /);
    socket.destroy();
  });

  it("limits the requests of one address, and nobody else's", async () => {
    const { requestsPerAddressPerMinuteMax } = CONFIG_DEFAULTS;
    const burst = Math.ceil(requestsPerAddressPerMinuteMax * ADDRESS_REQUESTS_BURST_SHARE);
    const session = server.connect(undefined, { address: "127.66.6.1" });
    const read = { path: "/.well-known/agent-registry.json" };
    let answer = await send(session, read);
    let served = 0;
    // Some come back while it is asked.
    for (; answer.status === 200 && served < 2 * burst; served++) answer = await send(session, read);
    assert.deepEqual([answer.status, answer.problem?.code], [429, "too_many_requests"]);
    assert.match(String(answer.headers["retry-after"]), /^[1-9]\d*$/);
    assert.ok(served >= burst, `${served} served`);
    assert.equal((await send(server.connect(undefined, { address: "127.66.6.2" }), read)).status, 200);
    assert.equal((await send(session, { path: "/healthz" })).status, 200);
  });

  it("says when it is not ready, and why", async () => {
    server.node.paused = "a newer version of ours is out there";
    const { status, problem } = await ask({ path: "/readyz" });
    assert.equal(status, 503);
    assert.match(problem?.detail ?? "", /newer version/);
  });

  it("finds out once a second whether it is ready, however many ask", async () => {
    const time = new TestClock();
    const watched = await ServedRegistry.start({ clock: time });
    try {
      let asked = 0;
      const { node } = watched;
      const status = node.status.bind(node);
      node.status = () => {
        asked += 1;
        return status();
      };
      const session = watched.connect();
      const ready = async (times: number): Promise<number[]> => {
        const answers = await Promise.all(Array.from({ length: times }, () => send(session, { path: "/readyz" })));
        return [...new Set(answers.map((answer) => answer.status))];
      };
      assert.deepEqual(await ready(20), [200]);
      node.paused = "it stands still";
      assert.deepEqual(await ready(20), [200]);
      assert.equal(asked, 1);
      time.advance(READINESS_KEPT_MS);
      assert.deepEqual([await ready(20), await ready(20)], [[503], [503]]);
      assert.equal(asked, 2);
    } finally {
      await watched.stop();
    }
  });

  it("passes on what fits and says what does not", async () => {
    const fits = await put("/echo/a%2Fb?times=2", '{"say":"hello"}');
    assert.deepEqual(JSON.parse(fits.body.toString()), { params: { name: "a/b" }, query: { times: 2 }, body: { say: "hello" } });
    const cases: [string, string, string, number, string][] = [
      ["/echo/a?times=0", '{"say":"a"}', "application/json", 400, "invalid"],
      [`/echo/${"a".repeat(21)}`, '{"say":"a"}', "application/json", 400, "invalid"],
      ["/echo/a", '{"say":1}', "application/json", 400, "invalid"],
      ["/echo/a", '{"say":"a","say":"b"}', "application/json", 400, "duplicate_key"],
      ["/echo/a", "{", "application/json", 400, "not_json"],
      ["/echo/a", "[".repeat(40) + "]".repeat(40), "application/json", 400, "too_deep"],
      ["/echo/a", '{"say":"a"}', "text/plain", 415, "wrong_media_type"],
      ["/echo/a", '{"say":"a"}', "nonsense", 415, "wrong_media_type"],
      ["/echo/%zz", '{"say":"a"}', "application/json", 400, "bad_path"],
      [`/echo/${"a".repeat(2_000)}`, '{"say":"a"}', "application/json", 414, "path_too_long"],
    ];
    for (const [path, body, type, status, code] of cases) {
      const answer = await put(path, body, type);
      assert.deepEqual(
        [answer.status, answer.problem?.code],
        [status, code],
        `${path.slice(0, 40)} ${body.slice(0, 40)} ${type}`,
      );
      assert.equal(decodeProblem(answer.body).status, status);
    }
    const notUtf8 = await ask({
      ...{ method: "PUT", path: "/echo/a", headers: { "content-type": "application/json" } },
      body: Buffer.of(0xff),
    });
    assert.equal(notUtf8.problem?.code, "not_utf8");
  });

  it("says 404 and 405 as problems, the latter with Allow", async () => {
    const missing = await ask({ path: "/nothing" });
    assert.deepEqual([missing.status, missing.problem?.code], [404, "not_found"]);
    for (const [method, path, allow] of [
      ["DELETE", "/federation/public", "GET, HEAD, POST"],
      ["POST", "/echo/a", "PUT"],
      ["OPTIONS", "/healthz", "GET, HEAD"],
    ] as const) {
      const answer = await ask({ method, path });
      assert.deepEqual([answer.status, answer.problem?.code, answer.headers["allow"]], [405, "method_not_allowed", allow]);
    }
  });

  it("says nothing of a bug, and logs it", async () => {
    const { status, body } = await ask({ path: "/bug" });
    assert.equal(status, 500);
    assert.doesNotMatch(body.toString(), /secret/);
    assert.match(server.logged.join("\n"), /secret of row 7/);
    const busy = await ask({ path: "/busy" });
    assert.deepEqual([busy.status, busy.problem?.code, busy.headers["retry-after"]], [503, "overloaded", "2"]);
  });

  it("lets operators in by token or certificate, and nobody try many tokens", async () => {
    const by = (authorization: string): Promise<Received> => ask({ path: "/operators", headers: { authorization } });
    assert.equal((await ask({ path: "/operators" })).status, 401);
    assert.equal((await by(`Bearer ${OPERATOR_TOKEN}`)).status, 200);
    const alice = await server.registry.credentials.issue({ path: "/operator/alice", lifetimeMs: 60_000 });
    assert.equal((await send(server.connect(alice), { path: "/operators" })).status, 200);
    const agent = await server.registry.credentials.issue({ path: "/agent/acme", lifetimeMs: 60_000 });
    assert.equal((await send(server.connect(agent), { path: "/operators" })).status, 403);
    const other = await TestRegistry.create("other");
    server.node.knows(other);
    const foreign = await other.credentials.issue({ path: "/operator/mallory", lifetimeMs: 60_000 });
    assert.equal((await send(server.connect(foreign), { path: "/operators" })).status, 403);
    for (let i = 0; i < FAILED_PROOFS_BURST; i++) assert.equal((await by("Bearer wrong")).status, 401);
    assert.equal((await by("Bearer wrong")).status, 429);
    assert.equal(
      (await by(`Bearer ${OPERATOR_TOKEN}`)).status,
      200,
      "others behind the same address do not lock the operator out",
    );
  });

  it("describes every route in OpenAPI 3.1", async () => {
    const { body } = await ask({ path: "/openapi.json" });
    const document = JSON.parse(body.toString()) as OpenApi;
    assert.equal(document.openapi, "3.1.0");
    const expected = [
      ...["get /federation/public", "post /federation/public", "post /federation/sync/catalog", "get /federation/checkpoint"],
      ...["get /.well-known/did.json", "get /.well-known/agent-registry.json", "get /.well-known/spiffe/bundle.json"],
      ...["get /healthz", "get /readyz", "get /openapi.json", "put /echo/{name}", "get /operators", "get /bug", "get /busy"],
    ];
    const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ name: `${method} ${path}`, path, operation })),
    );
    assert.deepEqual(operations.map(({ name }) => name).sort(), expected.sort());
    assert.equal(new Set(operations.map(({ operation }) => operation.operationId)).size, operations.length);
    for (const { name, path, operation } of operations) {
      assert.ok(operation.summary && operation.responses["default"], name);
      const named = (path.match(/(?<=\{)\w+(?=\})/g) ?? []).sort();
      const described = (operation.parameters ?? []).filter((one) => one.in === "path" && one.required).map((one) => one.name);
      assert.deepEqual(described.sort(), named, name);
      for (const requirement of operation.security) {
        for (const scheme of Object.keys(requirement)) assert.ok(document.components.securitySchemes[scheme], scheme);
      }
    }
    assert.doesNotThrow(() => new Described(document));
    assert.ok(document.components.schemas["Problem"]);
  });

  it("serves curl over HTTP/2 and HTTP/1.1", async function () {
    const hasCurl = await run("curl", ["--version"]).then(
      () => true,
      () => false,
    );
    if (!hasCurl) this.skip();
    for (const [option, version] of [
      ["--http2", "2"],
      ["--http1.1", "1.1"],
    ] as const) {
      const write = "\n%{http_version} %{http_code} %{content_type}";
      const { stdout } = await run("curl", ["-sk", option, "-w", write, `https://${server.authority}/healthz`]);
      assert.equal(stdout, `{"status":"ok"}\n${version} 200 application/json`);
    }
    const { stdout } = await run("curl", [
      "-sk",
      "--http1.1",
      "-d",
      "{}",
      "-w",
      "\n%{http_code}",
      `https://${server.authority}/echo/a`,
    ]);
    assert.match(stdout, /method_not_allowed[^]*\n405$/);
  });
});

describe("the facade: before and under load", () => {
  it("binds at once and answers 503 but for /healthz until it serves", async () => {
    const { credentials } = await TestRegistry.create("early");
    const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
    const options = { listen: { host: "127.0.0.1", port: 0 }, credentials, clock, log: silent };
    const facade = await openFacade(options);
    const { default: undici } = await import("undici");
    const dispatcher = new undici.Agent({ connect: { rejectUnauthorized: false } });
    try {
      const statusOf = async (path: string): Promise<number> => {
        const { statusCode, body } = await undici.request(`https://127.0.0.1:${facade.port}${path}`, { dispatcher });
        await body.dump();
        return statusCode;
      };
      assert.equal(await statusOf("/federation/public"), 503);
      assert.equal(await statusOf("/healthz"), 200);
      const taken = openFacade({ ...options, listen: { host: "127.0.0.1", port: facade.port } });
      await assert.rejects(taken, (error) => error instanceof NetworkError && error.code === "address_in_use");
    } finally {
      await dispatcher.destroy();
      await facade.close();
    }
  });

  it("counts addresses by what one holder has", () => {
    assert.deepEqual(addressKeys("192.0.2.17"), { single: "192.0.2.17", group: "192.0.2.0/24" });
    assert.deepEqual(addressKeys("::ffff:192.0.2.17"), { single: "192.0.2.17", group: "192.0.2.0/24" });
    assert.deepEqual(addressKeys("2001:db8:1:2:3:4:5:6"), { single: "2001:db8:1:2::/64", group: "2001:db8:1::/48" });
    assert.deepEqual(addressKeys("2001:DB8::5"), { single: "2001:db8:0:0::/64", group: "2001:db8:0::/48" });
    assert.deepEqual(addressKeys("fe80::1%eth0"), { single: "fe80:0:0:0::/64", group: "fe80:0:0::/48" });
    assert.deepEqual(addressKeys("::1"), { single: "0:0:0:0::/64", group: "0:0:0::/48" });
  });
});

interface OpenApi {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly securitySchemes: Record<string, unknown>; readonly schemas: Record<string, unknown> };
}

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly security: readonly Record<string, unknown>[];
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly responses: Record<string, unknown>;
}
