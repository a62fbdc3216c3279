import assert from "node:assert/strict";
import type { Answer } from "../../protocols/catalog-sync/handler.ts";
import { decodeServerMessage, encodeClientMessage } from "../../protocols/catalog-sync/codec.ts";
import { CATALOG_SYNC_PROTOCOL, type BatchEntry } from "../../protocols/catalog-sync/messages.ts";
import { HELLO_PROTOCOL } from "../../protocols/announce/hello.ts";
import { ANNOUNCE_TOPIC } from "../../protocols/announce/announcement.ts";
import { EMPTY } from "../../protocols/checkpoint/map.ts";
import { mintDid } from "../../protocols/lib/did.ts";
import { keyOf } from "../../protocols/lib/hash.ts";
import type { Frames } from "../../protocols/lib/frames.ts";
import { rowKey } from "../../src/catalog/rows.ts";
import { SESSION_IDLE_MS, SESSION_MS_MAX } from "../../src/replication/stream.ts";
import { Impostor, type Behave } from "../node/impostor.ts";
import { names, World, type TestNode } from "../node/harness.ts";

const NEVER = new AbortController().signal;

/** A registry that was honest while `first` followed it, and a newcomer that it is not honest with. */
async function betrayed(
  world: World,
  agents: number,
  turn: (liar: Impostor) => void,
): Promise<{ liar: Impostor; first: TestNode; newcomer: () => Promise<TestNode> }> {
  const liar = await Impostor.start(world, "liar");
  await liar.commit(names("agent", agents).map((name) => liar.record(name)));
  const first = await world.start("first", { peers: [liar.address] });
  await world.until("the honest sync", async () => (await first.peer(liar.did))?.syncedRoot === liar.catalogue.mapRoot);
  turn(liar);
  return { liar, first, newcomer: () => world.start("newcomer", { peers: [liar.address] }) };
}

/** The same answer with the entries of its first batch changed. */
function falsified(change: (entries: BatchEntry[]) => BatchEntry[]): (answer: Answer) => Answer {
  return (answer) => ({
    ...answer,
    async *batches() {
      let isFirst = true;
      for await (const batch of answer.batches()) {
        yield isFirst ? change([...batch]) : batch;
        isFirst = false;
      }
    },
  });
}

function swapped(entries: BatchEntry[]): BatchEntry[] {
  const [one, two, ...rest] = entries;
  return one && two ? [two, one, ...rest] : entries;
}

const LIES: Readonly<Record<string, (liar: Impostor) => (entries: BatchEntry[]) => BatchEntry[]>> = {
  "a changed record": () => (entries) =>
    entries.map((entry, i) =>
      i === 0 && entry.op === "put"
        ? { ...entry, record: Buffer.from(Buffer.from(entry.record).toString().replace("The agent", "Xhe agent")) }
        : entry,
    ),
  "a record left out": () => (entries) => entries.slice(1),
  "a record instead of another": (liar) => (entries) =>
    entries.map((entry, i) => (i === 0 && entry.op === "put" ? { ...entry, record: liar.record("another") } : entry)),
  "two records in the wrong order": () => swapped,
  "a delete instead of a record": () => (entries) =>
    entries.map((entry, i) => (i === 0 && entry.op === "put" ? { op: "delete", key: entry.key } : entry)),
  "a record twice": () => (entries) => [entries[0] as BatchEntry, ...entries.slice(0, -1)],
  "a leaf that nobody named": () => (entries) => [{ op: "keep", leaf: 3 }, ...entries.slice(1)],
};

const STALLS: Readonly<Record<string, (world: World) => Behave>> = {
  "never answers": () => async (frames) => {
    for (;;) if ((await frames.receive()) === undefined) return;
  },
  "closes in the middle": () => async (frames, honest) => {
    let left = 4;
    const cut = async (frame: Uint8Array): Promise<void> => {
      if (left-- === 0) return frames.abort(new Error("had enough"));
      return frames.send(frame);
    };
    await honest({ ...facade(frames), send: cut });
  },
  "ends early": () => async (frames, honest) => {
    let left = 3;
    await honest({ ...facade(frames), send: async (frame) => (left-- === 0 ? frames.close() : frames.send(frame)) });
  },
  "floods with junk": () => async (frames) => {
    await frames.receive();
    for (let i = 0; i < 10_000; i++) await frames.send(Buffer.alloc(1_000, i));
  },
  "floods with frames nobody asked for": () => async (frames, honest) => {
    const send = async (frame: Uint8Array): Promise<void> => {
      for (let i = 0; i < 50; i++) await frames.send(frame);
    };
    await honest({ ...facade(frames), send });
  },
  "answers one frame each nine seconds": (world) => async (frames, honest) => {
    const send = async (frame: Uint8Array): Promise<void> => {
      await world.simulation.sleep(SESSION_IDLE_MS - 1_000);
      await frames.send(frame);
    };
    await honest({ ...facade(frames), send });
  },
};

