import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { connect, type ClientHttp2Session } from "node:http2";
import { signRequest } from "../../protocols/http/signed-request.ts";
import type { Svid } from "../../src/ports/credentials.ts";
import { FAILED_PROOFS_BURST } from "../../src/facade/limits.ts";
import { facadeRange } from "../../src/facade/rows.ts";
import { agent } from "../node/harness.ts";
import { Owner, pathOf } from "./agents-support.ts";
import { Described } from "./described.ts";
import { clock, OPERATOR_TOKEN, send, TestCredentials, TestRegistry, type Received, type Sending } from "./harness.ts";
import { serveNode, type ServedNode } from "./served-node.ts";

const JSON_TYPE = { "content-type": "application/json" };
const TOKEN = { authorization: `Bearer ${OPERATOR_TOKEN}` };

describe("facade: agents and the admin API on a server", () => {
  let served: ServedNode;
  let described: Described;
  let sessions: ClientHttp2Session[] = [];
  let stops: number;

  before(async () => {
    stops = 0;
    served = await serveNode(() => void stops++);
    described = new Described(JSON.parse((await send(open(), { path: "/openapi.json" })).body.toString()));
  });
  beforeEach(() => {
    sessions = [];
  });
  afterEach(() => sessions.forEach((session) => session.destroy()));
  after(() => served.stop());

  function open(svid?: Svid): ClientHttp2Session {
    const identity = svid && { cert: svid.certificate, key: svid.key };
    const session = connect(served.url, { rejectUnauthorized: false, servername: "localhost", ...identity });
    session.on("error", () => undefined);
    sessions.push(session);
    return session;
  }

  /** Holds each answer against the description that the server gives of itself. */
  const ask = async (sending: Sending, session: ClientHttp2Session = open()): Promise<Received> => {
    const answer = await send(session, sending);
    if (sending.method !== "HEAD") described.checkExchange(sending, answer);
    return answer;
  };
  async function countNonces(): Promise<number> {
    let rows = 0;
    for (const table of ["registryNonces", "otherNonces"] as const)
      for await (const some of served.store.scan(facadeRange(table))) rows += some.length;
    return rows;
  }

  const code = ({ status, problem }: Received): [number, string | undefined] => [status, problem?.code];

  it("serves an agent from its registration to its removal", async () => {
    const body = JSON.stringify(agent("one"));
    const created = await ask({ method: "POST", path: "/agents", headers: { ...JSON_TYPE, ...TOKEN }, body });
    assert.equal(created.status, 201, created.body.toString());
    const path = created.headers["location"] as string;
    const read = await ask({ path });
    assert.deepEqual([read.status, read.body, read.headers.etag], [200, created.body, created.headers.etag]);
    assert.equal(read.headers["content-type"], "application/json");
    assert.equal(read.headers["access-control-allow-origin"], "*");
    const etag = read.headers.etag as string;
    const same = await ask({ path, headers: { "if-none-match": etag } });
    assert.deepEqual([same.status, same.body.length], [304, 0]);
    assert.deepEqual(
      [same.headers["content-length"], same.headers["content-type"], same.headers.etag],
      [undefined, undefined, etag],
    );
    const head = await ask({ method: "HEAD", path });
    assert.deepEqual([head.status, head.headers.etag, head.body.length], [200, etag, 0]);
    assert.equal((await ask({ path: `${path}/proof` })).status, 200);
    assert.equal((await ask({ path: "/agents/test%2Fone" })).headers.etag, etag);
    const page = await ask({ path: "/agents?capability=translation&text=one&limit=5&minReputation=0" });
    assert.equal((JSON.parse(page.body.toString()) as { agents: unknown[] }).agents.length, 1);
    assert.deepEqual(code(await ask({ path: "/agents?limit=1&limit=2" })), [400, "invalid"]);
    assert.deepEqual(code(await ask({ method: "PUT", path, headers: { ...JSON_TYPE, ...TOKEN, "if-match": '"x"' }, body })), [
      412,
      "precondition_failed",
    ]);
    assert.equal((await ask({ method: "DELETE", path, headers: TOKEN })).status, 204);
    assert.deepEqual(code(await ask({ path })), [404, "not_found"]);
  });

  it("T4 takes no write without a proof, and says which are taken", async () => {
    const body = JSON.stringify(agent("nobody"));
    const bare = await ask({ method: "POST", path: "/agents", headers: JSON_TYPE, body });
    assert.deepEqual([...code(bare), bare.headers["www-authenticate"]], [401, "authority_required", "Bearer"]);
    const wrong = await ask({ method: "POST", path: "/agents", headers: { ...JSON_TYPE, authorization: "Bearer wrong" }, body });
    assert.deepEqual(code(wrong), [401, "wrong_token"]);
  });

  it("takes the certificates of this trust domain, and no others", async () => {
    const { credentials } = served;
    const lifetimeMs = 60_000;
    const alice = await credentials.issue({ path: "/operator/alice", lifetimeMs });
    const own = await credentials.issue({ path: "/agent/test/certified", lifetimeMs });
    const stranger = await (await TestCredentials.create(credentials.identity)).issue({ path: "/operator/alice", lifetimeMs });
    const put = (svid: Svid, name: string): Promise<Received> =>
      ask({ method: "POST", path: "/agents", headers: JSON_TYPE, body: JSON.stringify(agent(name)) }, open(svid));
    assert.deepEqual(code(await put(own, "other")), [403, "authority_required"]);
    assert.equal((await put(own, "certified")).status, 201);
    assert.equal((await put(alice, "other")).status, 201);
    assert.deepEqual(code(await put(stranger, "third")), [403, "certificate_refused"]);
    assert.equal((await ask({ path: "/admin/status" }, open(alice))).status, 200);
    assert.deepEqual(code(await ask({ path: "/admin/status" }, open(own))), [403, "operator_required"]);
    // What the registry shows to every address that it connects to makes nobody its operator, neither here nor there.
    const registry = credentials.svid();
    assert.deepEqual(code(await put(registry, "fourth")), [403, "authority_required"]);
    assert.deepEqual(code(await ask({ path: "/admin/status" }, open(registry))), [403, "operator_required"]);
  });

  it("T3 lets an agent's own key write beside a certificate that does not hold, which is refused where nothing else suffices", async () => {
    const { did } = served.node.identity();
    const strangers = await TestRegistry.create("elsewhere");
    const expired = await TestRegistry.create("expired", -30_000);
    const forged = await TestCredentials.create(served.credentials.identity);
    const svids = [strangers.credentials.svid(), expired.credentials.svid(), forged.svid()];
    for (const [i, svid] of svids.entries()) {
      const owner = new Owner(`mesh-${i}`);
      const session = open(svid);
      const body = JSON.stringify(owner.signed(did, 1));
      const created = await ask({ method: "POST", path: "/agents", headers: JSON_TYPE, body }, session);
      assert.equal(created.status, 201, created.body.toString());
      const path = pathOf(owner.did);
      assert.deepEqual(code(await ask({ method: "DELETE", path }, session)), [403, "certificate_refused"]);
      const authority = new URL(served.url).host;
      const signing = { method: "DELETE", authority, target: path, body: new Uint8Array(0), id: owner.did, audience: did };
      const headers = signRequest({ ...signing, timestampMs: clock.now(), nonce: randomBytes(16) }, (bytes) =>
        owner.key.sign(bytes),
      );
      const removed = await ask({ method: "DELETE", path, headers: { ":authority": authority, ...headers } }, session);
      assert.equal(removed.status, 204, removed.body.toString());
    }
  });

  it("T25 wrong tokens from an address are throttled and do not keep the operator out", async () => {
    const withToken = (token: string): Promise<Received> =>
      ask({ path: "/admin/status", headers: { authorization: `Bearer ${token}` } });
    const wrong = [];
    for (let i = 0; i <= FAILED_PROOFS_BURST; i++) wrong.push((await withToken(`wrong-${i}`)).status);
    assert.ok(wrong.includes(401));
    assert.equal(wrong.at(-1), 429);
    assert.equal((await withToken(OPERATOR_TOKEN)).status, 200);
    assert.equal((await withToken("wrong")).status, 429);
  });

  it("T11 T16 takes a request that the agent's key signed, once, and with its own body", async () => {
    const owner = new Owner("signed");
    const { did } = served.node.identity();
    const created = await ask({
      method: "POST",
      path: "/agents",
      headers: JSON_TYPE,
      body: JSON.stringify(owner.signed(did, 1)),
    });
    assert.equal(created.status, 201, created.body.toString());
    const path = pathOf(owner.did);
    const authority = new URL(served.url).host;
    const sign = (by: Owner, method: string, body: Uint8Array): Record<string, string> => ({
      ":authority": authority,
      ...signRequest(
        { method, authority, target: path, body, id: by.did, audience: did, timestampMs: clock.now(), nonce: randomBytes(16) },
        (bytes) => by.key.sign(bytes),
      ),
    });
    const nothing = new Uint8Array(0);
    const nonces = await countNonces();
    const foreign = sign(new Owner("signed"), "DELETE", nothing);
    for (let times = 0; times < 2; times++)
      assert.deepEqual(code(await ask({ method: "DELETE", path, headers: foreign })), [403, "authority_required"]);
    assert.equal(await countNonces(), nonces, "T19 a key that may not write costs no nonce");
    const forged = { ...sign(new Owner("signed"), "DELETE", nothing), "x-registry-id": owner.did };
    assert.deepEqual(code(await ask({ method: "DELETE", path, headers: forged })), [401, "bad_signature"]);
    const body = Buffer.from(JSON.stringify({ ...agent("signed"), did: owner.did }));
    const swapped = await ask({ method: "PUT", path, headers: { ...JSON_TYPE, ...sign(owner, "PUT", nothing) }, body });
    assert.deepEqual(code(swapped), [400, "bad_digest"]);
    const remove = sign(owner, "DELETE", nothing);
    assert.equal((await ask({ method: "DELETE", path, headers: remove })).status, 204);
    assert.ok((await countNonces()) > nonces);
    const again = await ask({ method: "POST", path: "/agents", headers: JSON_TYPE, body: JSON.stringify(owner.signed(did, 2)) });
    assert.equal(again.status, 201, again.body.toString());
    const replayed = await ask({ method: "DELETE", path, headers: remove });
    assert.notEqual(replayed.status, 204, "a replayed request");
    assert.equal((await ask({ path })).status, 200);
  });

  it("T51 bounds the body of a record", async () => {
    const body = JSON.stringify({ ...agent("large"), description: "x".repeat(300_000) });
    assert.deepEqual(code(await ask({ method: "POST", path: "/agents", headers: { ...JSON_TYPE, ...TOKEN }, body })), [
      413,
      "too_large",
    ]);
    const doubled = `{"humanReadableId":"a/b","humanReadableId":"c/d"}`;
    assert.deepEqual(code(await ask({ method: "POST", path: "/agents", headers: { ...JSON_TYPE, ...TOKEN }, body: doubled })), [
      400,
      "duplicate_key",
    ]);
  });

  it("serves the admin API to operators alone", async () => {
    for (const headers of [{}, { authorization: "Basic abc" }]) {
      assert.deepEqual(code(await ask({ path: "/admin/identity", headers })), [401, "operator_required"]);
    }
    const identity = await ask({ path: "/admin/identity", headers: TOKEN });
    assert.deepEqual(JSON.parse(identity.body.toString()), served.node.identity());
    const line = JSON.stringify({ mutations: [{ op: "put", agent: agent("by-admin") }] });
    const lines = await ask({
      method: "POST",
      path: "/admin/mutations",
      headers: { ...TOKEN, "content-type": "application/x-ndjson" },
      body: `${line}\n${line}\n`,
    });
    assert.deepEqual([lines.status, lines.headers["content-type"]], [200, "application/x-ndjson"]);
    const outcomes = lines.body
      .toString()
      .trim()
      .split("\n")
      .map((text) => (JSON.parse(text) as { results: { outcome: string }[] }).results[0]?.outcome);
    assert.deepEqual(outcomes, ["created", "unchanged"]);
    const exported = await ask({ path: "/admin/export", headers: TOKEN });
    assert.ok(exported.body.toString().includes("by-admin"));
    assert.equal(
      (await ask({ method: "POST", path: "/admin/stop", headers: { ...TOKEN, ...JSON_TYPE }, body: "{}" })).status,
      200,
    );
    assert.equal(stops, 1);
  });
});
