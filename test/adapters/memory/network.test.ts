import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { FramesError } from "../../../protocols/lib/frames.ts";
import { peerIdOf } from "../../../protocols/lib/did.ts";
import { SeededRandom } from "../../../simulations/engine/random.ts";
import { Simulation } from "../../../simulations/engine/simulation.ts";
import { MemoryHub } from "../../../src/adapters/memory/hub.ts";
import type { Link } from "../../../src/adapters/memory/link.ts";
import { createMemoryNetwork, type MemoryNetwork } from "../../../src/adapters/memory/network.ts";
import { STALL_MS_MAX } from "../../../src/adapters/memory/wire.ts";
import type { Clock } from "../../../src/ports/clock.ts";
import { NetworkError } from "../../../src/ports/network.ts";
import { networkContract } from "../../contract/network.ts";

const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (delayMs, fire) => {
    const timer = setTimeout(fire, delayMs).unref();
    return () => clearTimeout(timer);
  },
};

function freshPeerId(): string {
  const { x } = generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" });
  return peerIdOf(Buffer.from(x ?? "", "base64url"));
}

function federation(link?: Link): () => Promise<{ make(): Promise<MemoryNetwork>; close(): Promise<void> }> {
  return async () => {
    const random = new SeededRandom(randomBytes(8).toString("hex"));
    const hub = new MemoryHub({ clock: realClock, random, ...(link === undefined ? {} : { link }) });
    const made: MemoryNetwork[] = [];
    return {
      make: async () => {
        const network = createMemoryNetwork(hub, { peerId: freshPeerId() });
        made.push(network);
        return network;
      },
      close: async () => {
        for (const network of made) await network.stop();
      },
    };
  };
}

networkContract("memory", federation());
networkContract("memory with a delay", federation({ ordered: () => 1 + Math.random(), gossip: () => [Math.random() * 3] }));

const ECHO = "/test/echo/1.0.0";
const LIMIT_MS = 600_000;
const forever = { signal: new AbortController().signal };

/** Two connected networks in virtual time over a link that the test may change. */
async function inVirtualTime(
  script: (world: {
    simulation: Simulation;
    a: MemoryNetwork;
    b: MemoryNetwork;
    hub: MemoryHub;
    link: TestLink;
  }) => Promise<void>,
): Promise<Simulation> {
  const simulation = new Simulation({ seed: "network" });
  const link: TestLink = { delayMs: 10, cut: new Set(), copies: [10] };
  const hub = new MemoryHub({
    clock: { now: () => simulation.nowMs, monotonic: () => simulation.nowMs, after: (ms, fire) => simulation.after(ms, fire) },
    random: simulation.random.fork("hub"),
    link: {
      ordered: (from, to) => (link.cut.has(`${from}>${to}`) ? undefined : link.delayMs),
      gossip: () => link.copies,
    },
  });
  const [a, b] = ["a", "b"].map((peerId) => createMemoryNetwork(hub, { peerId })) as [MemoryNetwork, MemoryNetwork];
  await simulation.run(async () => {
    await a.start();
    await b.start();
    for (const network of [a, b]) {
      network.handle(
        ECHO,
        async (frames) => {
          for (let frame = await frames.receive(); frame !== undefined; frame = await frames.receive()) await frames.send(frame);
          await frames.close();
        },
        { streamsPerPeerMax: 4 },
      );
    }
    await a.connect({ addresses: b.addresses() }, forever);
    await simulation.sleep(100);
    await script({ simulation, a, b, hub, link });
  }, LIMIT_MS);
  return simulation;
}

interface TestLink {
  delayMs: number;
  readonly cut: Set<string>;
  copies: readonly number[];
}

