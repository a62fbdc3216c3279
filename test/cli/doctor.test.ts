import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { encodeDidDocument } from "../../protocols/http/did-document.ts";
import { MARKER_FILE, STORE_DIRECTORY } from "../../src/adapters/level/data-directory.ts";
import { loadOrCreateKeyFile } from "../../src/adapters/system/key-file.ts";
import type { Check } from "../../src/api.ts";
import { isPointingBack } from "../../src/cli/doctor/certificates.ts";
import { compareClocks, SKEW_MS_MAX } from "../../src/cli/doctor/peers.ts";
import { EXIT } from "../../src/cli/exit.ts";
import type { Credentials } from "../../src/ports/credentials.ts";
import { ownCredentials } from "../admin/credentials.ts";
import { OWN_DID } from "../admin/map-node.ts";
import { Bench } from "./harness.ts";
import { introduction } from "./introduced.ts";

interface Answers {
  [path: string]: { status?: number; body?: string; date?: string };
}

describe("cli doctor", () => {
  let bench: Bench;
  let credentials: Credentials;
  let server: Server;
  let answers: Answers = {};
  let url = "";
  before(async () => {
    credentials = await ownCredentials();
    const { certificate: cert, key } = credentials.svid();
    server = createServer({ cert, key }, (request, response) => {
      const { status = 200, body = "{}", date } = answers[request.url ?? ""] ?? { status: 404 };
      response.writeHead(status, date === undefined ? {} : { date }).end(body);
    }).listen({ host: "127.0.0.1", port: 0 });
    await once(server, "listening");
    url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => {
    server.close();
    credentials.close();
  });
  beforeEach(() => {
    bench = new Bench();
    answers = { "/federation/public": { body: introduction() } };
  });
  afterEach(() => bench.close());

  const FREE = ["--listen", "/ip4/127.0.0.1/tcp/0", "--http", "127.0.0.1:0"];
  const doctor = async (...argv: string[]): Promise<{ exit: number; checks: Map<string, Check>; text: string }> => {
    const run = await bench.run(["doctor", ...FREE, ...argv, "--json"]);
    const { checks, ok } = run.json<{ ok: boolean; checks: Check[] }>();
    assert.equal(ok, run.exit === EXIT.ok);
    for (const check of checks) {
      assert.ok(check.tookMs >= 0, `${check.name} has no time`);
      assert.equal(check.fix !== null, check.state === "warning" || check.state === "failed", `${check.name}: ${check.fix}`);
    }
    return { exit: run.exit, checks: new Map(checks.map((check) => [check.name, check])), text: run.stdout };
  };
  const serve = async (): Promise<void> => {
    await bench.run(["init"]);
    bench.node.credentials = credentials;
    bench.node.http = { url, urls: [url] };
    answers["/.well-known/spiffe/bundle.json"] = { body: credentials.bundle() };
    await bench.serve();
  };

  it("5: helps with no registry running, and says that there is none", async () => {
    const { exit, checks } = await doctor();
    assert.equal(exit, EXIT.partial);
    const states = [...checks].filter(([, { state }]) => state !== "ok").map(([name, { state }]) => [name, state]);
    assert.deepEqual(states, [
      ["key", "skipped"],
      ["store-files", "skipped"],
      ["tls", "skipped"],
      ["operator-token", "skipped"],
      ["registry", "warning"],
      ["authorities", "skipped"],
      ["clock-https", "skipped"],
    ]);
    assert.equal(checks.get("registry")?.fix, "run: registry start");
  });

  it("0: finds nothing wrong with a registry that is well", async () => {
    await serve();
    bench.node.diagnosis = {
      time: new Date().toISOString(),
      checks: [{ name: "store", state: "ok", found: "a durable write was read back", fix: null, tookMs: 1 }],
    };
    const { exit, checks, text } = await doctor("--http", new URL(url).host, "--peer", url);
    assert.equal(exit, EXIT.ok, text);
    assert.match(checks.get("certificate")?.found ?? "", /spiffe:.*valid for 59 min.*1 valid authority of 1/);
    assert.match(checks.get("bundle")?.found ?? "", /publishes ours/);
    assert.match(
      checks.get(`port ${new URL(url).host}`)?.found ?? "",
      new RegExp(`bound by this registry .${process.pid}|process`),
    );
    assert.match(checks.get(`address ${url}`)?.found ?? "", /answers 200 over HTTPS in \d+ ms as birch, did:key:/);
    assert.equal(checks.get("clock-https")?.state, "ok");
    assert.equal(checks.get("store")?.tookMs, 1);
    const said = (await bench.run(["doctor", ...FREE])).stdout;
    assert.match(said, /✓ +[\d.]+ ms {2}node +Node v/);
    assert.match(said, /Nothing is wrong\.$/m);
  });

  it("1: finds secrets that others may read, with the command that helps", async () => {
    await bench.run(["init"]);
    const key = join(bench.dataDir, "registry.key");
    chmodSync(key, 0o640);
    mkdirSync(join(bench.dataDir, "tls"), { mode: 0o700 });
    writeFileSync(join(bench.dataDir, "tls", "authority-1.pem"), "x", { mode: 0o644 });
    writeFileSync(join(bench.dataDir, "operator.token"), "x", { mode: 0o644 });
    chmodSync(bench.dataDir, 0o755);
    const { exit, checks } = await doctor();
    assert.equal(exit, EXIT.failure);
    assert.equal(checks.get("key")?.fix, `run: chmod 600 ${key}`);
    assert.match(checks.get("tls")?.fix ?? "", /chmod 600 \S+authority-1\.pem/);
    assert.equal(checks.get("operator-token")?.state, "failed");
    assert.match(checks.get("data-directory")?.fix ?? "", /chmod 700/);
  });

  it("finds a key that a start would refuse, in the same words", async () => {
    await bench.run(["init"]);
    const key = join(bench.dataDir, "registry.key");
    writeFileSync(key, "garbage");
    const damaged = await loadOrCreateKeyFile(key).catch((error: Error) => error.message);
    const { exit, checks } = await doctor();
    assert.equal(exit, EXIT.failure);
    assert.deepEqual([checks.get("key")?.state, checks.get("key")?.found], ["failed", damaged]);
    rmSync(key);
    mkdirSync(key, { mode: 0o700 });
    assert.match((await doctor()).checks.get("key")?.found ?? "", /cannot be read: EISDIR/);
  });

  it("finds data whose key is gone, and makes none", async () => {
    await bench.run(["init"]);
    const key = join(bench.dataDir, "registry.key");
    rmSync(key);
    assert.ok(existsSync(join(bench.dataDir, STORE_DIRECTORY, MARKER_FILE)));
    assert.equal((await doctor()).checks.get("key")?.state, "skipped", "nothing was signed yet");
    writeFileSync(join(bench.dataDir, STORE_DIRECTORY, "CURRENT"), "");
    const { exit, checks } = await doctor();
    assert.equal(exit, EXIT.failure);
    assert.deepEqual([checks.get("key")?.state, checks.get("key")?.fix], ["failed", "restore registry.key from your copy"]);
    assert.ok(!existsSync(key));
  });

  it("finds a data directory that is a file, and one that cannot be made", async () => {
    writeFileSync(join(bench.directory, "file"), "");
    assert.match((await doctor("--data-dir", "file")).checks.get("data-directory")?.found ?? "", /is no directory/);
    assert.equal((await doctor("--data-dir", "file/data")).checks.get("data-directory")?.state, "failed");
  });

  it("names who holds a port", async () => {
    const taken = createTcpServer().listen({ host: "127.0.0.1", port: 0 });
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    const { exit, checks } = await doctor("--http", `127.0.0.1:${port}`);
    taken.close();
    assert.equal(exit, EXIT.failure);
    const check = checks.get(`port 127.0.0.1:${port}`);
    assert.match(check?.found ?? "", process.platform === "linux" ? new RegExp(`process ${process.pid}`) : /taken/);
    assert.match(check?.fix ?? "", /name another with --http/);
  });

  it("looks at the ports that a running registry uses where its settings name one that another process holds", async () => {
    await serve();
    const command = ["-e", "net.createServer().listen(0, '127.0.0.1', function () { console.log(this.address().port) })"];
    // What a registry that serves another data directory looks like to the system.
    const other = spawn(process.execPath, [...command, "--", "start", "--data-dir", "elsewhere"], { cwd: bench.directory });
    try {
      const [line] = (await once(other.stdout, "data")) as [Buffer];
      const text = `127.0.0.1:${Number(line.toString())}`;
      const check = (await doctor("--http", text)).checks.get(`port ${text}`);
      assert.equal(check?.state, "warning");
      assert.match(check?.found ?? "", new RegExp(`^this registry \\(process ${process.pid}\\) runs well on ${url}; `));
      assert.match(check?.fix ?? "", /^nothing has to be freed/);
      if (process.platform === "linux")
        assert.ok(check?.found.endsWith(`(process ${other.pid}) of the data directory ${join(bench.directory, "elsewhere")}`));
    } finally {
      const gone = once(other, "exit");
      other.kill();
      await gone;
    }
  });

  it("finds a running registry without the HTTPS interface that the settings ask for", async () => {
    await serve();
    bench.node.http = null;
    const check = (await doctor()).checks.get("port 127.0.0.1:0");
    assert.deepEqual([check?.state, check?.fix], ["warning", "restart it with --http 127.0.0.1:0"]);
    assert.equal((await doctor("--http", "none")).checks.get("port https")?.state, "skipped");
  });

  it("0: takes no default for what a running registry was asked to do", async () => {
    await serve();
    const ports = async (...argv: string[]): Promise<Check[]> => {
      const { checks } = (await bench.run(["doctor", ...argv, "--json"])).json<{ checks: Check[] }>();
      return checks.filter(({ name }) => name.startsWith("port "));
    };
    const states = (checks: Check[]): string[] => checks.map(({ state }) => state);
    const defaults = await ports();
    assert.deepEqual(states(defaults), ["ok", "ok"]);
    for (const { found } of defaults) assert.match(found, /by this registry|this registry \(process \d+\) listens on/);
    assert.ok(
      defaults.some(({ found }) => found.includes(url)),
      JSON.stringify(defaults),
    );
    const [listening] = await ports("--listen", "/ip4/127.0.0.1/tcp/9");
    assert.notEqual(listening?.state, "ok", "what was named is asked for");
    bench.node.http = null;
    assert.deepEqual(states(await ports()), ["ok", "ok"]);
  });

  it("finds peers that are not reached, or are no registry", async () => {
    const nobody = createTcpServer().listen({ host: "127.0.0.1", port: 0 });
    await once(nobody, "listening");
    const { port } = nobody.address() as AddressInfo;
    nobody.close();
    const multiaddr = `/ip4/127.0.0.1/tcp/${port}/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo`;
    const { checks } = await doctor("--peer", multiaddr, "--peer", `https://127.0.0.1:${port}`, "--peer", `${url}/elsewhere`);
    assert.match(checks.get(`address ${multiaddr}`)?.found ?? "", /not reached over TCP \(ECONNREFUSED\)/);
    assert.match(checks.get(`address https://127.0.0.1:${port}`)?.found ?? "", /not reached over HTTPS \(ECONNREFUSED\)/);
    assert.match(checks.get(`address ${url}/elsewhere`)?.found ?? "", /answers 404/);
  });

  it("T47 finds a clock that is far from a peer's", async () => {
    answers["/federation/public"] = { body: introduction(), date: new Date(Date.now() + 600_000).toUTCString() };
    const check = (await doctor("--peer", url)).checks.get("clock-https");
    assert.equal(check?.state, "warning");
    assert.match(check?.found ?? "", /(?:599|600|601) s ahead/);
    const peers = [SKEW_MS_MAX, -SKEW_MS_MAX].map((aheadMs) => ({ peer: "p", aheadMs }));
    assert.equal(compareClocks(peers).state, "ok");
    const most = [60_000, 61_000, 0].map((aheadMs) => ({ peer: "p", aheadMs }));
    assert.match(compareClocks(most).fix ?? "", /likely our clock/);
  });

  it("finds a URL that leads to somebody else", async () => {
    await serve();
    const other = await ownCredentials();
    answers["/.well-known/spiffe/bundle.json"] = { body: other.bundle() };
    other.close();
    const { exit, checks } = await doctor();
    assert.equal(exit, EXIT.failure);
    assert.match(checks.get("bundle")?.found ?? "", /publishes other authorities than ours/);
  });

  it("looks whether the alias points back", async () => {
    await bench.run(["init"]);
    const { checks } = await doctor("--domain", "registry.invalid");
    assert.equal(checks.get("alias registry.invalid")?.state, "warning");
    assert.match(checks.get("alias registry.invalid")?.fix ?? "", /serve its DID document there/);
    const facts = { did: OWN_DID, domain: "registry.invalid", urls: [], multiaddrs: [] };
    const document = Buffer.from(encodeDidDocument(facts)).toString();
    assert.equal(isPointingBack(document, OWN_DID, "registry.invalid"), true);
    assert.equal(isPointingBack(document, OWN_DID, "other.invalid"), false);
    for (const other of ["{}", '{"alsoKnownAs":"x"}', "no JSON", "null", JSON.stringify({ id: `${OWN_DID}x` })])
      assert.equal(isPointingBack(other, OWN_DID, "registry.invalid"), false, other);
  });

  it("goes on when the registry cannot look at itself", async () => {
    await serve();
    bench.node.diagnose = () => Promise.reject(new Error("no"));
    const { exit, checks } = await doctor();
    assert.equal(exit, EXIT.failure);
    assert.equal(checks.get("diagnosis")?.state, "failed");
    assert.equal(checks.get("certificate")?.state, "ok");
  });
});
