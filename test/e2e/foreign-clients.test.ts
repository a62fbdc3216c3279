import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Identity } from "../../src/api.ts";
import { sampleAgents } from "../../src/cli/dev/sample.ts";
import { EXIT } from "../../src/cli/exit.ts";
import { decodePage, decodePageRequest } from "../../protocols/http/catalog-documents.ts";
import { verifyCatalogPage } from "../../protocols/http/verify-page.ts";
import { encodeCanonical, type Json } from "../../protocols/lib/canonical.ts";
import { publicKeyOfDid } from "../../protocols/lib/did.ts";
import { BINARY } from "./build.ts";
import { OpensslRegistry } from "./foreign/openssl-registry.ts";
import { MISSING, Tools, type CurlError, type Received } from "./foreign/tools.ts";
import { Site, until, type Registry } from "./site.ts";

const AGENTS = 60;
const PAGE = 25;
const SYNC = "/federation/sync/catalog";
/** curl: the peer's certificate cannot be verified. */
const CURL_UNVERIFIED = 60;
const SCRIPT = fileURLToPath(new URL("foreign/signed-curl.sh", import.meta.url));

/** The request of the documents. */
interface SyncRequest {
  readonly last_sync: string | null;
  readonly merkle_root: string | null;
  readonly requested_changes: { readonly max_batch_size: number; readonly include_proofs: boolean };
}

interface SyncAnswer {
  readonly changes: readonly { operation: string; agent: { did: string; name?: string }; merkle_proof: readonly string[] }[];
  readonly new_merkle_root: string;
  readonly sync_timestamp: string;
  readonly proof_root: string;
  readonly next_cursor?: string | null;
}

const skipped = MISSING.length === 0 ? "" : ` (skipped: there is no ${MISSING.join(" and no ")} here)`;

