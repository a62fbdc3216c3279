import assert from "node:assert/strict";
import { once } from "node:events";
import { INTRODUCTION_PATH } from "../../../protocols/http/introduction-documents.ts";
import type { Mutation } from "../../../src/api.ts";
import { ANSWER_BYTES_PER_ADDRESS_MAX, HEADER_PAIRS_MAX, STREAM_RESETS_BURST } from "../../../src/facade/limits.ts";
import {
  FLAG,
  FRAME,
  frame,
  headerBlock,
  RawConnection,
  requestHeaders,
  setting,
  SETTING_INITIAL_WINDOW_SIZE,
} from "../../facade/frames.ts";
import { Foreign, freshAddress, sendShed } from "./foreign.ts";
import { RegistryProcess } from "./process.ts";

/** Megabytes by which the process may grow over all floods together; each would make it grow by more if nothing held it. */
const GROWTH_MEGABYTES_MAX = 256;
/** Connections on which a flood comes. */
const CONNECTIONS = 3;
const ENHANCE_YOUR_CALM = 11;
/** An honest reader waits no longer for an answer while a flood goes on. */
const HONEST_MS_MAX = 5_000;
/** `:status: 200` of the static table (RFC 7541 Appendix A). */
const HPACK_STATUS_200 = 0x88;
/** Listings that one reader asks for and does not take, of 1.5 MB each. */
const READS = 40;
const AGENTS = 100;
const DESCRIPTION_LENGTH = 15_000;

