import assert from "node:assert/strict";
import { once } from "node:events";
import { z } from "zod";
import { HeldBodies } from "../../src/facade/held-bodies.ts";
import {
  BODIES_BYTES_MAX,
  BODIES_BYTES_PER_ADDRESS_MAX,
  BODIES_BYTES_RESERVED,
  BODY_COST_BYTES,
} from "../../src/facade/limits.ts";
import type { Route } from "../../src/facade/route.ts";
import { FLAG, FRAME, frame, RawConnection, requestHeaders } from "./frames.ts";
import { OPERATOR_TOKEN, send, ServedRegistry, type Received } from "./harness.ts";

/** Streams of one connection, and the bytes of each body: what a client may send before its window is full. */
const STREAMS = 95;
const CHUNK_BYTES = 640;
/** Enough for `limit` bodies that only began. */
const LIMIT = BODIES_BYTES_PER_ADDRESS_MAX / BODY_COST_BYTES;
const CONNECTIONS = Math.ceil(LIMIT / STREAMS);

const taking: Route = {
  ...{ method: "POST", path: "/taking", summary: "takes", access: "public", body: z.object({ a: z.string() }) },
  answers: { 200: { description: "taken", schema: z.unknown() } },
  handle: ({ body }) => Promise.resolve({ status: 200, body }),
};

describe("the facade: bodies in hand", () => {
  const sender = { addressKey: "192.0.2.1", isWanted: false };
  const wanted = { ...sender, isWanted: true };

  it("T24 bounds those of one address, and gives room back once", () => {
    const bodies = new HeldBodies();
    const [first, second] = [bodies.open(sender), bodies.open(sender)];
    assert.equal(first.take(BODIES_BYTES_PER_ADDRESS_MAX - BODY_COST_BYTES), true);
    assert.equal(first.take(1), false);
    assert.equal(second.take(0), false, "a stream costs, too");
    assert.equal(bodies.open({ ...sender, addressKey: "192.0.2.2" }).take(0), true);
    assert.equal(bodies.open(wanted).take(0), true, "who shares the address with strangers");
    for (let i = 0; i < 2; i++) first.release();
    assert.equal(second.take(BODIES_BYTES_PER_ADDRESS_MAX - BODY_COST_BYTES), true);
    assert.equal(bodies.open(sender).take(0), false);
  });

  it("T24 bounds those of all, and leaves a part to whom the operator named", () => {
    const bodies = new HeldBodies();
    const fill = (isWanted: boolean): number => {
      let bytes = 0;
      for (let i = 0; ; i++) {
        const room = bodies.open({ addressKey: `192.0.2.${i}`, isWanted });
        if (!room.take(BODIES_BYTES_PER_ADDRESS_MAX - BODY_COST_BYTES)) return bytes;
        bytes += BODIES_BYTES_PER_ADDRESS_MAX;
      }
    };
    assert.equal(fill(false), BODIES_BYTES_MAX - BODIES_BYTES_RESERVED);
    assert.equal(fill(true), BODIES_BYTES_RESERVED);
  });

  describe("over connections", () => {
    let server: ServedRegistry;
    let flood: RawConnection[];
    const POST = requestHeaders("POST", "/taking", ["content-type", "application/json"]);

    beforeEach(async () => {
      server = await ServedRegistry.start({ routes: [taking] });
      flood = [];
    });
    afterEach(async () => {
      for (const { socket } of flood) socket.destroy();
      await server.stop();
    });

    const post = (address: string, headers: Record<string, string> = {}): Promise<Received> =>
      send(server.connect(undefined, { address }), {
        ...{ method: "POST", path: "/taking", body: '{"a":"b"}' },
        headers: { "content-type": "application/json", ...headers },
      });

    it("T24 bodies that never end are refused beyond the bound, which others do not notice, and the room comes back", async () => {
      const connections = Array.from({ length: CONNECTIONS }, () => RawConnection.open({ ...server, address: "127.66.6.1" }));
      flood = await Promise.all(connections);
      const isRefused = Promise.race(flood.map((connection) => connection.frame(FRAME.headers)));
      for (const connection of flood) {
        for (let i = 0; i < STREAMS; i++) {
          const stream = 2 * i + 1;
          connection.write(frame(FRAME.headers, FLAG.endHeaders, stream, POST));
          connection.write(frame(FRAME.data, 0, stream, Buffer.alloc(CHUNK_BYTES, " ")));
        }
      }
      await isRefused;
      const refused = await post("127.66.6.1");
      assert.deepEqual([refused.status, refused.problem?.code], [503, "busy"]);
      assert.match(String(refused.headers["retry-after"]), /^[1-9]\d*$/);
      assert.equal((await post("127.66.7.1")).status, 200);
      const operator = await post("127.66.6.1", { authorization: `Bearer ${OPERATOR_TOKEN}` });
      assert.equal(operator.status, 200, "an operator beside the flood");
      const answers = flood.flatMap(({ frames }) => frames.filter(({ type }) => type === FRAME.headers)).length;
      assert.ok(answers < STREAMS * CONNECTIONS - LIMIT / 2, `${answers} of ${STREAMS * CONNECTIONS} were refused`);
      await Promise.all(
        flood.map(({ socket }) => {
          const closed = once(socket, "close");
          socket.destroy();
          return closed;
        }),
      );
      let answer = await post("127.66.6.1");
      // The server sees connections close a moment later than we do.
      for (let tries = 0; tries < 100 && answer.status === 503; tries++) answer = await post("127.66.6.1");
      assert.equal(answer.status, 200);
    });

    it("a body that comes byte by byte is taken whole", async () => {
      const text = JSON.stringify({ a: "b".repeat(2_000) });
      const stream = server.connect().request({ ":method": "POST", ":path": "/taking", "content-type": "application/json" });
      for (const byte of Buffer.from(text)) stream.write(Buffer.of(byte));
      let answer = "";
      for await (const chunk of stream.end().setEncoding("utf8")) answer += chunk;
      assert.equal(answer, text);
    });
  });
});
