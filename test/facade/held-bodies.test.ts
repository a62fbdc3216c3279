import assert from "node:assert/strict";
import { once } from "node:events";
import type { ClientHttp2Stream } from "node:http2";
import { z } from "zod";
import { HeldBodies } from "../../src/facade/held-bodies.ts";
import {
  BODIES_BYTES_MAX,
  BODIES_BYTES_PER_ADDRESS_MAX,
  BODIES_BYTES_RESERVED,
  BODY_COST_BYTES,
} from "../../src/facade/limits.ts";
import type { Route } from "../../src/facade/route.ts";
import { OPERATOR_TOKEN, send, ServedRegistry, type Received } from "./harness.ts";

/** Requests of one connection that are under way. */
const STREAMS = 95;
const FLOODER = "127.66.6.1";

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

    beforeEach(async () => {
      server = await ServedRegistry.start({ routes: [taking] });
    });
    afterEach(() => server.stop());

    const post = (address: string, headers: Record<string, string> = {}): Promise<Received> =>
      send(server.connect(undefined, { address }), {
        ...{ method: "POST", path: "/taking", body: '{"a":"b"}' },
        headers: { "content-type": "application/json", ...headers },
      });

    /** Bodies are begun on every stream, and when the server has seen all of them, each goes on; none ends. */
    async function begin(connections: number, bytes: number): Promise<ClientHttp2Stream[]> {
      const sessions = Array.from({ length: connections }, () => server.connect(undefined, { address: FLOODER }));
      await Promise.all(sessions.map((session) => once(session, "connect")));
      const streams = sessions.flatMap((session) =>
        Array.from({ length: STREAMS }, () => {
          const headers = { ":method": "POST", ":path": "/taking", "content-type": "application/json" };
          return session.request(headers).on("error", () => undefined);
        }),
      );
      const seen = sessions.map((session) => new Promise<void>((resolve) => session.ping(() => resolve())));
      await Promise.all(seen);
      if (bytes > 0) for (const stream of streams) stream.write(Buffer.alloc(bytes, " "));
      return streams;
    }

    for (const [what, bytes] of [
      ["of which no byte comes", 0],
      ["that grow", 60_000],
    ] as const) {
      it(`T24 bodies ${what} and that never end are refused beyond the bound: others do not notice, and the room comes back`, async () => {
        const fitting = Math.floor(BODIES_BYTES_PER_ADDRESS_MAX / (BODY_COST_BYTES + bytes));
        const streams = await begin(Math.ceil((fitting * 1.1) / STREAMS), bytes);
        let refused = 0;
        const isFull = Promise.withResolvers<void>();
        for (const stream of streams) {
          stream.once("response", (headers) => {
            assert.equal(headers[":status"], 503);
            assert.match(String(headers["retry-after"]), /^[1-9]\d*$/);
            refused += 1;
            if (refused >= streams.length - fitting) isFull.resolve();
          });
        }
        await isFull.promise;
        assert.equal((await post("127.66.7.1")).status, 200);
        const operator = await post(FLOODER, { authorization: `Bearer ${OPERATOR_TOKEN}` });
        assert.equal(operator.status, 200, "an operator beside the flood");
        for (const { session } of streams) session?.destroy();
        let answer = await post(FLOODER);
        // The server sees connections close a moment later than we do.
        for (let tries = 0; tries < 100 && answer.status === 503; tries++) answer = await post(FLOODER);
        assert.equal(answer.status, 200);
      });
    }

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