describe("memory network under faults, in virtual time", () => {
  it("T48 takes the link's delay for a round trip", () =>
    inVirtualTime(async ({ a, b, link }) => {
      assert.equal(await a.ping(b.peerId, forever), 20);
      link.delayMs = 250;
      assert.equal(await a.ping(b.peerId, forever), 500);
    }).then(() => undefined));

  it("T46 holds frames back while a path is cut for a moment, and delivers them in order", async () => {
    await inVirtualTime(async ({ simulation, a, b, link }) => {
      const stream = await a.open(b.peerId, ECHO, forever);
      link.cut.add("a>b");
      for (const byte of [1, 2, 3]) await stream.send(Uint8Array.of(byte));
      simulation.after(3_000, () => link.cut.clear());
      const startedMs = simulation.nowMs;
      for (const byte of [1, 2, 3]) assert.deepEqual(await stream.receive(), Uint8Array.of(byte));
      assert.ok(simulation.nowMs - startedMs >= 3_000 && simulation.nowMs - startedMs < 3_500);
    });
  });

  it("T46 breaks a connection whose path stays cut, on the side that has something to send", async () => {
    await inVirtualTime(async ({ simulation, a, b, link }) => {
      const stream = await a.open(b.peerId, ECHO, forever);
      link.cut.add("a>b").add("b>a");
      await stream.send(Uint8Array.of(1));
      await assert.rejects(stream.receive(), (error) => error instanceof FramesError && error.code === "reset");
      assert.ok(simulation.nowMs >= STALL_MS_MAX);
      assert.deepEqual([a.connected(), b.connected()], [[], ["a"]]);
      link.cut.clear();
      await assert.rejects(b.ping("a", forever), NetworkError);
      assert.deepEqual(b.connected(), []);
      await a.connect({ addresses: b.addresses() }, forever);
      assert.equal(await b.connect({ addresses: a.addresses() }, forever), "a");
      assert.equal(await b.ping("a", forever), 20);
    });
  });

  it("T46 replaces what the other side still takes for a connection", async () => {
    await inVirtualTime(async ({ simulation, a, b, link }) => {
      const events: string[] = [];
      b.onPeer((event) => events.push(event.type));
      link.cut.add("a>b");
      await assert.rejects(a.ping("b", forever), NetworkError);
      link.cut.clear();
      await a.connect({ addresses: b.addresses() }, forever);
      await simulation.sleep(100);
      assert.deepEqual(events, ["disconnected", "connected"]);
      assert.equal(await b.ping("a", forever), 20);
    });
  });

  it("T44 answers nothing after a crash; peers learn of it by a reset, or when they send", async () => {
    for (const reset of [true, false]) {
      await inVirtualTime(async ({ simulation, a, b, hub }) => {
        const answered: string[] = [];
        const stream = await a.open("b", ECHO, forever);
        void a.ping("b", forever).finally(() => answered.push("ping"));
        void stream.receive().finally(() => answered.push("receive"));
        const [address] = a.listening() as [string];
        a.crash({ reset });
        await simulation.sleep(1_000);
        assert.deepEqual(b.connected(), reset ? [] : ["a"]);
        const successor = createMemoryNetwork(hub, { peerId: "a", listen: [address] });
        await successor.start();
        if (!reset) await assert.rejects(b.ping("a", forever), NetworkError);
        assert.deepEqual(b.connected(), []);
        assert.equal(await b.connect({ addresses: [address] }, forever), "a");
        assert.deepEqual([answered, successor.up], [[], true]);
        await simulation.sleep(20);
        assert.deepEqual([successor.connected(), b.servedStreams], [["b"], 0]);
      });
    }
  });

  it("T48 loses, doubles and reorders gossip as the link says; validators see each message once", async () => {
    await inVirtualTime(async ({ simulation, a, b, link }) => {
      const heard: string[] = [];
      b.subscribe("t", (message) => {
        heard.push(Buffer.from(message.data).toString());
        return "accept";
      });
      const steps: [readonly number[], string][] = [
        [[], "lost"],
        [[50, 10], "doubled"],
        [[90], "late"],
        [[5], "early"],
      ];
      for (const [copies, text] of steps) {
        link.copies = copies;
        await a.publish("t", Buffer.from(text));
      }
      await simulation.sleep(1_000);
      assert.deepEqual(heard, ["early", "doubled", "late"]);
    });
  });
});
