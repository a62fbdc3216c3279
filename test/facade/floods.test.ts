import assert from "node:assert/strict";
import { createSecureServer } from "node:http2";
import { connect as tcpConnect, Socket } from "node:net";
import { once } from "node:events";
import { z } from "zod";
import { Connections } from "../../src/facade/connections.ts";
import {
  ANSWER_BYTES_PER_ADDRESS_MAX,
  ANSWER_MS_MAX,
  BODY_MS_MAX,
  CONNECTIONS_PER_ADDRESS_MAX,
  CONNECTIONS_PER_GROUP_MAX,
  CONTROL_FRAMES_BURST,
  HANDSHAKE_MS_MAX,
  HEADER_PAIRS_MAX,
  STREAM_RESETS_BURST,
  STREAMS_MAX,
} from "../../src/facade/limits.ts";
import type { Route } from "../../src/facade/route.ts";
import {
  FLAG,
  FRAME,
  frame,
  headerBlock,
  RawConnection,
  requestHeaders,
  setting,
  SETTING_INITIAL_WINDOW_SIZE,
} from "./frames.ts";
import { handshake } from "./client.ts";
import { send, ServedRegistry } from "./harness.ts";
import { TestClock } from "./test-clock.ts";

const LARGE_BYTES = 1_048_576;
const ENHANCE_YOUR_CALM = 11;

/** `:status: 200` of the static table (RFC 7541 Appendix A), which is how it begins. */
const HPACK_STATUS_200 = Buffer.of(0x88);

