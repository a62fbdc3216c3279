import assert from "node:assert/strict";
import { connect } from "node:http2";
import { completeAgent } from "../../protocols/http/agent-input.ts";
import { CATALOG_SYNC_PATH } from "../../protocols/http/catalog-page.ts";
import { namedSchemas } from "../../src/facade/openapi-schemas.ts";
import { agent } from "../node/harness.ts";
import { Described } from "./described.ts";
import { send, ServedRegistry, signed, TestRegistry, type Sending } from "./harness.ts";
import { serveNode } from "./served-node.ts";

/** Operations that anybody may ask at any rate. */
const UNLIMITED: readonly string[] = ["get /healthz", "get /readyz"];

function changed(request: Required<Sending>, headers: Readonly<Record<string, string>>): Sending {
  return { ...request, headers: { ...request.headers, ...headers } };
}

describe("the facade: its description", () => {
  let described: Described;
  let document: Readonly<Record<string, unknown>>;
  let operations: ReadonlyMap<string, Described["operations"][number]["operation"]>;

  before(async () => {
    const served = await serveNode();
    const session = connect(served.url, { rejectUnauthorized: false, servername: "localhost" });
    try {
      const { body } = await send(session, { path: "/openapi.json" });
      document = JSON.parse(body.toString()) as Record<string, unknown>;
    } finally {
      session.destroy();
      await served.stop();
    }
    described = new Described(document);
    operations = new Map(described.operations.map((one) => [`${one.method} ${one.path}`, one.operation]));
  });

  it("is OpenAPI 3.1, and every schema in it a JSON Schema", () => {
    const schemas = described.schemas();
    assert.ok(schemas.size > 50, `${schemas.size} schemas`);
    for (const [where, schema] of schemas) assert.doesNotThrow(() => described.checker(schema), where);
  });

  it("says of every operation how it refuses, and when to come again", () => {
    for (const [name, { responses, requestBody, parameters = [] }] of operations) {
      const expected = UNLIMITED.includes(name) ? [] : ["429", "503"];
      if (requestBody !== undefined) expected.push("400", "408", "413", "415");
      if (parameters.some((one) => one.in === "path")) expected.push("414");
      for (const status of [...expected, "default"]) assert.ok(responses[status], `${name} ${status}`);
      for (const [status, { content, headers }] of Object.entries(responses)) {
        if (/^[45]|default/.test(status))
          assert.deepEqual(Object.keys(content ?? {}), ["application/problem+json"], `${name} ${status}`);
        if (status === "429" || (status === "503" && expected.includes(status)))
          assert.ok(headers?.["Retry-After"], `${name} ${status}`);
      }
    }
  });

  it("says which proofs, headers and refusals go with which operation", () => {
    const names = (name: string): string[] => (operations.get(name)?.parameters ?? []).map((one) => one.name);
    const signed = ["Content-Digest", "X-Registry-ID", "X-Registry-Audience", "X-Registry-Timestamp", "X-Registry-Nonce"];
    assert.deepEqual(names("post /agents"), ["Idempotency-Key", ...signed]);
    assert.deepEqual(names("put /agents/{did}"), ["did", "If-Match", "If-None-Match", "Idempotency-Key", ...signed]);
    assert.deepEqual(names("get /agents/{did}"), ["did", "If-None-Match"]);
    assert.deepEqual(names("post /federation/sync/catalog"), signed);
    const statuses = (name: string): string => Object.keys(operations.get(name)?.responses ?? {}).join(" ");
    assert.equal(statuses("get /agents"), "200 400 404 429 503 default");
    assert.equal(statuses("get /agents/{did}"), "200 304 400 404 414 429 503 default");
    assert.equal(statuses("post /agents"), "201 400 401 403 408 409 413 415 421 422 429 503 507 default");
    assert.equal(statuses("put /agents/{did}"), "200 201 400 401 403 404 408 409 412 413 414 415 421 422 429 503 507 default");
    assert.equal(statuses("delete /agents/{did}"), "204 400 401 403 404 408 409 412 413 414 421 422 429 503 default");
    const security = (name: string): string[] => (operations.get(name)?.security ?? []).map((one) => Object.keys(one).join("+"));
    assert.deepEqual(security("post /agents"), ["", "operatorToken", "mutualTls", "registrySignature"]);
    assert.deepEqual(security("delete /agents/{did}"), ["operatorToken", "mutualTls", "registrySignature"]);
    assert.deepEqual(security("post /federation/sync/catalog"), ["mutualTls+registrySignature"]);
    assert.deepEqual(security("get /agents"), []);
    const { headers: created } = operations.get("post /agents")?.responses["201"] ?? {};
    assert.deepEqual(Object.keys(created ?? {}), ["ETag", "X-Registry-Home", "Location"]);
    const page = operations.get("post /federation/sync/catalog")?.responses["200"]?.headers ?? {};
    for (const header of ["RateLimit", "RateLimit-Policy", "X-Registry-Signature"]) assert.ok(page[header], header);
  });

  it("takes what the registry takes of an agent, with its defaults", () => {
    const takes = (input: object): boolean =>
      described.checker({ $ref: "#/components/schemas/AgentInput" }).safeParse(input).success;
    for (const input of [{ humanReadableId: "acme/t" }, agent("one"), completeAgent({ humanReadableId: "acme/t" })]) {
      assert.ok(takes(input), JSON.stringify(input));
    }
    for (const input of [{}, { humanReadableId: 7 }, { ...agent("one"), more: 1 }, { ...agent("one"), endpoints: [{}] }]) {
      assert.ok(!takes(input), JSON.stringify(input));
    }
    const limit = operations.get("get /agents")?.parameters?.find(({ name }) => name === "limit")?.schema;
    assert.deepEqual(limit, { type: "integer", minimum: 1, maximum: 1_000, default: 100 });
  });

  it("takes the lines that operators send", () => {
    const { content } = operations.get("post /admin/mutations")?.requestBody ?? {};
    assert.deepEqual(Object.keys(content ?? {}), ["application/x-ndjson", "application/json"]);
    const line = {
      mutations: [
        { op: "put", agent: agent("one"), mode: "create" },
        { op: "delete", did: "did:web:a.example" },
      ],
    };
    for (const { schema } of Object.values(content ?? {})) {
      const takes = (given: object): boolean => described.checker(schema).safeParse(given).success;
      assert.ok(takes(line));
      for (const wrong of [{}, { mutations: [] }, { mutations: [{ op: "drop" }] }, { ...line, more: 1 }]) {
        assert.ok(!takes(wrong), JSON.stringify(wrong));
      }
    }
  });

  it("holds for what registries are answered, and for what anybody may read", async () => {
    const peer = await TestRegistry.create("peer");
    const server = await ServedRegistry.start({ requestsPerMinute: 3 });
    try {
      server.node.knows(peer);
      const stranger = await TestRegistry.create("stranger");
      const sync = (body: string, sender = peer): Required<Sending> =>
        signed(sender, server, { path: CATALOG_SYNC_PATH, body: Buffer.from(body) });
      const replayed = sync("{}");
      const exchanges: (readonly [status: number, as: TestRegistry | undefined, sending: Sending])[] = [
        [404, peer, replayed],
        [401, peer, replayed],
        [401, undefined, sync("{}")],
        [401, peer, { method: "POST", path: CATALOG_SYNC_PATH, body: "{}" }],
        [403, stranger, sync("{}", stranger)],
        [421, peer, changed(sync("{}"), { "x-registry-audience": peer.identity.did })],
        [415, peer, changed(sync("{}"), { "content-type": "text/plain" })],
        [429, peer, sync("{}")],
        ...["/federation/public", "/.well-known/did.json", "/.well-known/agent-registry.json", "/healthz", "/readyz"].map(
          (path) => [200, undefined, { path }] as const,
        ),
        [200, undefined, { path: "/.well-known/spiffe/bundle.json" }],
      ];
      for (const [status, as, sending] of exchanges) {
        const answer = await send(server.connect(as), sending);
        assert.equal(answer.status, status, `${sending.path}: ${answer.body.toString()}`);
        described.checkExchange(sending, answer);
      }
    } finally {
      await server.stop();
    }
  });

  it("refuses two schemas of one name", () => {
    const [one, other] = [
      { title: "A b", type: "string" },
      { title: "A b", type: "number" },
    ];
    assert.deepEqual(namedSchemas({ x: one, y: [one] }), {
      document: { x: { $ref: "#/components/schemas/AB" }, y: [{ $ref: "#/components/schemas/AB" }] },
      schemas: { AB: one },
    });
    assert.throws(() => namedSchemas([one, other]), /two schemas are called "A b"/);
  });

  it("is checked by a check that can fail", () => {
    const broken: [RegExp, (copy: Record<string, Record<string, unknown>>) => unknown][] = [
      [/unrecognized/i, ({ info }) => Object.assign(info as object, { summaries: "x" })],
      [/is not there/, ({ components }) => Reflect.deleteProperty(components?.["schemas"] as object, "Problem")],
      [/expected/, ({ paths }) => Object.assign(paths as object, { "/x": { get: { summary: "x" } } })],
    ];
    for (const [message, breakIt] of broken) {
      const copy = structuredClone(document) as Record<string, Record<string, unknown>>;
      breakIt(copy);
      assert.throws(() => new Described(copy), message);
    }
    const answer = { method: "GET", path: "/healthz", headers: new Map<string, string>(), body: Buffer.from('{"status":"ok"}') };
    described.check({ ...answer, status: 200 });
    assert.throws(() => described.check({ ...answer, status: 202 }), /not described/);
    assert.throws(
      () => described.check({ ...answer, status: 200, headers: new Map([["etag", "x"]]) }),
      /etag: x is not described/,
    );
    assert.throws(() => described.check({ ...answer, status: 200, body: Buffer.from('{"status":"bad"}') }), /Invalid/);
  });
});
