import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, linkSync, lstatSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request, type IncomingMessage } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdminClient } from "../../src/admin/client.ts";
import { AdminError, AdminSocketError, NodeUnreachableError } from "../../src/admin/errors.ts";
import { BATCHES_IN_FLIGHT_MAX } from "../../src/admin/routes.ts";
import { BODY_BYTES_MAX, startAdminServer, type AdminServer } from "../../src/admin/server.ts";
import { SOCKET_PATH_BYTES_MAX } from "../../src/admin/socket-path.ts";
import type { Mutation, MutationResult, SyncStatus } from "../../src/api.ts";
import { CredentialsError } from "../../src/ports/credentials.ts";
import { ownCredentials } from "./credentials.ts";
import { agentInput, MapNode, OWN_DID, realClock, silentLog } from "./map-node.ts";

describe("admin", () => {
  let dataDir = "";
  let node = new MapNode();
  let client = new AdminClient("");
  const servers: AdminServer[] = [];

  const start = async (directory = dataDir, served = node): Promise<AdminServer> => {
    const environment = { XDG_RUNTIME_DIR: join(dataDir, "run") };
    const server = await startAdminServer(served, { dataDir: directory, clock: realClock, log: silentLog, environment });
    servers.push(server);
    return server;
  };
  const raw = async (method: string, path: string, headers: Record<string, string>, body: string): Promise<[number, unknown]> => {
    const asked = request({ socketPath: join(dataDir, "admin.sock"), agent: false, method, path, headers });
    asked.on("error", () => {});
    asked.end(body);
    const [answer] = (await once(asked, "response")) as [IncomingMessage];
    const text = (await answer.toArray()).join("");
    return [answer.statusCode as number, text === "" ? undefined : JSON.parse(text)];
  };

  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), "admin-"));
    node = new MapNode();
    client = new AdminClient(dataDir);
  });
  afterEach(async () => {
    client.close();
    await Promise.all(servers.splice(0).map((server) => server.close()));
    rmSync(dataDir, { recursive: true });
  });

  describe("socket", () => {
    it("is for its owner alone, and goes when the server closes", async () => {
      const { socketPath, close } = await start();
      assert.equal(socketPath, join(dataDir, "admin.sock"));
      assert.equal(statSync(socketPath).mode & 0o777, 0o600);
      await close();
      assert.equal(existsSync(socketPath), false);
      await assert.rejects(client.status(), NodeUnreachableError);
    });

    it("replaces one that a dead process left behind", async () => {
      const path = join(dataDir, "admin.sock");
      const left = createServer().listen(path);
      await once(left, "listening");
      // A linked name survives the close that unlinks the original: what kill -9 leaves.
      linkSync(path, `${path}.kept`);
      left.close();
      await once(left, "close");
      linkSync(`${path}.kept`, path);
      await start();
      assert.equal((await client.identity()).name, "alder");
    });

    it("refuses a directory that a live node serves, and names it", async () => {
      await start();
      await assert.rejects(start(), (error: Error) => {
        assert.ok(error instanceof AdminSocketError);
        assert.match(error.message, new RegExp(`process ${process.pid} \\("alder", ${OWN_DID}\\)`));
        return true;
      });
      assert.equal((await client.identity()).name, "alder", "the live one goes on");
    });

    it("refuses what is no socket rather than to remove it", async () => {
      writeFileSync(join(dataDir, "admin.sock"), "precious");
      await assert.rejects(start(), /is no socket/);
      assert.equal(statSync(join(dataDir, "admin.sock")).size, 8);
    });

    it("moves to the runtime directory when the path is too long, and clients find it", async () => {
      const deep = join(dataDir, "d".repeat(SOCKET_PATH_BYTES_MAX));
      mkdirSync(deep);
      const { socketPath, close } = await start(deep);
      assert.match(socketPath, /run\/theprotocol-registry\/[0-9a-f]{24}\.sock$/);
      assert.equal(statSync(socketPath).mode & 0o777, 0o600);
      const far = new AdminClient(deep);
      assert.equal((await far.identity()).name, "alder");
      far.close();
      await close();
      assert.equal(lstatSync(join(deep, "admin.sock"), { throwIfNoEntry: false }), undefined);
      await assert.rejects(new AdminClient(deep).identity(), NodeUnreachableError);
    });
  });

  describe("bad input (T51)", () => {
    const JSON_TYPE = { "content-type": "application/json" };
    const NDJSON_TYPE = { "content-type": "application/x-ndjson" };
    const cases: [string, number, string, string, string, Record<string, string>, string][] = [
      ["an unknown route", 404, "no_such_route", "GET", "/admin/nothing", {}, ""],
      ["a name of every object", 404, "no_such_route", "GET", "/constructor", {}, ""],
      ["a wrong method", 405, "method_not_allowed", "PUT", "/admin/status", {}, ""],
      ["an unknown query", 400, "bad_request", "GET", "/admin/status?x=1", {}, ""],
      ["a doubled query", 400, "bad_request", "GET", "/admin/agent?id=a&id=b", {}, ""],
      ["a limit of nothing", 400, "bad_request", "GET", "/admin/agents?limit=0", {}, ""],
      ["an id that is too long", 400, "bad_request", "GET", `/admin/agent?id=${"a".repeat(600)}`, {}, ""],
      ["a body of another type", 415, "unsupported_media_type", "POST", "/admin/peers", { "content-type": "text/plain" }, "{}"],
      ["a truncated body", 400, "bad_request", "POST", "/admin/peers", JSON_TYPE, '{"address'],
      ["a body without its field", 400, "bad_request", "POST", "/admin/peers", JSON_TYPE, "{}"],
      ["an oversized body", 413, "too_large", "POST", "/admin/peers", JSON_TYPE, " ".repeat(BODY_BYTES_MAX + 1)],
      ["deep nesting", 400, "bad_request", "POST", "/admin/peers", JSON_TYPE, "[".repeat(BODY_BYTES_MAX)],
      [
        "a line that is no mutation",
        400,
        "bad_request",
        "POST",
        "/admin/mutations",
        NDJSON_TYPE,
        '{"mutations":[{"op":"drop"}]}\n',
      ],
      ["a list that asks for the impossible", 400, "bad_request", "GET", "/admin/agents?limit=1&minReputation=2", {}, ""],
      [
        "a certificate without a lifetime",
        400,
        "bad_request",
        "POST",
        "/admin/certificates",
        JSON_TYPE,
        '{"path":"/operator/a"}',
      ],
      ["a doctor's question with words", 400, "bad_request", "GET", "/admin/doctor?deep=1", {}, ""],
      ["certificates that there are not", 404, "not_found", "GET", "/admin/certificates", {}, ""],
      ["an unknown agent", 404, "not_found", "GET", "/admin/agent?id=nobody", {}, ""],
    ];
    for (const [what, status, code, method, path, headers, body] of cases) {
      it(`answers ${what} with ${status} ${code}`, async () => {
        await start();
        const [got, answer] = await raw(method, path, headers, body);
        assert.deepEqual([got, (answer as { code: string }).code], [status, code]);
        assert.notEqual((answer as { message: string }).message, "");
        assert.equal((await client.identity()).name, "alder", "the server goes on");
      });
    }

    it("refuses a header bomb", async () => {
      await start();
      const [status] = await raw("GET", "/admin/status", { "x-bomb": "x".repeat(10_000) }, "").catch(() => [431]);
      assert.equal(status, 431);
    });

    it("keeps the message of a bug to the log", async () => {
      await start();
      node.status = () => Promise.reject(new Error("secret detail"));
      const [status, answer] = await raw("GET", "/admin/status", {}, "");
      assert.deepEqual([status, (answer as { code: string }).code], [500, "internal"]);
      assert.doesNotMatch(JSON.stringify(answer), /secret/);
    });
  });

  describe("calls", () => {
    const put = (id: string, name = id): Mutation => ({ op: "put", agent: agentInput(id, name) });
    const collect = async (batches: Iterable<Mutation[]> | AsyncIterable<Mutation[]>): Promise<MutationResult[]> => {
      const all: MutationResult[] = [];
      for await (const results of client.mutateAll(batches)) all.push(...results);
      return all;
    };

    it("reads and writes through the socket", async () => {
      await start();
      const [created] = await client.mutate([put("acme/a")]);
      assert.equal(created?.outcome, "created");
      assert.equal((await client.getAgent("acme/a")).agent.name, "acme/a");
      assert.equal((await client.status()).catalog.agents, 1);
      await client.addPeer("/ip4/127.0.0.1/tcp/1");
      await client.removePeer("/ip4/127.0.0.1/tcp/1");
      await assert.rejects(client.removePeer("/ip4/127.0.0.1/tcp/1"), (error: AdminError) => error.code === "not_found");
      assert.equal((await client.process()).pid, process.pid);
    });

    it("shows certificates without their key, makes new ones, and passes on what the node finds in itself", async () => {
      node.credentials = await ownCredentials();
      await start();
      const { svid, bundle } = await client.certificates();
      assert.deepEqual([svid.spiffeId, bundle], [node.credentials.svid().spiffeId, node.credentials.bundle()]);
      assert.equal("key" in svid, false);
      const issued = await client.issueCertificate({ path: "/operator/alice", lifetimeSeconds: 60 });
      assert.ok(issued.spiffeId.endsWith("/operator/alice") && issued.key.includes("PRIVATE KEY"));
      const order = { path: "/no//path", lifetimeSeconds: 60 };
      await assert.rejects(client.issueCertificate(order), (error: AdminError) => error.code === "invalid");
      node.credentials.issue = () => Promise.reject(new CredentialsError("exposed", "the authority may be read by others"));
      await assert.rejects(client.issueCertificate(order), (error: AdminError) => error.code === "storage");
      node.credentials.close();
      node.diagnosis = {
        time: "2026-01-01T00:00:00.000Z",
        checks: [{ name: "x", state: "ok", found: "", fix: null, tookMs: 1 }],
      };
      assert.deepEqual(await client.diagnose(), node.diagnosis);
    });

    it("keeps the order of a stream while several batches are under way, and bounds how many", async () => {
      await start();
      let underWay = 0;
      let most = 0;
      node.beforeMutate = async () => {
        most = Math.max(most, ++underWay);
        await new Promise((resolve) => setImmediate(resolve));
        underWay--;
      };
      const names = Array.from({ length: 40 }, (_, i) => `name ${i}`);
      const results = await collect(names.map((name) => [put("acme/same", name), put(`acme/${name}`)]));
      assert.deepEqual(
        results.filter((_, i) => i % 2 === 0).map((result) => (result.outcome === "refused" ? 0 : result.revision)),
        names.map((_, i) => i + 1),
      );
      assert.equal((await client.getAgent("acme/same")).agent.name, "name 39");
      assert.ok(most > 1 && most <= BATCHES_IN_FLIGHT_MAX, `${most} were under way`);
    });

    it("ends a stream with the node's refusal, and with the failure of its source", async () => {
      await start();
      node.beforeMutate = () => Promise.reject(Object.assign(new AdminError("paused", "settling our own head")));
      await assert.rejects(collect([[put("acme/a")]]), (error: AdminError) => error.code === "paused");
      async function* source(): AsyncGenerator<Mutation[]> {
        yield [put("acme/b")];
        throw new RangeError("the file ends in the middle");
      }
      node.beforeMutate = () => Promise.resolve();
      await assert.rejects(collect(source()), RangeError);
    });

    it("exports page by page", async () => {
      await start();
      const batches = Array.from({ length: 3 }, (_, b) => Array.from({ length: 500 }, (_, i) => put(`acme/${b}-${i}`)));
      await collect(batches);
      let count = 0;
      for await (const agent of client.exportAgents()) count += agent.revision;
      assert.equal(count, 1_500);
    });

    it("tells where a sync stands until it ends", async () => {
      await start();
      const status: SyncStatus = {
        did: "did:key:z6MkBirch",
        name: "birch",
        state: "syncing",
        agents: 5,
        received: 5,
        total: 10,
        syncedRoot: null,
        targetRoot: null,
        lastSync: null,
        lastError: null,
      };
      const { promise, resolve } = Promise.withResolvers<void>();
      [node.sync, node.syncing] = [[status], promise];
      const seen: number[] = [];
      const result = await client.syncNow(undefined, (sync) => {
        seen.push(sync[0]?.received ?? -1);
        node.sync = [{ ...status, state: "idle", received: 10 }];
        resolve();
      });
      assert.deepEqual([seen[0], result[0]?.state], [5, "idle"]);
    });

    it("stops a node and waits until it has", async () => {
      const server = await start();
      node.onStop = () => void server.close();
      let pid = 0;
      await client.stop((owner) => (pid = owner.pid));
      assert.equal(pid, process.pid);
      await assert.rejects(client.status(), NodeUnreachableError);
    });

    it("says when nobody answers, and when the node dies in the middle", async () => {
      await assert.rejects(client.status(), NodeUnreachableError);
      const dying = createServer((socket) => socket.once("data", () => socket.destroy())).listen(join(dataDir, "admin.sock"));
      await once(dying, "listening");
      await assert.rejects(client.status(), NodeUnreachableError);
      await assert.rejects(collect([[put("acme/a")]]), NodeUnreachableError);
      dying.close();
    });

    it("closes although a client hangs on", async () => {
      const { close, socketPath } = await start();
      const silent = connect(socketPath);
      await once(silent, "connect");
      silent.on("error", () => {});
      await close();
      silent.destroy();
    });
  });
});
