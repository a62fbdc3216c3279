import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { didKey } from "../../protocols/lib/did.ts";
import type { AgentFields } from "../../protocols/record/record.ts";
import { agentSignatureBytes } from "../../protocols/record/signature.ts";
import { EXIT } from "../../src/cli/exit.ts";
import { Described } from "../facade/described.ts";
import { MISSING, Tools, type Received } from "./foreign/tools.ts";
import { Site, type Registry } from "./site.ts";

const EXAMPLE = fileURLToPath(new URL("foreign/own-key-agent.sh", import.meta.url));

const skipped = MISSING.length === 0 ? "" : ` (skipped: there is no ${MISSING.join(" and no ")} here)`;

(MISSING.length === 0 ? describe : describe.skip)(`e2e agents over curl${skipped}`, function () {
  this.timeout(60_000);
  let site: Site;
  let tools: Tools;
  let registry: Registry;
  let url: string;
  let authorities: string;
  let token: string;
  let described: Described;
  before(async () => {
    site = new Site();
    tools = new Tools(site);
    registry = await site.start("acme", "--http", "127.0.0.1:0");
    url = registry.ready.http?.url ?? "";
    token = readFileSync(join(registry.dataDir, "operator.token"), "utf8").trim();
    const certificates = await at("id", "--certificates");
    const { authorities: all } = certificates as { authorities: readonly { pem: string }[] };
    authorities = site.write("authorities.pem", all.map(({ pem }) => pem).join(""));
    described = new Described((await tools.curl("--cacert", authorities, `${url}/openapi.json`)).json());
  });
  after(() => site.close());

  const at = async (...argv: readonly string[]): Promise<unknown> => {
    const { exit, stdout, stderr } = await site.run([...argv, "--data-dir", registry.dataDir, "--json"]);
    assert.equal(exit, EXIT.ok, stderr);
    return JSON.parse(stdout);
  };
  /** Holds each answer against the description that the registry gives of itself. */
  const ask = async (method: string, path: string, ...argv: readonly string[]): Promise<Received> => {
    const { status, ...answer } = await tools.curl("--cacert", authorities, "--request", method, ...argv, url + path);
    described.check({ method, path, status, ...answer });
    return { status, ...answer };
  };
  const header = (name: string, value: string): readonly string[] => ["--header", `${name}: ${value}`];
  const asOperator = (): readonly string[] => header("Authorization", `Bearer ${token}`);
  const json = (body: object): readonly string[] => ["--json", JSON.stringify(body)];
  const codeOf = (answer: Received): readonly [number, string] => [
    answer.status,
    answer.json<{ type: string }>().type.replace(/.*:/, ""),
  ];
  const agent = (name: string): Omit<AgentFields, "did"> => ({
    ...{ humanReadableId: `acme/${name}`, name, description: "Knows trains.", capabilities: ["travel/trains"], tags: [] },
    ...{ endpoints: [{ url: "https://acme.example/trains", protocol: "a2a" }], version: "1.0.0", status: "active" },
  });

  it("POST, GET with ETag, PUT with If-Match, DELETE, with the operator's token", async () => {
    assert.deepEqual(codeOf(await ask("POST", "/agents", ...json(agent("traveller")))), [401, "authority_required"]);
    const created = await ask("POST", "/agents", ...asOperator(), ...json(agent("traveller")));
    assert.equal(created.status, 201, created.body.toString());
    const [location = "", tag = ""] = [created.headers.get("location"), created.headers.get("etag")];
    assert.deepEqual(codeOf(await ask("POST", "/agents", ...asOperator(), ...json(agent("traveller")))), [409, "exists"]);

    const got = await ask("GET", location);
    assert.deepEqual([got.status, got.headers.get("etag")], [200, tag]);
    assert.deepEqual(got.body, created.body);
    const again = await ask("GET", location, ...header("If-None-Match", tag));
    assert.deepEqual([again.status, again.headers.get("etag"), again.body.length], [304, tag, 0]);

    const renamed = json({ ...agent("traveller"), name: "Wanderer" });
    const replaced = await ask("PUT", location, ...asOperator(), ...header("If-Match", tag), ...renamed);
    assert.equal(replaced.status, 200, replaced.body.toString());
    const newer = replaced.headers.get("etag") ?? "";
    assert.notEqual(newer, tag);
    const stale = await ask("PUT", location, ...asOperator(), ...header("If-Match", tag), ...json(agent("traveller")));
    assert.deepEqual(codeOf(stale), [412, "precondition_failed"]);
    assert.equal((await ask("GET", location)).json<{ name: string }>().name, "Wanderer");

    // The proof that HTTP gives is checked by nobody but the reader.
    const proof = await ask("GET", `${location}/proof`);
    const verified = await site.run(["agent", "verify", "-", "--json"], proof.body.toString());
    assert.equal(verified.exit, EXIT.ok, verified.stderr);

    const early = await ask("DELETE", location, ...asOperator(), ...header("If-Match", tag));
    assert.deepEqual(codeOf(early), [412, "precondition_failed"]);
    const deleted = await ask("DELETE", location, ...asOperator(), ...header("If-Match", newer));
    assert.deepEqual([deleted.status, deleted.body.length], [204, 0]);
    assert.deepEqual(codeOf(await ask("GET", location)), [404, "not_found"]);
  });

  it("a POST sent twice under one Idempotency-Key registers once; another one under it is refused", async () => {
    const key = header("Idempotency-Key", randomUUID());
    const [first, second] = [
      await ask("POST", "/agents", ...asOperator(), ...key, ...json(agent("once"))),
      await ask("POST", "/agents", ...asOperator(), ...key, ...json(agent("once"))),
    ];
    assert.deepEqual([first.status, second.status], [201, 201], second.body.toString());
    assert.deepEqual(second.body, first.body);
    assert.equal(second.headers.get("etag"), first.headers.get("etag"));
    const other = await ask("POST", "/agents", ...asOperator(), ...key, ...json(agent("twice")));
    assert.deepEqual(codeOf(other), [422, "idempotency_key_reused"]);
    const without = await ask("POST", "/agents", ...asOperator(), ...json(agent("once")));
    assert.deepEqual(codeOf(without), [409, "exists"]);
  });

  it("a certificate of the operator writes every agent, that of an agent its own alone", async () => {
    const issue = async (path: string, out: string): Promise<readonly string[]> => {
      await at("certificate", "issue", "--path", path, "--out", tools.path(out), "--hours", "1");
      return ["--cert", tools.path(`${out}.pem`), "--key", tools.path(`${out}.key`)];
    };
    const [operator, owner] = [await issue("/operator/alice", "alice"), await issue("/agent/acme/owned", "owned")];
    const created = await ask("POST", "/agents", ...operator, ...json(agent("managed")));
    assert.equal(created.status, 201, created.body.toString());
    assert.equal((await ask("GET", "/admin/status", ...operator)).status, 200);
    assert.deepEqual(codeOf(await ask("GET", "/admin/status", ...owner)), [403, "operator_required"]);
    const own = await ask("POST", "/agents", ...owner, ...json(agent("owned")));
    assert.equal(own.status, 201, own.body.toString());
    assert.deepEqual(codeOf(await ask("POST", "/agents", ...owner, ...json(agent("foreign")))), [403, "authority_required"]);
    const location = created.headers.get("location") ?? "";
    assert.deepEqual(codeOf(await ask("DELETE", location, ...owner)), [403, "authority_required"]);
    assert.equal((await ask("DELETE", own.headers.get("location") ?? "", ...owner)).status, 204);
    assert.equal((await ask("DELETE", location, ...operator)).status, 204);
  });

  it("T31 an agent with a key of its own registers itself; what it did not sign is refused", async () => {
    const key = tools.path("agent.key");
    await tools.openssl(["genpkey", "-algorithm", "ed25519", "-out", key]);
    const spki = tools.path("agent.spki");
    await tools.openssl(["pkey", "-in", key, "-pubout", "-outform", "DER", "-out", spki]);
    const did = didKey(readFileSync(spki).subarray(-32));
    const signed = async (revision: number, more: object = {}): Promise<object> => {
      const own = { ...agent("self"), did, ...more, registry: registry.did, revision };
      const [text, signature] = [tools.path("signed"), tools.path("signature")];
      site.write("signed", Buffer.from(agentSignatureBytes(own)).toString());
      await tools.openssl(["pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", text, "-out", signature]);
      return { ...own, agent_signature: readFileSync(signature).toString("base64") };
    };
    const created = await ask("POST", "/agents", ...json(await signed(1)));
    assert.equal(created.status, 201, created.body.toString());
    const location = created.headers.get("location") ?? "";
    assert.equal(decodeURIComponent(location), `/agents/${did}`);
    const forged = { ...(await signed(2)), name: "Somebody else" };
    assert.deepEqual(codeOf(await ask("PUT", location, ...json(forged))), [401, "bad_signature"]);
    const tag = created.headers.get("etag") ?? "";
    const replaced = await ask("PUT", location, ...header("If-Match", tag), ...json(await signed(2, { name: "Myself" })));
    assert.equal(replaced.status, 200, replaced.body.toString());
    assert.equal(replaced.json<{ revision: number }>().revision, 2);
    // The record of before, with its good signature, is not taken again.
    const replayed = await ask("PUT", location, ...json(await signed(1)));
    assert.ok([401, 409].includes(replayed.status), replayed.body.toString());
    assert.equal((await ask("GET", location)).json<{ name: string }>().name, "Myself");
  });

  it("the example of the documents works as it stands: register, change, remove, register again", async () => {
    const cwd = tools.path("own-key");
    mkdirSync(cwd);
    const environment = { URL: url, CACERT: authorities };
    const { exit, stdout, stderr } = await site.spawn("sh", [EXAMPLE], { cwd, environment }).outcome;
    assert.equal(exit, 0, stderr);
    assert.deepEqual(stdout.trim().split("\n"), [
      ...["registered: 201", "changed: 200", "removed: 204"],
      ...["again at revision 1: 401", "again at the next one: 201", "revision: 3"],
    ]);
  });
});
