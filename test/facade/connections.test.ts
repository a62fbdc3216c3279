import assert from "node:assert/strict";
import { once } from "node:events";
import type { ClientHttp2Session } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { z } from "zod";
import type { Route } from "../../src/facade/route.ts";
import type { Svid } from "../../src/ports/credentials.ts";
import { handshake } from "./client.ts";
import { send, ServedRegistry, TestCredentials, TestRegistry } from "./harness.ts";

const BOUNDS = { total: 12, reserved: 4 };
/** How many connections there may be of whom nobody named. */
const ORDINARY = BOUNDS.total - BOUNDS.reserved;
/** The network of an attacker, and that of others. */
const [WIDE, NARROW] = ["127.66.6", "127.77.7"];

describe("the facade: places for connections", () => {
  let server: ServedRegistry;
  let named: TestRegistry;
  let holding: Holding;
  let sockets: Socket[];

  beforeEach(async () => {
    sockets = [];
    holding = new Holding();
    server = await ServedRegistry.start({ connections: BOUNDS, routes: [holding.route] });
    named = await TestRegistry.create("named");
    server.node.knows(named, { isWanted: true });
  });
  afterEach(async () => {
    holding.release();
    for (const socket of sockets) socket.destroy();
    await server.stop();
  });

  function connect(network: string, as?: TestRegistry | Svid): ClientHttp2Session {
    return server.connect(as, { address: `${network}.1` });
  }

  /** A connection that has been served and asks for nothing. */
  async function idle(network: string, as?: TestRegistry | Svid): Promise<ClientHttp2Session> {
    const session = connect(network, as);
    assert.equal((await send(session, { path: "/federation/public" })).status, 200);
    return session;
  }

  /** Connections of the attacker, each with a request in flight. @returns the statuses of their answers, once they are let go */
  async function busy(count: number): Promise<Promise<number>[]> {
    const answers = Array.from({ length: count }, async () => (await send(connect(WIDE), { path: "/held" })).status);
    await holding.reachedBy(count);
    return answers;
  }

  /** Handshakes of the attacker that are begun and never ended. */
  async function handshakes(count: number): Promise<Socket[]> {
    for (let i = 0; i < count; i++) {
      const socket = connectTcp({ host: "127.0.0.1", port: server.facade.port, localAddress: `${WIDE}.2` });
      socket.on("error", () => undefined).resume();
      sockets.push(socket);
      await once(socket, "connect");
    }
    return sockets;
  }

  it("the longest idle connection of the widest network gives way to a newcomer", async () => {
    const honest = await idle(NARROW);
    const attackers: ClientHttp2Session[] = [];
    for (let i = 1; i < ORDINARY; i++) attackers.push(await idle(WIDE));
    const [first, second] = attackers as [ClientHttp2Session, ClientHttp2Session];
    await send(first, { path: "/federation/public" });
    const [[code]] = await Promise.all([once(second, "goaway"), once(second, "close"), idle(NARROW)]);
    assert.equal(code, 0, "it may ask elsewhere what it asked last");
    for (const session of [honest, ...attackers].filter((one) => one !== second)) {
      assert.equal((await send(session, { path: "/federation/public" })).status, 200);
    }
  });

  it("an idle HTTP/1.1 connection gives way, too", async () => {
    const socket = await handshake(server.facade.port, { address: `${WIDE}.1`, tls: { ALPNProtocols: ["http/1.1"] } });
    sockets.push(socket);
    socket.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await once(socket, "data");
    for (let i = 1; i < ORDINARY; i++) await idle(WIDE);
    await Promise.all([once(socket, "close"), idle(NARROW)]);
  });

  it("nobody with a request in flight gives way, and there is room for whom the operator named", async () => {
    const answers = await busy(ORDINARY);
    await assert.rejects(idle(NARROW));
    await assert.rejects(idle(NARROW, (await TestCredentials.create(named.identity)).svid()), "a forged certificate");
    for (let i = 0; i < BOUNDS.reserved; i++) await idle(NARROW, named);
    holding.release();
    assert.deepEqual(new Set(await Promise.all(answers)), new Set([200]));
  });

  it("connections of whom the operator named never give way, and those of the others do for them", async () => {
    const own: ClientHttp2Session[] = [];
    for (let i = 0; i < ORDINARY; i++) own.push(await idle(NARROW, named));
    const other = await idle(WIDE).catch(() => undefined);
    assert.equal(other, undefined, "all places but the reserve are taken");
    for (const session of own) assert.equal((await send(session, { path: "/federation/public" })).status, 200);
  });

  it("handshakes that fill the reserve give way to that of whom the operator named", async () => {
    const answers = await busy(ORDINARY);
    const [oldest] = await handshakes(BOUNDS.reserved);
    assert.ok(oldest);
    await Promise.all([once(oldest, "close"), idle(NARROW, named)]);
    await handshakes(BOUNDS.total);
    await idle(NARROW, named);
    holding.release();
    await Promise.all(answers);
  });
});

/** A route whose answers wait until they are let go. */
class Holding {
  readonly #released = Promise.withResolvers<void>();
  readonly #waiting = new Set<{ readonly count: number; readonly resolve: () => void }>();
  #held = 0;
  readonly route: Route = {
    ...{ method: "GET", path: "/held", summary: "held", access: "public" },
    answers: { 200: { description: "held", schema: z.object({}) } },
    handle: async () => {
      this.#held += 1;
      for (const { count, resolve } of this.#waiting) if (this.#held >= count) resolve();
      await this.#released.promise;
      return { status: 200, body: {} };
    },
  };

  async reachedBy(count: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add({ count, resolve });
    if (this.#held < count) await promise;
  }

  release(): void {
    this.#released.resolve();
  }
}
