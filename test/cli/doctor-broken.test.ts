import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createSocketServer, type AddressInfo, type Server as SocketServer } from "node:net";
import { createServer, type Server } from "node:https";
import { join } from "node:path";
import { didKey } from "../../protocols/lib/did.ts";
import { placeSocket, writeLink } from "../../src/admin/socket-path.ts";
import type { Check } from "../../src/api.ts";
import { check } from "../../src/cli/doctor/check.ts";
import { EXIT } from "../../src/cli/exit.ts";
import { DOMAIN, HOUR_MS, newPair, type PairOptions } from "../adapters/system/web-pair.ts";
import { ownCredentials } from "../admin/credentials.ts";
import { Bench } from "./harness.ts";
import { BIRCH, introduction } from "./introduced.ts";

const NOBODY_UID = 65_534;
const DAY_MS = 24 * HOUR_MS;
const MAIN = new URL("../../src/cli/main.ts", import.meta.url).pathname;

describe("cli doctor, with what is broken", () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench();
  });
  afterEach(() => bench.close());

  const FREE = ["--listen", "/ip4/127.0.0.1/tcp/0", "--http", "127.0.0.1:0"];
  interface Looked {
    readonly exit: number | null;
    readonly of: (name: string) => Check | undefined;
  }
  const looked = (exit: number | null, stdout: string): Looked => {
    const { checks } = JSON.parse(stdout) as { checks: Check[] };
    for (const { name, state, fix, tookMs } of checks) {
      assert.ok(tookMs >= 0, `${name} has no time`);
      assert.equal(fix !== null, state === "warning" || state === "failed", `${name}: ${fix}`);
      assert.doesNotMatch(fix ?? "", /should not happen/, name);
    }
    return { exit, of: (name) => checks.find((one) => one.name === name) };
  };
  const doctor = async (...argv: string[]): Promise<Looked> => {
    const { exit, stdout } = await bench.run(["doctor", ...FREE, ...argv, "--json"]);
    return looked(exit, stdout);
  };
  /** In a process of a user without rights; `undefined` where there is none, or it may not read this code. */
  const doctorOfNobody = (...argv: string[]): Looked | undefined => {
    const options = { uid: NOBODY_UID, gid: NOBODY_UID, cwd: bench.directory, encoding: "utf8" } as const;
    const canRead = spawnSync(process.execPath, ["--check", MAIN], options).status === 0;
    if (process.geteuid?.() !== 0 || !canRead) return undefined;
    const { status, stdout } = spawnSync(process.execPath, [MAIN, "doctor", ...FREE, ...argv, "--json"], options);
    return looked(status, stdout);
  };

  describe("the certificate of the public web", () => {
    const paths = (): string[] => ["chain.pem", "key.pem"].map((name) => join(bench.directory, name));
    const place = async (options: PairOptions = {}, mode = 0o600): Promise<Awaited<ReturnType<typeof newPair>>> => {
      const pair = await newPair(options);
      const [chain = "", key = ""] = paths();
      writeFileSync(chain, pair.certificate);
      rmSync(key, { force: true });
      writeFileSync(key, pair.key, { mode });
      chmodSync(key, mode);
      return pair;
    };
    const look = (): Promise<Looked> => {
      const [chain = "", key = ""] = paths();
      return doctor("--domain", DOMAIN, "--tls-certificate", chain, "--tls-key", key);
    };

    it("says how long it holds, and warns ahead of its end", async () => {
      await place({ beginsInMs: -DAY_MS, lifetimeMs: 60 * DAY_MS });
      const well = (await look()).of("web-certificate");
      assert.deepEqual([well?.state, /for registry\.acme\.example, valid for 59 d/.test(well?.found ?? "")], ["ok", true]);
      await place({ beginsInMs: -80 * DAY_MS, lifetimeMs: 10 * DAY_MS });
      const ending = (await look()).of("web-certificate");
      assert.equal(ending?.state, "warning");
      assert.match(ending?.fix ?? "", /renew it/);
      // One of six days has more than a quarter of them left.
      await place({ beginsInMs: -3 * DAY_MS, lifetimeMs: 3 * DAY_MS });
      assert.equal((await look()).of("web-certificate")?.state, "ok");
    });

    const broken: [what: string, spoil: () => Promise<unknown>, found: RegExp, fix: RegExp][] = [
      ["has ended", () => place({ lifetimeMs: -HOUR_MS }), /is valid from .* not now/, /renew it/],
      ["is of another domain", () => place({ names: ["x.example"] }), /is for DNS:x\.example, not for/, /REGISTRY_DOMAIN/],
      ["has a key that everybody may read", () => place({}, 0o604), /mode 0604/, /run chmod o=/],
      ["is not there", async () => undefined, /chain\.pem cannot be read: ENOENT/, /name a PEM file/],
    ];
    for (const [what, spoil, found, fix] of broken) {
      it(`finds one that ${what}, in the words of a start`, async () => {
        await spoil();
        const { exit, of } = await look();
        assert.equal(exit, EXIT.failure);
        assert.match(of("web-certificate")?.found ?? "", found);
        assert.match(of("web-certificate")?.fix ?? "", fix);
      });
    }

    it("finds a running registry that serves another one", async () => {
      const first = await place();
      const contextOf = ({ certificate, key }: typeof first): { cert: string; key: string } => ({ cert: certificate, key });
      const server = createServer(contextOf(first), (_request, response) => void response.end()).listen(0, "127.0.0.1");
      await once(server, "listening");
      try {
        const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
        bench.node.http = { url, urls: [url] };
        bench.node.credentials = await ownCredentials();
        await bench.serve();
        assert.equal((await look()).of("web-certificate-served")?.state, "ok");
        const second = await place();
        const served = (await look()).of("web-certificate-served");
        assert.deepEqual([served?.state, /does not serve the one in the files/.test(served?.found ?? "")], ["warning", true]);
        server.setSecureContext(contextOf(second));
        assert.equal((await look()).of("web-certificate-served")?.state, "ok");
        await place({ names: ["x.example"] });
        assert.match((await look()).of("web-certificate-served")?.found ?? "", /goes on with what it read before/);
      } finally {
        bench.node.credentials?.close();
        server.close();
      }
    });
  });

  describe("peers", () => {
    let server: Server;
    let body = "";
    let url = "";
    before(async () => {
      const { certificate, key } = await newPair();
      server = createServer({ cert: certificate, key }, (_request, response) => void response.end(body)).listen(0, "127.0.0.1");
      await once(server, "listening");
      url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    });
    after(() => server.close());

    it("T43 says who answers, and when it is another one than the pin names", async () => {
      body = introduction();
      const right = (await doctor("--peer", `${url}#${BIRCH.did}`)).of(`address ${url}#${BIRCH.did}`);
      assert.deepEqual([right?.state, right?.found.endsWith(`as birch, ${BIRCH.did}`)], ["ok", true], right?.found);
      const other = didKey(new Uint8Array(32).fill(7));
      const wrong = (await doctor("--peer", `${url}#${other}`)).of(`address ${url}#${other}`);
      assert.equal(wrong?.state, "warning");
      assert.match(wrong?.found ?? "", new RegExp(`${BIRCH.did}, but its pin is ${other}`));
    });

    it("T47 finds a peer whose clock is of another day, and what is no registry", async () => {
      body = introduction(Date.now() - 2 * DAY_MS);
      assert.match((await doctor("--peer", url)).of(`address ${url}`)?.fix ?? "", /NTP/);
      body = "<html>hello</html>";
      const found = (await doctor("--peer", url)).of(`address ${url}`);
      assert.match(found?.found ?? "", /not as a registry does/);
      assert.match(found?.fix ?? "", /check host, port and path/);
    });
  });

  describe("the store", () => {
    const store = (name = ""): string => join(bench.dataDir, "store", name);
    const plant = (): void => {
      mkdirSync(store());
      writeFileSync(store("CURRENT"), "MANIFEST-000002\n");
      writeFileSync(store("MANIFEST-000002"), "x");
    };

    it("T45 misses the list that the store names, and the name itself", async () => {
      plant();
      assert.equal((await doctor()).of("store-files")?.state, "ok");
      rmSync(store("MANIFEST-000002"));
      const { exit, of } = await doctor();
      assert.equal(exit, EXIT.failure);
      assert.match(of("store-files")?.found ?? "", /CURRENT names "MANIFEST-000002", which is not there/);
      assert.match(of("store-files")?.fix ?? "", /backup/);
      rmSync(store("CURRENT"));
      writeFileSync(store("000003.log"), "");
      assert.match((await doctor()).of("store-files")?.found ?? "", /CURRENT is missing/);
    });

    it("finds files that this user may not read, and says whose they are", function () {
      plant();
      chmodSync(bench.directory, 0o777);
      chmodSync(store(), 0o777);
      chmodSync(store("CURRENT"), 0o600);
      const { of } = doctorOfNobody("--data-dir", bench.dataDir) ?? this.skip();
      assert.match(of("store-files")?.found ?? "", /CURRENT belongs to user 0 and cannot be read and written by this user/);
      assert.match(of("store-files")?.fix ?? "", /run as its owner/);
    });

    it("leaves it to the running registry, and never writes to it", async () => {
      plant();
      await bench.serve();
      assert.equal((await doctor()).of("store-files"), undefined);
    });
  });

  it("finds a data directory of another user, and what to do about all of it", function () {
    mkdirSync(join(bench.dataDir, "theirs"), { mode: 0o700 });
    chmodSync(bench.directory, 0o755);
    const { of } = doctorOfNobody("--data-dir", "theirs") ?? this.skip();
    assert.match(of("data-directory")?.found ?? "", /belongs to user 0/);
    for (const name of ["key", "tls", "operator-token", "store-files"])
      assert.match(of(name)?.fix ?? "", /as the user that runs the registry/, name);
  });

  it("finds a data directory on a read-only file system", async function () {
    const mount = (...argv: string[]): boolean => spawnSync("mount", [...argv, bench.directory]).status === 0;
    if (process.platform !== "linux" || !mount("-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs")) this.skip();
    try {
      assert.ok(mount("-o", "remount,ro"));
      const found = (await doctor()).of("data-directory");
      assert.match(found?.found ?? "", /is on a read-only file system/);
      assert.match(found?.fix ?? "", /mount it for writing/);
    } finally {
      assert.equal(spawnSync("umount", [bench.directory]).status, 0);
    }
  });

  it("T49 a look that comes to no end is given up", async () => {
    const hung = await check("registry", () => new Promise(() => undefined), 20);
    assert.deepEqual([hung.state, hung.found], ["failed", "not known after 0.02 s"]);
    assert.match(hung.fix ?? "", /hangs/);
  });

  it("T49 says that a registry hangs, and goes on", async function () {
    this.timeout(30_000);
    const server: SocketServer = createSocketServer();
    const place = placeSocket(bench.dataDir, {});
    server.listen(place.path);
    await once(server, "listening");
    writeLink(place);
    try {
      const { exit, of } = await doctor();
      assert.equal(exit, EXIT.failure);
      assert.match(of("registry")?.found ?? "", /not known after 5 s/);
      assert.equal(of("data-directory")?.state !== undefined, true);
    } finally {
      server.close();
    }
  });
});
