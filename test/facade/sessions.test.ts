import assert from "node:assert/strict";
import { once } from "node:events";
import type { ClientHttp2Session } from "node:http2";
import { request as httpsRequest, Agent as HttpsAgent } from "node:https";
import { connect as connectTcp } from "node:net";
import tls, { type ConnectionOptions, type TLSSocket } from "node:tls";
import { Agent, request as undiciRequest } from "undici";
import { z } from "zod";
import type { Route } from "../../src/facade/route.ts";
import { tlsTo } from "./client.ts";
import { send, ServedRegistry, TestRegistry, clock, type Received } from "./harness.ts";

/** A route whose answers wait until they are let go. */
class Holding {
  #release: (() => void) | undefined;
  /** Resolves when a request has reached the route. */
  readonly reached: Promise<void>;
  readonly route: Route;

  constructor() {
    const reached = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    this.reached = reached.promise;
    this.#release = released.resolve;
    this.route = {
      ...{ method: "GET", path: "/held", summary: "held", access: "public" },
      answers: { 200: { description: "held", schema: z.object({}) } },
      handle: async () => {
        reached.resolve();
        await released.promise;
        return { status: 200, body: { held: true } };
      },
    };
  }

  release(): void {
    this.#release?.();
  }
}

describe("the facade: sessions and certificates", () => {
  const running: ServedRegistry[] = [];

  async function start(...args: Parameters<typeof ServedRegistry.start>): Promise<ServedRegistry> {
    const server = await ServedRegistry.start(...args);
    running.push(server);
    return server;
  }

  afterEach(async () => {
    await Promise.all(running.splice(0).map((server) => server.stop()));
  });

  it("T5 a session is closed within a second of its certificate's end, and requests in flight end cleanly", async () => {
    const holding = new Holding();
    const server = await start({ routes: [holding.route] });
    const peer = await TestRegistry.create("peer", 3_000);
    const { notAfterMs } = peer.credentials.svid();
    const [idle, busy] = [server.connect(peer), server.connect(peer)];
    const closed = once(idle, "close").then(() => clock.now());
    const goneAway = once(busy, "goaway");
    assert.equal((await send(idle, { path: "/healthz" })).status, 200);
    const held = send(busy, { path: "/held" });
    await holding.reached;
    const closedAtMs = await closed;
    assert.ok(closedAtMs >= notAfterMs - 1_100, `closed ${notAfterMs - closedAtMs} ms early`);
    assert.ok(closedAtMs <= notAfterMs + 1_000, `closed ${closedAtMs - notAfterMs} ms late`);
    await goneAway;
    holding.release();
    assert.equal((await held).status, 200);
    if (!busy.destroyed) await once(busy, "close");
  });

  it("T5 the same over HTTP/1.1", async () => {
    const holding = new Holding();
    const server = await start({ routes: [holding.route] });
    const peer = await TestRegistry.create("peer", 3_000);
    const { certificate, key, notAfterMs } = peer.credentials.svid();
    const agent = new HttpsAgent({ keepAlive: true, cert: certificate, key, rejectUnauthorized: false });
    const idle = await get(server, "/healthz", agent);
    const idleClosed = once(idle.socket, "close").then(() => clock.now());
    const held = get(server, "/held", new HttpsAgent({ keepAlive: true, cert: certificate, key, rejectUnauthorized: false }));
    await holding.reached;
    assert.ok((await idleClosed) <= notAfterMs + 1_000);
    holding.release();
    const { status, socket } = await held;
    assert.equal(status, 200);
    if (!socket.destroyed) await once(socket, "close");
  });

  it("T6 no TLS session is resumed, also after a rotation", async () => {
    const server = await start();
    for (const maxVersion of ["TLSv1.2", "TLSv1.3", "rotate", "TLSv1.2", "TLSv1.3"] as const) {
      if (maxVersion === "rotate") {
        await server.registry.credentials.rotate();
        continue;
      }
      const tickets: Buffer[] = [];
      const first = await handshake(server, { maxVersion, onSession: (session) => tickets.push(session) });
      const session = tickets.at(-1) ?? first.getSession();
      first.destroy();
      const second = await handshake(server, { maxVersion, ...(session && { session }) });
      assert.equal(second.isSessionReused(), false, maxVersion);
      second.destroy();
    }
  });

  it("T7 the certificate rotates under load: no failed request, and new connections meet the new one", async () => {
    const server = await start();
    const origin = `https://${server.authority}`;
    const agents = [true, false].map((allowH2) => new Agent({ allowH2, connect: { rejectUnauthorized: false } }));
    let isRotating = true;
    let served = 0;
    const load = agents.flatMap((dispatcher) =>
      Array.from({ length: 4 }, async () => {
        while (isRotating) {
          const { statusCode, body } = await undiciRequest(`${origin}/federation/public`, { dispatcher });
          await body.dump();
          assert.equal(statusCode, 200);
          served++;
        }
      }),
    );
    const fresh = async (): Promise<string> => {
      const socket = await handshake(server, {});
      const { serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      return serialNumber;
    };
    const serials = new Set([await fresh()]);
    for (let i = 0; i < 10; i++) {
      await server.registry.credentials.rotate(4_000);
      const before = served;
      serials.add(await fresh());
      while (served < before + 20)
        await (await undiciRequest(`${origin}/healthz`, { dispatcher: agents[0] as Agent })).body.dump();
    }
    isRotating = false;
    await Promise.all(load);
    assert.equal(serials.size, 11);
    await Promise.all(agents.map((agent) => agent.close()));
  });

  it("T4 a rotation keeps the lowest version, whatever the process takes by default", async () => {
    const { DEFAULT_MIN_VERSION, DEFAULT_CIPHERS } = tls;
    tls.DEFAULT_MIN_VERSION = "TLSv1";
    // The library's own security level would refuse them for their hashes.
    tls.DEFAULT_CIPHERS = "ALL@SECLEVEL=0";
    try {
      const server = await start();
      for (let rotations = 0; rotations < 2; rotations++) {
        const old = await handshake(server, { maxVersion: "TLSv1.2" });
        assert.equal(old.getProtocol(), "TLSv1.2");
        old.destroy();
        const older = handshake(server, { minVersion: "TLSv1", maxVersion: "TLSv1.1" });
        await assert.rejects(older, { code: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION" });
        await server.registry.credentials.rotate();
      }
    } finally {
      Object.assign(tls, { DEFAULT_MIN_VERSION, DEFAULT_CIPHERS });
    }
  });

  it("serves the web's certificate to who names the domain, and the SVID to all others, also after a rotation", async () => {
    const web = (await TestRegistry.create("web")).credentials.svid();
    const server = await start({ webCertificate: { ...web, domain: "registry.example" } });
    const subject = async (servername: string): Promise<string> => {
      const socket = await handshake(server, { servername });
      const { subjectaltname = "" } = socket.getPeerCertificate();
      socket.destroy();
      return subjectaltname;
    };
    for (let i = 0; i < 2; i++) {
      assert.match(await subject("registry.example"), new RegExp(web.spiffeId));
      assert.match(await subject("REGISTRY.example"), new RegExp(web.spiffeId));
      assert.match(await subject("localhost"), new RegExp(server.registry.identity.spiffeId));
      await server.registry.credentials.rotate();
    }
  });

  it("T7 serves a renewed certificate of the web to new connections, and open ones go on", async () => {
    const [old, renewed] = await Promise.all(
      ["old", "renewed"].map(async (name) => (await TestRegistry.create(name)).credentials),
    );
    assert.ok(old && renewed);
    const server = await start({ webCertificate: { ...old.svid(), domain: "registry.example" } });
    const open = server.connect(undefined, { servername: "registry.example" });
    assert.equal((await send(open, { path: "/healthz" })).status, 200);
    server.facade.renewWebCertificate(renewed.svid());
    const socket = await handshake(server, { servername: "registry.example" });
    assert.match(socket.getPeerCertificate().subjectaltname ?? "", new RegExp(renewed.svid().spiffeId));
    socket.destroy();
    assert.equal((await send(open, { path: "/healthz" })).status, 200);
    assert.throws(() => server.facade.renewWebCertificate({ ...old.svid(), key: renewed.svid().key }));
    const after = await handshake(server, { servername: "registry.example" });
    assert.match(after.getPeerCertificate().subjectaltname ?? "", new RegExp(renewed.svid().spiffeId));
    after.destroy();
  });

  it("closes while answers are in flight, and lets them end", async () => {
    const holding = new Holding();
    const server = await ServedRegistry.start({ routes: [holding.route] });
    const session: ClientHttp2Session = server.connect();
    const held: Promise<Received> = send(session, { path: "/held" });
    const kept = await get(server, "/healthz", new HttpsAgent({ keepAlive: true, rejectUnauthorized: false }));
    await holding.reached;
    const closed = server.facade.close();
    holding.release();
    assert.equal((await held).status, 200);
    await closed;
    assert.ok(kept.socket.destroyed || kept.socket.readableEnded || (await once(kept.socket, "close")));
    await server.facade.close();
  });

  for (const protocol of ["h2", "http/1.1"]) {
    it(`T22 closes although somebody ends a handshake later, and then goes on asking (${protocol})`, async () => {
      const server = await ServedRegistry.start();
      const tcp = connectTcp({ host: "127.0.0.1", port: server.facade.port });
      await once(tcp, "connect");
      // It is accepted before this one.
      await send(server.connect(), { path: "/healthz" });
      const closed = server.facade.close();
      const late = tls.connect({ socket: tcp, rejectUnauthorized: false, ALPNProtocols: [protocol] });
      late.on("error", () => undefined).resume();
      await Promise.all([closed, once(tcp, "close")]);
    });
  }

  it("closes although an answer never comes", async () => {
    const server = await ServedRegistry.start({ routes: [new Holding().route] });
    const failed = assert.rejects(send(server.connect(), { path: "/held" }));
    await send(server.connect(), { path: "/healthz" });
    await server.facade.close();
    await failed;
  });
});

async function handshake(
  server: ServedRegistry,
  { onSession, ...options }: ConnectionOptions & { onSession?: (session: Buffer) => void },
): Promise<TLSSocket> {
  const socket = tlsTo(server.facade.port, { tls: { ALPNProtocols: ["http/1.1"], ...options } });
  if (onSession) socket.on("session", onSession);
  await once(socket, "secureConnect");
  // A round trip, so that tickets, which come after the handshake, would have come.
  socket.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await once(socket, "data");
  return socket;
}

function get(
  server: ServedRegistry,
  path: string,
  agent: HttpsAgent,
): Promise<{ status: number | undefined; socket: TLSSocket }> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest({ host: "127.0.0.1", port: server.facade.port, path, agent }, (response) => {
      const socket = response.socket as TLSSocket;
      response.resume().on("end", () => resolve({ status: response.statusCode, socket }));
    });
    request.on("error", reject).end();
  });
}
