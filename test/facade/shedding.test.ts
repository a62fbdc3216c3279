import assert from "node:assert/strict";
import { CHECKPOINT_PATH } from "../../protocols/http/head-document.ts";
import { encodeIntroduction } from "../../protocols/http/introduction-documents.ts";
import { Shedding, type Standing } from "../../src/facade/shedding.ts";
import type { Svid } from "../../src/ports/credentials.ts";
import {
  OPERATOR_TOKEN,
  send,
  ServedRegistry,
  signed,
  TestCredentials,
  TestRegistry,
  type Received,
  type Sending,
} from "./harness.ts";
import { TestClock } from "./test-clock.ts";

describe("the facade: shedding", () => {
  it("sheds with 503 and Retry-After under pressure, but never what watches the process", async () => {
    const clock = new TestClock();
    const server = await ServedRegistry.start({ clock, pressure: () => 2 });
    try {
      const session = server.connect();
      const ask = (): Promise<Received[]> =>
        Promise.all(Array.from({ length: 50 }, () => send(session, { path: CHECKPOINT_PATH })));
      await ask();
      clock.advance(1_000);
      const shed = (await ask()).filter(({ status }) => status === 503);
      assert.ok(shed.length >= 20 && shed.length <= 30, `${shed.length} of 50 shed at a share of 0.49`);
      assert.equal(shed[0]?.headers["retry-after"], "2");
      const watched = await Promise.all(Array.from({ length: 20 }, () => send(session, { path: "/healthz" })));
      assert.ok(watched.every(({ status }) => status === 200));
    } finally {
      await server.stop();
    }
  });

  /** Of so many requests of each standing in one second, how many are served. */
  function served(shedding: Shedding, second: number, asked: Partial<Record<Standing, number>>): Record<string, number> {
    const counts = Object.entries(asked).map(([standing, count]) => {
      const answers = Array.from({ length: count }, () => shedding.admits(standing as Standing, second * 1_000));
      return [standing, answers.filter(Boolean).length] as const;
    });
    return Object.fromEntries(counts);
  }

  it("serves less the longer the pressure lasts, and all again when it is over", () => {
    let pressure = 2;
    const shedding = new Shedding(() => pressure);
    const servedAt = (second: number): number => served(shedding, second, { reader: 20_000 })["reader"] as number;
    const expected = [20_000, 14_000, 9_800, 6_860];
    for (const [second, count] of [0, 1, 2, 3].map(servedAt).entries()) {
      assert.ok(Math.abs(count - (expected[second] as number)) <= 2, `${count} of 20,000 in second ${second}`);
    }
    for (let second = 4; second < 10; second++) servedAt(second);
    assert.ok(Math.abs(servedAt(10) - 2_000) <= 1, "never less than a tenth");
    pressure = 0;
    for (let second = 11; second < 30; second++) servedAt(second);
    assert.equal(servedAt(30), 20_000);
  });

  it("grows back while nobody asks, as it would if somebody did", () => {
    let pressure = 2;
    const shedding = new Shedding(() => pressure);
    for (let second = 0; second < 10; second++) served(shedding, second, { reader: 20_000 });
    pressure = 0;
    assert.deepEqual(served(shedding, 30, { reader: 100 }), { reader: 100 });
  });

  it("serves a single request whatever the pressure is", () => {
    const shedding = new Shedding(() => 2);
    assert.deepEqual(served(shedding, 0, { stranger: 1, reader: 1, wanted: 1 }), { stranger: 1, reader: 1, wanted: 1 });
  });

  it("T25 takes from strangers first, from readers when those are at their floor, from whom the operator named last", () => {
    const shedding = new Shedding(() => 2);
    const asked = { stranger: 500, reader: 2_000, wanted: 750 };
    const seconds = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((second) => served(shedding, second, asked));
    const firstBelow = (standing: keyof typeof asked, count: number): number =>
      seconds.findIndex((one) => (one[standing] as number) <= count);
    const strangersAtFloor = firstBelow("stranger", 51);
    assert.ok(firstBelow("stranger", 499) < strangersAtFloor, "little by little");
    assert.ok(firstBelow("reader", 1_999) >= strangersAtFloor, JSON.stringify(seconds));
    assert.ok(firstBelow("wanted", 749) >= firstBelow("reader", 201), JSON.stringify(seconds));
    assert.ok(firstBelow("wanted", 749) > 0, "they give way in the end");
  });

  it("T25 takes nothing from the others for strangers who are too many even at their floor", () => {
    const shedding = new Shedding(() => 2);
    for (let second = 0; second < 20; second++) {
      const { stranger, ...others } = served(shedding, second, { stranger: 1_000, reader: 10, wanted: 3 });
      assert.deepEqual(others, { reader: 10, wanted: 3 });
      if (second > 10) assert.ok((stranger as number) <= 101, `${stranger} of 1,000`);
    }
  });

  it("T25 takes nothing from the others for those who only shake hands", () => {
    const shedding = new Shedding(() => 2);
    for (let second = 0; second < 20; second++) {
      for (let i = 0; i < 200; i++) shedding.handshake();
      assert.deepEqual(served(shedding, second, { reader: 2_000, wanted: 100 }), { reader: 2_000, wanted: 100 });
    }
  });

  it("counts work: a few signed requests of strangers weigh more than many reads", () => {
    const shedding = new Shedding(() => 2);
    for (const second of [0, 1]) served(shedding, second, { stranger: 20, reader: 100 });
    const { stranger, reader } = served(shedding, 1, { stranger: 20, reader: 100 });
    assert.equal(reader, 100);
    assert.ok((stranger as number) < 15, `${stranger} of 20`);
  });

  describe("by who asks", () => {
    let server: ServedRegistry;
    let clock: TestClock;

    beforeEach(async () => {
      clock = new TestClock();
      server = await ServedRegistry.start({ clock, pressure: () => 2 });
    });
    afterEach(() => server.stop());

    /** First answers to ten requests of strangers and one of `sending` at once, for as long as only strangers are to be shed. */
    async function underLoad(
      as: TestRegistry | Svid | undefined,
      sending: () => Sending,
    ): Promise<{ shed: number; strangers: number }> {
      const stranger = await TestRegistry.create("stranger");
      server.node.knows(stranger);
      const [attack, session] = [server.connect(stranger), server.connect(as)];
      const counts = { shed: 0, strangers: 0 };
      for (let second = 0; second < 3; second++) {
        const read = (): Sending => signed(stranger, server, { method: "GET", path: CHECKPOINT_PATH, body: new Uint8Array(0) });
        const answers = await Promise.all(Array.from({ length: 10 }, () => send(attack, read())));
        counts.strangers += answers.filter(({ problem }) => problem?.code === "busy").length;
        for (let i = 0; i < 4; i++) counts.shed += Number((await send(session, sending())).problem?.code === "busy");
        clock.advance(1_000);
      }
      return counts;
    }

    function assertSpared({ shed, strangers }: { shed: number; strangers: number }): void {
      assert.equal(shed, 0);
      assert.ok(strangers >= 10, `${strangers} of 30 requests of strangers shed`);
    }

    it("T25 spares a registry that the operator named", async () => {
      const named = await TestRegistry.create("named");
      server.node.knows(named, { isWanted: true });
      assertSpared(await underLoad(named, () => signed(named, server, { path: "/federation/sync/catalog" })));
    });

    it("T25 spares a registry that the operator named as soon as it has introduced itself", async () => {
      const named = await TestRegistry.create("named");
      let isKnown = false;
      const sending = (): Sending => {
        if (isKnown) return signed(named, server, { path: "/federation/sync/catalog" });
        isKnown = true;
        const announced = server.node.announced.bind(server.node);
        server.node.announced = (introduction) => {
          server.node.knows(named, { isWanted: true });
          return announced(introduction);
        };
        return signed(named, server, {
          path: "/federation/public",
          body: encodeIntroduction({ descriptor: named.descriptor() }),
        });
      };
      assertSpared(await underLoad(named, sending));
    });

    it("T25 spares who only reads", async () => {
      assertSpared(await underLoad(undefined, () => ({ path: "/federation/public" })));
    });

    it("T25 spares the operator", async () => {
      const headers = { authorization: `Bearer ${OPERATOR_TOKEN}` };
      assertSpared(await underLoad(undefined, () => ({ method: "POST", path: "/federation/public", headers })));
    });

    it("T25 spares nobody who only says that he is a registry that the operator named", async () => {
      const named = await TestRegistry.create("named");
      server.node.knows(named, { isWanted: true });
      // One has a certificate of its own, the other one in that registry's name, which another authority made.
      for (const certificate of [await TestRegistry.create("liar"), (await TestCredentials.create(named.identity)).svid()]) {
        const { shed } = await underLoad(certificate, () => signed(named, server, { path: "/federation/sync/catalog" }));
        assert.ok(shed > 0);
      }
    });
  });
});