describe("threats over HTTP: floods", () => {
  let target: RegistryProcess;
  let honest: Foreign;
  let restingMegabytes: number;
  /** They take their time, so they go on while the others come. */
  let reader: RawConnection;
  let writer: RawConnection;

  before(async () => {
    target = await RegistryProcess.start();
    honest = await Foreign.create("honest");
    await honest.announce(target);
    await target.admin.mutate(Array.from({ length: AGENTS }, (_, i) => large(i)));
    restingMegabytes = target.residentMegabytes;
    reader = await raw(setting(SETTING_INITIAL_WINDOW_SIZE, 0));
    const block = requestHeaders("GET", `/agents?limit=${AGENTS}`);
    for (let i = 0; i < READS; i++) {
      reader.write(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 2 * i + 1, block));
      while (answers() <= i) await once(reader.socket, "data");
    }
    writer = await raw();
    writer.write(
      frame(FRAME.headers, FLAG.endHeaders, 1, requestHeaders("POST", "/agents", ["content-type", "application/json"])),
    );
    writer.write(frame(FRAME.data, 0, 1, Buffer.from("{")));
  });

  after(async () => {
    honest.close();
    for (const connection of [reader, writer]) connection.socket.destroy();
    await target.stop();
  });

  const answers = (): number => reader.frames.filter(({ type }) => type === FRAME.headers).length;

  function raw(...settings: readonly Buffer[]): Promise<RawConnection> {
    return RawConnection.open({ facade: target, address: freshAddress() }, ...settings);
  }

  /** An honest registry is served, one request after the other, until the flood is over; memory stays bounded. */
  async function assertHolds(flood: Promise<unknown>): Promise<void> {
    let isOver = false;
    const ended = flood.finally(() => (isOver = true));
    let served = 0;
    while (!isOver || served < 3) {
      const startedMs = performance.now();
      // A new connection each time: also those must go on being taken.
      const session = honest.connect(target, { address: freshAddress() });
      const answer = await sendShed(session, { path: INTRODUCTION_PATH });
      session.destroy();
      assert.equal(answer.status, 200, answer.body.toString());
      const tookMs = performance.now() - startedMs;
      assert.ok(tookMs < HONEST_MS_MAX, `an honest request took ${tookMs} ms`);
      served += 1;
      assertMemory();
    }
    await ended;
  }

  function assertMemory(): void {
    const grown = target.residentMegabytes - restingMegabytes;
    assert.ok(grown < GROWTH_MEGABYTES_MAX, `grew by ${grown} MB`);
  }

  const fromMany = (flood: () => Promise<unknown>): Promise<unknown> => Promise.all(Array.from({ length: CONNECTIONS }, flood));

  it("T20 rapid reset: the connections end, honest requests are served", async () => {
    const block = requestHeaders("GET", INTRODUCTION_PATH);
    const flood = async (): Promise<void> => {
      const connection = await raw();
      for (let i = 0; i < 2_000; i++) {
        const stream = 2 * i + 1;
        connection.write(
          frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, stream, block),
          frame(FRAME.reset, 0, stream, Buffer.alloc(4)),
        );
      }
      const begun = ((await connection.frame(FRAME.goaway)).readUInt32BE(0) + 1) / 2;
      assert.ok(begun <= 2 * STREAM_RESETS_BURST, `${begun} requests were begun`);
      await connection.closed;
    };
    await assertHolds(fromMany(flood));
  });

  it("T21 header bomb: streams of too many headers end, and so does a connection whose headers never end", async () => {
    const pairs = Array.from({ length: HEADER_PAIRS_MAX }, (_, i) => [`x-${i}`, "v"] as const);
    const bomb = async (): Promise<void> => {
      const connection = await raw();
      connection.write(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, requestHeaders("GET", "/agents", ...pairs)));
      assert.equal((await connection.frame(FRAME.reset)).readUInt32BE(0), ENHANCE_YOUR_CALM);
      connection.socket.destroy();
    };
    const endless = async (): Promise<void> => {
      const connection = await raw();
      connection.write(frame(FRAME.headers, FLAG.endStream, 1, requestHeaders("GET", "/agents")));
      const piece = frame(FRAME.continuation, 0, 1, headerBlock(["x-a", "b".repeat(8_000)]));
      const next = (error?: Error | null): void => {
        if (!error && !connection.socket.destroyed) connection.socket.write(piece, next);
      };
      next();
      await connection.closed;
    };
    await assertHolds(Promise.all([fromMany(bomb), fromMany(endless)]));
  });

  it("T23 PING and SETTINGS floods: the connections end, honest requests are served", async () => {
    const floods = [frame(FRAME.ping, 0, 0, Buffer.alloc(8)), frame(FRAME.settings, 0, 0)].map((one) => async () => {
      const connection = await raw();
      connection.write(...Array.from({ length: 1_000 }, () => one));
      assert.equal((await connection.frame(FRAME.goaway)).readUInt32BE(4), ENHANCE_YOUR_CALM);
      await connection.closed;
    });
    await assertHolds(Promise.all(floods.map(fromMany)));
  });

  it("T24 slow body: it is given up after its time, honest requests are served", async () => {
    await assertHolds(writer.frame(FRAME.data));
    assert.match((await writer.frame(FRAME.data)).toString(), /body_too_slow/);
  });

  it("T22 zero window: what waits for its reader is bounded, refused beyond that, and given up after its time", async () => {
    const isReset = (): boolean => reader.frames.some(({ type }) => type === FRAME.reset || type === FRAME.goaway);
    const over = (async () => {
      while (!isReset()) await once(reader.socket, "data");
    })();
    await assertHolds(over);
    // Streams that were refused have nobody who reads them either, and are reset like those that wait.
    const given = reader.frames.filter(
      ({ type, payload }) => type === FRAME.headers && payload.includes(HPACK_STATUS_200),
    ).length;
    assert.ok(given >= 1, "nothing was given");
    assert.ok(
      given * AGENTS * DESCRIPTION_LENGTH <= ANSWER_BYTES_PER_ADDRESS_MAX + AGENTS * DESCRIPTION_LENGTH,
      `${given} waited`,
    );
    assertMemory();
  });
});

/** Agents whose listing is large: what one reader is given may be much. */
function large(i: number): Mutation {
  return {
    op: "put",
    agent: {
      ...{ humanReadableId: `acme/large-${i}`, name: `large ${i}`, description: "x".repeat(DESCRIPTION_LENGTH) },
      ...{ capabilities: ["a"], tags: [], endpoints: [{ url: "https://agent.example", protocol: "a2a" }] },
      ...{ version: "1", status: "active" },
    },
  };
}