function facade(frames: Frames): Frames {
  return {
    send: (frame) => frames.send(frame),
    receive: () => frames.receive(),
    close: () => frames.close(),
    abort: (reason) => frames.abort(reason),
  };
}

describe("threats: sources that lie, stall or flood", () => {
  for (const [lie, make] of Object.entries(LIES)) {
    it(`T30 ${lie} under a folded frontier: nothing of it is applied, and another source is asked`, async () => {
      const world = new World(`t30 ${lie}`);
      await world.run(async () => {
        const { liar, first, newcomer } = await betrayed(world, 40, (each) => {
          each.twist = falsified(make(each));
        });
        first.network.setGater(() => false);
        const node = await newcomer();
        await world.until("the refusal", () => node.logs(/does not verify/).length > 0);
        assert.equal((await node.peer(liar.did))?.agents, 0);
        assert.equal((await node.node.listAgents({ limit: 100 })).agents.length, 0);
        first.network.setGater(() => true);
        await node.node.addPeer(first.address);
        const peer = await world.until("the data from elsewhere", async () => {
          const found = await node.peer(liar.did);
          return found?.syncedRoot === liar.catalogue.mapRoot && found;
        });
        assert.equal(peer.agents, 40);
        assert.equal(await node.node.getAgent("test/another"), undefined);
      });
    });
  }

  for (const [stall, make] of Object.entries(STALLS)) {
    it(`T36 a registry that ${stall} is given up, and its data come from another follower`, async () => {
      const world = new World(`t36 ${stall}`);
      await world.run(async () => {
        const { liar, first, newcomer } = await betrayed(world, 4_600, (each) => {
          each.behave = make(world);
        });
        const node = await newcomer();
        await node.node.addPeer(first.address);
        const peer = await world.until(
          "the data from elsewhere",
          async () => {
            const found = await node.peer(liar.did);
            return found?.syncedRoot === liar.catalogue.mapRoot && found;
          },
          SESSION_MS_MAX + 60_000,
        );
        assert.equal(peer.agents, 4_600);
        // The map is whole, and so are the rows.
        let shown = 0;
        for (let cursor: string | null = ""; cursor !== null;) {
          const page = await node.node.listAgents({ limit: 1_000, registry: liar.did, ...(cursor && { cursor }) });
          shown += page.agents.length;
          cursor = page.cursor;
        }
        assert.equal(shown, 4_600);
      });
    });
  }

  it("T36 a peer that claims to be throttled for ever does not stop us", async () => {
    const world = new World("t36 throttled");
    await world.run(async () => {
      const { liar, first, newcomer } = await betrayed(world, 10, (each) => {
        each.behave = async (frames) => {
          for (let frame = await frames.receive(); frame !== undefined; frame = await frames.receive()) {
            // refusal, throttled, 2^32 − 1 ms
            await frames.send(Buffer.of(16, 3, 255, 255, 255, 255));
          }
        };
      });
      assert.deepEqual(decodeServerMessage(Buffer.of(16, 3, 255, 255, 255, 255)), {
        ...{ kind: "refusal", code: "throttled", retryAfterMs: 4_294_967_295 },
      });
      const node = await newcomer();
      await node.node.addPeer(first.address);
      await world.until("the data from elsewhere", () => node.node.getAgent("test/agent-7"));
      assert.equal((await node.peer(liar.did))?.agents, 10);
    });
  });

  it("T36 a home that announces what it does not serve is not asked in a busy loop", async () => {
    const world = new World("t36 loop");
    await world.run(async () => {
      const { liar, first } = await betrayed(world, 10, () => undefined);
      const old = liar.catalogue.head;
      await liar.commit([liar.record("hidden")]);
      liar.twist = (answer) => ({ ...answer, head: old?.signed ?? answer.head, logLeaves: new Uint8Array(0), frontier: [] });
      const before = liar.asked.length;
      await liar.announce();
      await world.simulation.sleep(60_000);
      const asked = liar.asked.length - before;
      assert.ok(asked > 1 && asked < 20, `asked ${asked} times in a minute`);
      assert.equal((await first.peer(liar.did))?.agents, 10);
    });
  });

  it("T45 a damaged record of a replica is fetched again", async () => {
    const world = new World("t45");
    await world.run(async () => {
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      await a.add(...names("agent", 20));
      await world.synced(b, a);
      const did = mintDid(a.identity.publicKey, "test/agent-4");
      assert.ok(b.disk.flipBit(rowKey(1, "record", keyOf(did)), 300));
      await assert.rejects(b.node.getAgent(did), { code: "damaged" });
      const healed = await world.until("the record again", async () => b.node.getAgent(did).catch(() => undefined));
      assert.equal(healed.agent.name, "agent-4");
      assert.equal((await b.node.listAgents({ limit: 100, registry: a.did })).agents.length, 20);
      await b.node.proveAgent(did);
    });
  });

  it("T49 a slow peer does not slow the others", async () => {
    const world = new World("t49");
    await world.run(async () => {
      const a = await world.start("a");
      const fast = await world.start("fast", { peers: [a] });
      const slow = await world.start("slow", { peers: [a] });
      await world.until("all to be connected", async () => (await a.node.listPeers()).filter((p) => p.connected).length === 2);
      world.link.ordered = (from, to) => ([from, to].includes(slow.identity.peerId) ? 2_000 : 0);
      world.link.gossip = (from, to) => ([from, to].includes(slow.identity.peerId) ? [2_000] : [0]);
      await a.add(...names("agent", 2_000));
      await world.synced(fast, a, 1_000);
      assert.notEqual((await slow.peer(a.did))?.agents, 2_000);
      await world.synced(slow, a);
    });
  });

  it("T50 unknown versions are refused clearly, and the node goes on", async () => {
    const world = new World("t50");
    await world.run(async () => {
      const liar = await Impostor.start(world, "liar");
      const a = await world.start("a", { peers: [liar.address] });
      await world.until("the connection", () => a.network.connected().length === 1);
      const { peerId } = a.identity;
      const next = CATALOG_SYNC_PROTOCOL.replace("1.0.0", "2.0.0");
      await assert.rejects(liar.network.open(peerId, next, { signal: NEVER }), { code: "protocol_unsupported" });
      const hello = await liar.network.open(peerId, HELLO_PROTOCOL, { signal: NEVER });
      await hello.send(Buffer.of(2, 0, 0));
      // Its own hello may come first; then the stream ends in an error.
      await assert.rejects(async () => {
        for (;;) if ((await hello.receive()) === undefined) return;
      });
      await liar.network.publish(ANNOUNCE_TOPIC, Buffer.of(2, 3, 0, 0));
      const sync = await liar.network.open(peerId, CATALOG_SYNC_PROTOCOL, { signal: NEVER });
      await sync.send(Buffer.of(99, 0, 0));
      const answer = decodeServerMessage((await sync.receive()) as Uint8Array);
      assert.deepEqual(answer, { kind: "refusal", code: "bad_request", retryAfterMs: 0 });
      await a.add("still-here");
      assert.equal(a.logs(/crashed/).length, 0);
    });
  });

  it("T36 a peer that floods us with requests and streams is held to its limit, and others are served", async () => {
    const world = new World("t36 requests");
    await world.run(async () => {
      const liar = await Impostor.start(world, "liar");
      const a = await world.start("a", { peers: [liar.address], requestsPerPeerPerMinuteMax: 30 });
      await a.add(...names("agent", 10));
      await world.until("the connection", () => a.network.connected().length === 1);
      const request = encodeClientMessage({
        ...{ kind: "request", registry: a.did, epoch: 0, baseSize: 0, baseRoot: EMPTY, logSize: 0 },
      });
      let [served, throttled, resets] = [0, 0, 0];
      const streams = await Promise.all(
        Array.from({ length: 8 }, () => liar.network.open(a.identity.peerId, CATALOG_SYNC_PROTOCOL, { signal: NEVER })),
      );
      await Promise.all(
        streams.map(async (stream) => {
          try {
            for (let i = 0; i < 50; i++) await stream.send(request);
            for (let answers = 0; answers < 50;) {
              const frame = await stream.receive();
              if (frame === undefined) return;
              const message = decodeServerMessage(frame);
              if (message.kind === "header") served += 1;
              if (message.kind === "end" || message.kind === "refusal") answers += 1;
              if (message.kind === "refusal" && message.code === "throttled") {
                assert.ok(message.retryAfterMs > 0 && message.retryAfterMs <= 60_000);
                throttled += 1;
              }
            }
          } catch {
            resets += 1;
          }
        }),
      );
      assert.ok(served >= 1 && served <= 30, `${served} requests of a minute were served`);
      assert.equal(served + throttled, 200);
      assert.equal(resets, 4);
      const honest = await world.start("honest", { peers: [a] });
      await world.synced(honest, a, 5_000);
    });
  });
});