(MISSING.length === 0 ? describe : describe.skip)(`e2e foreign clients: curl and openssl${skipped}`, function () {
  this.timeout(60_000);
  let site: Site;
  let tools: Tools;
  let registry: Registry;
  let authorities: string;
  before(async () => {
    site = new Site();
    tools = new Tools(site);
    registry = await site.start("acme", "--http", "127.0.0.1:0");
    const lines = sampleAgents(AGENTS).map((agent) => `${JSON.stringify(agent)}\n`);
    await command("agent", "import", site.write("sample.jsonl", lines.join("")));
    authorities = await authoritiesOf(registry);
  });
  after(() => site.close());

  const command = async (...argv: readonly string[]): Promise<unknown> => {
    const outcome = await site.run([...argv, "--data-dir", registry.dataDir, "--json"]);
    assert.equal(outcome.exit, EXIT.ok, outcome.stderr);
    return outcome.json();
  };
  const authoritiesOf = async ({ name, dataDir }: Registry): Promise<string> => {
    const { stdout } = await site.run(["id", "--certificates", "--json", "--data-dir", dataDir]);
    const { authorities: all } = JSON.parse(stdout) as { authorities: readonly { pem: string }[] };
    return site.write(`${name}.authorities.pem`, all.map(({ pem }) => pem).join(""));
  };
  const urlOf = ({ ready }: Registry, host: string = "127.0.0.1"): string => {
    assert.ok(ready.http);
    return `https://${host}:${new URL(ready.http.url).port}`;
  };
  const get = (path: string, ...argv: readonly string[]): Promise<Received> =>
    tools.curl("--cacert", authorities, ...argv, urlOf(registry) + path);

  describe("reading", () => {
    const PUBLIC = {
      "/federation/public": ["descriptor", "checkpoint", "commit", "log_proof"],
      "/.well-known/did.json": ["id", "verificationMethod", "service"],
      "/.well-known/agent-registry.json": ["did", "spiffe_id", "urls", "endpoints"],
      "/.well-known/spiffe/bundle.json": ["keys", "spiffe_sequence", "spiffe_refresh_hint"],
      "/healthz": ["status"],
      "/readyz": ["status"],
      "/openapi.json": ["openapi", "paths"],
      "/agents": ["agents", "cursor"],
    };

    it("curl verifies the SVID by name and by address, and reads every public document over HTTP/2 and HTTP/1.1", async () => {
      for (const [flag, version] of [
        ["--http2", "2"],
        ["--http1.1", "1.1"],
      ] as const) {
        for (const [path, members] of Object.entries(PUBLIC)) {
          const host = version === "2" ? "127.0.0.1" : "localhost";
          const { status, httpVersion, json } = await tools.curl("--cacert", authorities, flag, urlOf(registry, host) + path);
          assert.deepEqual([status, httpVersion], [200, version], path);
          assert.deepEqual(
            Object.keys(json<object>())
              .filter((name) => members.includes(name))
              .toSorted(),
            members.toSorted(),
            path,
          );
        }
      }
    });

    it("T1 curl refuses the SVID without its authority, and with that of another registry", async () => {
      const other = await site.start("other", "--http", "127.0.0.1:0");
      const foreign = await authoritiesOf(other);
      await other.signal("SIGINT");
      for (const trust of [[], ["--cacert", foreign]])
        await assert.rejects(
          tools.curl(...trust, `${urlOf(registry)}/healthz`),
          ({ exit }: CurlError) => exit === CURL_UNVERIFIED,
          trust.join(" "),
        );
    });

    it("an operator says how many requests one address may make", async () => {
      const strict = await site.start("strict", "--http", "127.0.0.1:0", "--requests-per-address-per-minute-max", "6");
      const trust = ["--cacert", await authoritiesOf(strict)];
      const [first, second] = [
        await tools.curl(...trust, `${urlOf(strict)}/agents`),
        await tools.curl(...trust, `${urlOf(strict)}/agents`),
      ];
      await strict.signal("SIGINT");
      assert.deepEqual([first.status, second.status], [200, 429]);
      const waitSeconds = Number(second.headers.get("retry-after"));
      assert.ok(waitSeconds > 0 && waitSeconds <= 10, `Retry-After ${waitSeconds}`);
    });

    it("every path of openapi.json answers as it says it does", async () => {
      const { paths } = (await get("/openapi.json")).json<{ paths: Record<string, Record<string, { responses: object }>> }>();
      const did = (await get("/agents?limit=1")).json<{ agents: { did: string }[] }>().agents[0]?.did ?? "";
      assert.ok(Object.keys(paths).length >= Object.keys(PUBLIC).length);
      for (const [path, operations] of Object.entries(paths)) {
        for (const [method, { responses }] of Object.entries(operations)) {
          const isReading = method === "get";
          const body = isReading || method === "delete" ? [] : ["--json", "{}"];
          const target = path.replace("{did}", encodeURIComponent(did));
          const answer = await get(target, "--request", method.toUpperCase(), ...body);
          const what = `${method} ${path}: ${answer.status} ${answer.body.toString().slice(0, 200)}`;
          assert.ok(![404, 405, 500].includes(answer.status), what);
          // What it does not list is a problem document.
          if (String(answer.status) in responses && answer.status < 400) continue;
          assert.match(answer.headers.get("content-type") ?? "", /^application\/problem\+json/, what);
          assert.deepEqual([answer.json<{ status: number }>().status], [answer.status], what);
        }
      }
    });
  });

  describe("certificates", () => {
    it("openssl verify -x509_strict takes the SVID; s_client meets TLS 1.3 and h2", async () => {
      const { svid } = (await command("id", "--certificates")) as { svid: { pem: string } };
      const file = site.write("svid.pem", svid.pem);
      assert.match(await tools.openssl(["verify", "-x509_strict", "-CAfile", authorities, file]), /OK/);
      const connect = urlOf(registry).replace("https://", "");
      const flags = [
        "-connect",
        connect,
        "-CAfile",
        authorities,
        "-verify_return_error",
        "-verify_ip",
        "127.0.0.1",
        "-alpn",
        "h2",
      ];
      const session = await tools.openssl(["s_client", ...flags], "");
      assert.match(session, /Verify return code: 0 \(ok\)/);
      assert.match(session, /TLSv1\.3/);
      assert.match(session, /ALPN protocol: h2/);
    });

    it("openssl x509 -text shows what the X509-SVID standard asks of a leaf and of an authority", async () => {
      const { svid } = (await command("id", "--certificates")) as { svid: { pem: string } };
      const { spiffeId, trustDomain } = (await command("id")) as Identity;
      const leaf = await tools.openssl(["x509", "-text", "-noout"], svid.pem);
      // SPIFFE X509-SVID §2, §4.3, §4.4: one URI, no authority, digitalSignature alone, both ends of TLS.
      assert.deepEqual(
        [...leaf.matchAll(/URI:([^,\s]+)/g)].map(([, uri]) => uri),
        [spiffeId],
      );
      assert.match(leaf, /DNS:localhost/);
      assert.match(leaf, /IP Address:127\.0\.0\.1/);
      assert.match(leaf, /X509v3 Key Usage: critical\s+Digital Signature\n/);
      assert.match(leaf, /TLS Web Server Authentication, TLS Web Client Authentication/);
      assert.doesNotMatch(leaf, /CA:TRUE/);
      assert.match(leaf, /NIST CURVE: P-256/);
      const authority = await tools.openssl(["x509", "-text", "-noout", "-in", authorities]);
      assert.match(authority, /X509v3 Basic Constraints: critical\s+CA:TRUE/);
      assert.match(authority, /X509v3 Key Usage: critical\s+Certificate Sign, CRL Sign\n/);
      assert.deepEqual(
        [...authority.matchAll(/URI:([^,\s]+)/g)].map(([, uri]) => uri),
        [`spiffe://${trustDomain}`],
      );
    });
  });

  describe("a registry made of files", () => {
    let foreign: OpensslRegistry;
    let publicKey: string;
    before(async () => {
      foreign = await OpensslRegistry.create(tools, "foreign");
      const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), publicKeyOfDid(registry.did)]);
      publicKey = tools.path("acme.public");
      const der = tools.path("acme.spki");
      writeFileSync(der, spki);
      await tools.openssl(["pkey", "-pubin", "-inform", "DER", "-in", der, "-out", publicKey]);
      const announced = await ask("POST", "/federation/public", Buffer.from(foreign.introduction()).toString());
      assert.equal(announced.status, 200, announced.body.toString());
    });

    /** Signed, sent, and its answer's signature checked, all by openssl and curl. */
    const ask = async (method: string, target: string, body: string): Promise<Received> => {
      const signed = foreign.sign(method, urlOf(registry), target, registry.did, body);
      const answer = await tools.curl("--cacert", authorities, ...signed.arguments);
      assert.equal(answer.headers.get("x-registry-id"), registry.did, answer.body.toString());
      assert.ok(foreign.isAnswer(answer, signed, publicKey), `the answer ${answer.status} is not signed for its request`);
      return answer;
    };
    const sync = async (request: SyncRequest & { readonly cursor?: string }): Promise<SyncAnswer> => {
      const text = JSON.stringify(request);
      const answer = await ask("POST", SYNC, text);
      assert.equal(answer.status, 200, answer.body.toString());
      const page = answer.json<SyncAnswer>();
      for (const change of page.changes) assert.equal(rootOf(change), page.proof_root, change.agent.did);
      const { cursor } = request;
      if (cursor === undefined) {
        const expected = { did: registry.did, request: decodePageRequest(Buffer.from(text)) };
        assert.equal(verifyCatalogPage(decodePage(answer.body), expected).proven, true);
      }
      return page;
    };
    const requestedChanges = { max_batch_size: PAGE, include_proofs: true };

    it("the documents' request, with other values: pages from the beginning, then an update and a delete, each proved", async () => {
      const base: SyncRequest = { last_sync: null, merkle_root: null, requested_changes: requestedChanges };
      const held = new Set<string>();
      let page = await sync(base);
      for (;;) {
        for (const { agent } of page.changes) held.add(agent.did);
        if (typeof page.next_cursor !== "string") break;
        page = await sync({ ...base, cursor: page.next_cursor });
      }
      const { catalog } = await registry.client.status();
      assert.deepEqual([held.size, page.new_merkle_root], [AGENTS, `0x${catalog.mapRoot}`]);

      const [updated, deleted] = [...held] as [string, string];
      const { agent } = (await command("agent", "get", updated)) as { agent: Record<string, unknown> };
      await command("agent", "update", site.write("agent.json", JSON.stringify({ ...agent, name: "Renamed" })));
      await command("agent", "deregister", deleted);
      const { new_merkle_root: root, sync_timestamp: time } = page;
      const expected = new Map([
        [updated, "UPDATE"],
        [deleted, "DELETE"],
      ]);
      for (const request of [
        { last_sync: time, merkle_root: root, requested_changes: requestedChanges },
        // Without a root the time decides.
        { last_sync: time, merkle_root: null, requested_changes: requestedChanges },
      ]) {
        const { changes, new_merkle_root: next } = await sync(request);
        assert.deepEqual(new Map(changes.map(({ operation, agent: { did } }) => [did, operation])), expected);
        assert.equal(next, `0x${(await registry.client.status()).catalog.mapRoot}`);
      }
      assert.equal((await ask("GET", "/federation/checkpoint", "")).status, 200);
    });

    it("T11 T12 T15 T16 a request that was sent before, made for another, or changed on the way is refused", async () => {
      const body = JSON.stringify({ last_sync: null, merkle_root: null, requested_changes: requestedChanges });
      const send = async (argv: readonly string[]): Promise<[number, string]> => {
        const answer = await tools.curl("--cacert", authorities, ...argv);
        return [answer.status, (answer.json<{ type?: string }>().type ?? "").replace(/.*:/, "")];
      };
      const sign = (audience: string = registry.did): readonly string[] =>
        foreign.sign("POST", urlOf(registry), SYNC, audience, body).arguments;
      const once = sign();
      assert.deepEqual(await send(once), [200, ""]);
      assert.deepEqual(await send(once), [401, "replayed"]);
      assert.deepEqual(await send(sign(foreign.did)), [421, "wrong_audience"]);
      const withOther = (from: string, to: string): readonly string[] => sign().map((argument) => argument.replace(from, to));
      assert.deepEqual(await send(withOther(`"max_batch_size":${PAGE}`, `"max_batch_size":${PAGE + 1}`)), [400, "bad_digest"]);
      assert.deepEqual(await send(withOther(SYNC, `${SYNC}?x`)), [401, "bad_signature"]);
      const [certificate, key] = [sign().indexOf("--cert"), sign().indexOf("--key")];
      const bare = sign().filter((_, index) => ![certificate, certificate + 1, key, key + 1].includes(index));
      assert.deepEqual(await send(bare), [401, "certificate_required"]);
    });
  });

  it("the script of the README asks in the name of a registry that has joined", async () => {
    const beta = await site.start("beta", "--http", "127.0.0.1:0", "--peer", registry.address);
    await until("meeting beta", registry, ({ peers }) => peers.some(({ did }) => did === beta.did));
    const environment = {
      ...{ ACME: registry.dataDir, BETA: beta.dataDir, URL: urlOf(registry, "localhost") },
      REGISTRY: `${process.execPath} ${BINARY}`,
    };
    const { exit, stdout, stderr } = await site.spawn("sh", [SCRIPT], { environment }).outcome;
    assert.equal(exit, 0, stderr + stdout);
    const { changes, proof_root: root } = JSON.parse(stdout) as SyncAnswer;
    assert.ok(changes.length > 0);
    for (const change of changes) assert.equal(rootOf(change), root);
    assert.ok(readFileSync(SCRIPT, "utf8").split("\n").length <= 26, "it is shown in the README");
  });
});