describe("the facade: floods", () => {
  let server: ServedRegistry;
  let clock: TestClock;
  let reached: number;

  beforeEach(async () => {
    reached = 0;
    clock = new TestClock();
    server = await ServedRegistry.start({ clock, routes: [large(), together(), taking()] });
  });
  afterEach(() => server.stop());

  const large = (): Route => ({
    ...{ method: "GET", path: "/large", summary: "large", access: "public" },
    answers: { 200: { description: "large", schema: z.string() } },
    handle: () => {
      reached++;
      return Promise.resolve({ status: 200, body: Buffer.alloc(LARGE_BYTES, "x") });
    },
  });
  /** Large answers that are all ready at once, after the last of them was asked for. */
  const together = (): Route => {
    const all = Promise.withResolvers<void>();
    return {
      ...large(),
      path: "/together",
      handle: async () => {
        reached++;
        if (reached === STREAMS_MAX) all.resolve();
        await all.promise;
        return { status: 200, body: Buffer.alloc(LARGE_BYTES, "x") };
      },
    };
  };
  const taking = (): Route => ({
    ...{ method: "POST", path: "/taking", summary: "takes", access: "public", body: z.object({}) },
    answers: { 204: { description: "taken" } },
    handle: () => Promise.resolve({ status: 204 }),
  });

  /** Somebody who behaves is served meanwhile. */
  async function assertServing(): Promise<void> {
    const { status } = await send(server.connect(), { path: "/federation/public" });
    assert.equal(status, 200);
  }

  /** The server sees connections close a moment later than we do; until then it refuses a new one at once. */
  async function servingAgain(): Promise<void> {
    for (let tries = 0; tries < 100; tries++) {
      const isServed = await assertServing().then(
        () => true,
        () => false,
      );
      if (isServed) return;
    }
    await assertServing();
  }

  it("T20 rapid reset: few requests are begun, then the connection ends", async () => {
    const raw = await RawConnection.open(server);
    const block = requestHeaders("GET", "/large");
    for (let i = 0; i < 2_000; i++) {
      const stream = 2 * i + 1;
      raw.write(
        frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, stream, block),
        frame(FRAME.reset, 0, stream, Buffer.alloc(4)),
      );
    }
    await raw.closed;
    assert.ok(reached <= STREAM_RESETS_BURST + STREAMS_MAX, `${reached} requests reached a route`);
    await assertServing();
  });

  it("T21 header bomb: the stream ends, other streams are served", async () => {
    const pairs = Array.from({ length: HEADER_PAIRS_MAX }, (_, i) => [`x-${i}`, "v"] as const);
    const raw = await RawConnection.open(server);
    raw.write(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, requestHeaders("GET", "/large", ...pairs)));
    assert.equal((await raw.frame(FRAME.reset)).readUInt32BE(0), ENHANCE_YOUR_CALM);
    assert.equal(reached, 0);
    await assertServing();
    raw.socket.destroy();
  });

  it("T21 a header block without end: the connection ends", async () => {
    const raw = await RawConnection.open(server);
    raw.write(frame(FRAME.headers, FLAG.endStream, 1, requestHeaders("GET", "/large")));
    const piece = frame(FRAME.continuation, 0, 1, headerBlock(["x-a", "b".repeat(8_000)]));
    const flood = (): void => {
      if (!raw.socket.destroyed) raw.socket.write(piece, () => flood());
    };
    flood();
    await raw.closed;
    assert.equal(reached, 0);
    await assertServing();
  });

  it("T21 HTTP/1.1 headers beyond the bound are refused", async () => {
    const socket = await handshake(server.facade.port, { tls: { ALPNProtocols: ["http/1.1"] } });
    socket.write(`GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: ${"a".repeat(20_000)}\r\n\r\n`);
    const [answer] = (await once(socket, "data")) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1\.1 (?:400|431) /);
    if (!socket.destroyed) await once(socket, "close");
    await assertServing();
  });

  it("T22 zero window: what waits for one address is bounded, and given up in time", async () => {
    const raw = await RawConnection.open(server, setting(SETTING_INITIAL_WINDOW_SIZE, 0));
    const block = requestHeaders("GET", "/large");
    for (let i = 0; i < STREAMS_MAX; i++) raw.write(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 2 * i + 1, block));
    while (raw.frames.filter(({ type }) => type === FRAME.headers).length < STREAMS_MAX) await once(raw.socket, "data");
    assert.ok(reached <= ANSWER_BYTES_PER_ADDRESS_MAX / LARGE_BYTES + 1, `${reached} answers wait`);
    const refused = await send(server.connect(), { path: "/large" });
    assert.deepEqual([refused.status, refused.problem?.code], [503, "busy"], "the same address has to read first");
    assert.equal((await send(server.connect(), { path: "/healthz" })).status, 200);
    clock.advance(ANSWER_MS_MAX + 1_000);
    while (raw.frames.filter(({ type }) => type === FRAME.reset).length < reached) await once(raw.socket, "data");
    await assertServing();
    raw.socket.destroy();
  });

  it("T22 answers that were asked for together are bounded too, although each was admitted", async () => {
    const raw = await RawConnection.open(server, setting(SETTING_INITIAL_WINDOW_SIZE, 0));
    const block = requestHeaders("GET", "/together");
    for (let i = 0; i < STREAMS_MAX; i++) raw.write(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 2 * i + 1, block));
    const answers = (): Buffer[] => raw.frames.filter(({ type }) => type === FRAME.headers).map(({ payload }) => payload);
    while (answers().length < STREAMS_MAX) await once(raw.socket, "data");
    const given = answers().filter((payload) => payload.includes(HPACK_STATUS_200)).length;
    assert.ok(given >= 1 && given <= ANSWER_BYTES_PER_ADDRESS_MAX / LARGE_BYTES + 1, `${given} answers wait`);
    raw.socket.destroy();
  });

  it("T23 a flood of PING or SETTINGS frames ends the connection", async () => {
    const floods = [frame(FRAME.ping, 0, 0, Buffer.alloc(8)), frame(FRAME.settings, 0, 0)];
    for (const one of floods) {
      const raw = await RawConnection.open(server);
      raw.write(...Array.from({ length: CONTROL_FRAMES_BURST + 10 }, () => one));
      assert.equal((await raw.frame(FRAME.goaway)).readUInt32BE(4), ENHANCE_YOUR_CALM);
      await raw.closed;
    }
    await assertServing();
  });

  it("T24 a slow body is given up in time", async () => {
    const raw = await RawConnection.open(server);
    raw.write(frame(FRAME.headers, FLAG.endHeaders, 1, requestHeaders("POST", "/taking", ["content-type", "application/json"])));
    raw.write(frame(FRAME.data, 0, 1, Buffer.from("{")));
    await assertServing();
    clock.advance(BODY_MS_MAX + 1_000);
    assert.ok((await raw.frame(FRAME.headers)).length > 0);
    assert.match((await raw.frame(FRAME.data)).toString(), /body_too_slow/);
    raw.socket.destroy();
  });

  it("T24 a body that ends early leaves nothing behind", async () => {
    const raw = await RawConnection.open(server);
    raw.write(frame(FRAME.headers, FLAG.endHeaders, 1, requestHeaders("POST", "/taking", ["content-type", "application/json"])));
    raw.write(frame(FRAME.data, 0, 1, Buffer.from("{")), frame(FRAME.reset, 0, 1, Buffer.alloc(4)));
    await assertServing();
    raw.socket.destroy();
    await assertServing();
    assert.deepEqual(server.logged, []);
  });

  it("T24 HTTP/1.1: headers that come slowly end the connection", async () => {
    const socket = await handshake(server.facade.port, { tls: { ALPNProtocols: ["http/1.1"] } });
    socket.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n");
    socket.resume();
    await once(socket, "close");
    await assertServing();
  });

  it("T51 a body beyond the bound is refused before all of it is sent", async () => {
    const raw = await RawConnection.open(server);
    const block = (...more: [string, string][]): Buffer =>
      requestHeaders("POST", "/taking", ["content-type", "application/json"], ...more);
    const ofType = (type: number): Buffer[] => raw.frames.filter((one) => one.type === type).map(({ payload }) => payload);
    const answers = (): string[] => ofType(FRAME.data).map(String).filter(Boolean);
    raw.write(frame(FRAME.headers, FLAG.endHeaders, 1, block(["content-length", "10000000"])));
    while (answers().length < 1) await once(raw.socket, "data");
    raw.write(frame(FRAME.headers, FLAG.endHeaders, 3, block()));
    for (let i = 0; i < 5; i++) raw.write(frame(FRAME.data, 0, 3, Buffer.alloc(13_107, " ")));
    raw.write(frame(FRAME.data, 0, 3, Buffer.from(" ")));
    raw.write(frame(FRAME.data, 0, 3, Buffer.from(" ")));
    while (answers().length < 2) await once(raw.socket, "data");
    for (const answer of answers()) assert.match(answer, /problem:too_large/);
    clock.advance(ANSWER_MS_MAX + 1_000);
    while (ofType(FRAME.reset).length < 2) await once(raw.socket, "data");
    raw.socket.destroy();
    await assertServing();
  });

  it("bounds the connections of one address", async () => {
    const sockets = Array.from({ length: CONNECTIONS_PER_ADDRESS_MAX + 1 }, () => tcpConnect(server.facade.port, "127.0.0.1"));
    const refused = await Promise.race(sockets.map((socket) => once(socket, "close").then(() => socket)));
    assert.ok(sockets.includes(refused));
    for (const socket of sockets) socket.destroy();
    await servingAgain();
  });

  for (const [family, groups] of Object.entries({
    IPv4: ["192.0.2.", "198.51.100.", "127.0.0."],
    IPv6: ["2001:db8:1:", "2001:db8:2:", undefined],
  })) {
    it(`bounds the connections of one group of ${family} addresses, so that no network can take all of them`, () => {
      const face = createSecureServer();
      face.removeAllListeners("connection");
      const connections = new Connections(face, clock);
      const connect = (address: string, port: number): Socket => {
        const socket = Object.defineProperties(new Socket(), { remoteAddress: { value: address }, remotePort: { value: port } });
        face.emit("connection", socket);
        return socket;
      };
      const flood = (prefix: string): Socket[] =>
        Array.from({ length: CONNECTIONS_PER_GROUP_MAX + 1 }, (_, i) =>
          connect(`${prefix}${1 + (i % 16)}${family === "IPv6" ? "::1" : ""}`, 1_024 + i),
        );
      const [one = "", other = "", loopback] = groups;
      const sockets = flood(one);
      assert.equal(
        sockets.findIndex(({ destroyed }) => destroyed),
        CONNECTIONS_PER_GROUP_MAX,
      );
      assert.equal(connect(`${other}1${family === "IPv6" ? "::1" : ""}`, 1).destroyed, false);
      if (loopback !== undefined) assert.ok(flood(loopback).every(({ destroyed }) => !destroyed));
      clock.advance(HANDSHAKE_MS_MAX);
      connections.sweep();
      assert.ok(sockets.every(({ destroyed }) => destroyed));
    });
  }

  it("ends a handshake that takes too long although bytes keep coming, and no connection that has finished its own", async function () {
    // Silence alone would end it after the whole time.
    this.timeout(HANDSHAKE_MS_MAX / 2);
    const finished = server.connect();
    const kept = await RawConnection.open(server);
    assert.equal((await send(finished, { path: "/healthz" })).status, 200);
    const slow = tcpConnect(server.facade.port, "127.0.0.1");
    slow.on("error", () => undefined).resume();
    await once(slow, "connect");
    slow.write(Buffer.from("1603010200", "hex"));
    await assertServing();
    clock.advance(HANDSHAKE_MS_MAX - 2_000);
    slow.write(Buffer.alloc(1, 1));
    await assertServing();
    assert.equal(slow.destroyed, false);
    const closed = once(slow, "close");
    clock.advance(2_000);
    await closed;
    assert.equal((await send(finished, { path: "/healthz" })).status, 200);
    assert.equal(kept.socket.destroyed, false);
    kept.socket.destroy();
  });
});