/**
 * The root under which a `merkle_proof` holds, from the words of protocols/http/rest.md alone: another implementation than the
 * registry's own.
 */
function rootOf({ operation, agent, merkle_proof: items }: SyncAnswer["changes"][number]): string {
  const sha256 = (...parts: readonly Uint8Array[]): Buffer => hash("sha256", Buffer.concat(parts), "buffer");
  const domain = (name: string): Buffer => Buffer.from(`theprotocol/${name}/v1\0`);
  const withTopBit = (digest: Buffer, bit: boolean): Buffer => {
    digest[0] = bit ? (digest[0] as number) | 0x80 : (digest[0] as number) & 0x7f;
    return digest;
  };
  const leaf = (keyAndValue: Uint8Array): Buffer => withTopBit(sha256(keyAndValue), true);
  const key = sha256(domain("key"), Buffer.from(agent.did));
  const bytes = items.map((item) => Buffer.from(item.slice(2), "hex"));
  const value = sha256(domain("record"), encodeCanonical(agent as unknown as Json));
  const other = bytes[0]?.length === 64 ? bytes.shift() : undefined;
  const absent = other === undefined ? Buffer.alloc(32) : leaf(other);
  const start = operation === "DELETE" ? absent : leaf(Buffer.concat([key, value]));
  const root = bytes.reduce((node, sibling, index) => {
    const depth = bytes.length - 1 - index;
    const bit = ((key[depth >> 3] as number) >> (7 - (depth & 7))) & 1;
    return withTopBit(bit === 0 ? sha256(node, sibling) : sha256(sibling, node), false);
  }, start);
  return `0x${root.toString("hex")}`;
}
