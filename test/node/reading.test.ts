import assert from "node:assert/strict";
import { valueOf } from "../../protocols/lib/hash.ts";
import { AgentCache, CACHED_AGENTS_MAX, CACHED_BYTES_MAX, Generation, type Found } from "../../src/agent-cache.ts";
import { NAMESAKES_LISTED_MAX } from "../../src/agent-reading.ts";
import type { AgentDocument, NodeError } from "../../src/api.ts";
import { SETTLE_MS } from "../../src/node.ts";
import { SMALL_CHANGES_MAX } from "../../src/replication/session.ts";
import { encodeRecord } from "../../protocols/record/codec.ts";
import { realClock } from "../admin/map-node.ts";
import { agent, copyOf, names, World, type TestNode } from "./harness.ts";
import { Impostor } from "./impostor.ts";

const didOf = (node: TestNode, name: string): Promise<string> =>
  node.node.getAgent(`test/${name}`).then((view) => view?.agent.did ?? assert.fail(`no agent ${name}`));

/** What the catalogues say now, with no cache between, must be what is read, or older than it. */
async function assertFresh(node: TestNode, dids: readonly string[]): Promise<void> {
  for (const did of dids) {
    const view = await node.node.getAgent(did);
    const read = await node.node.readAgent(did);
    const again = await node.node.getAgent(did);
    const texts = [view, again].map((one) => one && Buffer.from(encodeRecord(one.agent)).toString());
    assert.ok(
      texts.includes(read && Buffer.from(read.bytes).toString()),
      `${node.name} shows revision ${view?.agent.revision} of ${did}, but reads ${read?.revision}`,
    );
  }
}

describe("reading agents", () => {
  it("gives the exact bytes of the record, from memory while nothing changes", async () => {
    const world = new World("read");
    await world.run(async () => {
      const a = await world.start("a");
      await a.add("one");
      const did = await didOf(a, "one");
      const first = await a.node.readAgent(did);
      assert.ok(first);
      assert.equal(
        Buffer.from(first.bytes).toString(),
        Buffer.from(encodeRecord((await a.node.getAgent(did))!.agent)).toString(),
      );
      assert.equal(first.hash, Buffer.from(valueOf(first.bytes)).toString("hex"));
      assert.deepEqual([first.did, first.home, first.own, first.revision], [did, a.did, true, 1]);
      assert.equal(await a.node.readAgent(did), first, "the same object: it was kept");
      assert.equal((await a.node.readAgent("test/one"))?.hash, first.hash);
      assert.equal(await a.node.readAgent("did:web:nobody.example"), undefined);
      for (const odd of ["", "/", "a//b", "é".repeat(200), "\ud800"]) assert.equal(await a.node.readAgent(odd), undefined);
    });
  });

  it("takes a name of ours for our own agent, whoever else has it, until it is deleted", async () => {
    const world = new World("namesakes");
    await world.run(async () => {
      const [a, b, home] = [await world.start("a"), await world.start("b"), await world.start("home")];
      await home.node.mutate([{ op: "put", agent: agent("wandering", { did: "did:web:agent.example" }) }]);
      await home.add("one");
      for (const other of [a, b]) {
        await other.add("one", "wandering", "elsewhere");
        await home.node.addPeer(other.address);
        await world.synced(home, other);
      }
      for (const name of ["test/one", "test/wandering"]) {
        const view = await home.node.getAgent(name);
        assert.deepEqual([view?.home.did, view?.home.own], [home.did, true], name);
        assert.equal((await home.node.readAgent(name))?.home, home.did, name);
        const { record } = (await home.node.proveAgent(name)) as { record: { registry: string } };
        assert.equal(record.registry, home.did, name);
      }
      const dids = await Promise.all([a, b].map((node) => didOf(node, "one")));
      await home.remove(await didOf(home, "one"));
      for (const ask of [home.node.getAgent, home.node.readAgent, home.node.proveAgent]) {
        await assert.rejects(ask("test/one"), (error: NodeError) => {
          assert.equal(error.code, "invalid");
          assert.ok(
            dids.every((did) => error.message.includes(did)),
            error.message,
          );
          return true;
        });
      }
    });
  });

  it("lists a bounded number of the agents that have a name which is not ours", async () => {
    const world = new World("many namesakes");
    await world.run(async () => {
      const home = await world.start("home");
      for (const name of names("other", NAMESAKES_LISTED_MAX + 2)) {
        const other = await world.start(name);
        await other.add("one");
        await home.node.addPeer(other.address);
        await world.synced(home, other);
      }
      await assert.rejects(home.node.readAgent("test/one"), ({ message }: NodeError) => {
        assert.equal(message.match(/did:[a-z]+:/g)?.length, NAMESAKES_LISTED_MAX, message);
        assert.match(message, / and 2 more$/);
        return true;
      });
    });
  });

  it("shows every change of our own as soon as it is acknowledged", async () => {
    const world = new World("own changes");
    await world.run(async () => {
      const a = await world.start("a");
      await a.add("one");
      const did = await didOf(a, "one");
      for (let i = 1; i <= 5; i++) {
        const readers = Array.from({ length: 20 }, () => a.node.readAgent(did));
        await a.node.mutate([{ op: "put", agent: agent("one", { description: `change ${i}` }) }]);
        assert.match(Buffer.from((await a.node.readAgent(did))?.bytes ?? []).toString(), new RegExp(`change ${i}`));
        await Promise.all(readers);
        assert.match(Buffer.from((await a.node.readAgent(did))?.bytes ?? []).toString(), new RegExp(`change ${i}`));
      }
      await a.remove(did);
      assert.equal(await a.node.readAgent(did), undefined);
      await a.add("one");
      assert.equal((await a.node.readAgent(did))?.revision, 7);
    });
  });

  it("shows every change that a sync brings, small or bulk, cut or whole, and forgets with the registry", async () => {
    const world = new World("synced changes");
    await world.run(async () => {
      const home = await Impostor.start(world, "home");
      const count = SMALL_CHANGES_MAX + 1_000;
      await home.commit(names("agent", count).map((name) => home.record(name)));
      let [cuts, sent] = [0, 0];
      home.behave = (frames, honest) =>
        honest({
          send: async (frame) => {
            sent += frame.length;
            if (cuts > 0 && sent > 300_000) {
              [cuts, sent] = [cuts - 1, 0];
              frames.abort(new Error("cut"));
              throw new Error("cut");
            }
            return frames.send(frame);
          },
          receive: () => frames.receive(),
          close: () => frames.close(),
          abort: (error) => frames.abort(error),
        });
      const node = await world.start("node", { peers: [home.address] });
      const whole = (): Promise<unknown> =>
        world.until("the whole catalogue", async () => {
          const peer = await node.peer(home.did);
          return peer?.syncedRoot === home.catalogue.mapRoot && peer.agents === home.catalogue.map.size;
        });
      await whole();
      const dids = await Promise.all([0, 1, 700, count - 1].map((i) => didOf(node, `agent-${i}`)));
      await assertFresh(node, dids);
      const [first] = dids as [string];
      const before = await node.node.readAgent(first);
      assert.equal(await node.node.readAgent(first), before);
      for (let round = 1; round <= 3; round++) {
        await home.commit([home.record("agent-0", { description: `round ${round}` })]);
        await home.announce();
        await whole();
        await assertFresh(node, dids);
        assert.match(Buffer.from((await node.node.readAgent(first))?.bytes ?? []).toString(), new RegExp(`round ${round}`));
      }
      // All records change, and the stream is cut in the middle twice: what is shown is a mixture, and so must be what is read.
      [cuts, sent] = [2, 0];
      const all = await Promise.all(names("agent", 200).map((name) => didOf(node, name)));
      await home.commit(names("agent", count).map((name) => home.record(name, { description: "all new" })));
      await home.announce();
      while ((await node.peer(home.did))?.syncedRoot !== home.catalogue.mapRoot) {
        await assertFresh(node, all.slice(0, 40));
        await world.simulation.sleep(20);
      }
      assert.equal(cuts, 0, "both cuts happened");
      await assertFresh(node, [...dids, ...all]);
      await node.node.removePeer(home.did);
      await world.until("it to be forgotten", async () => (await node.peer(home.did))?.followed !== true);
      assert.equal(await node.node.readAgent(first), undefined);
    });
  });

  it("T33 shows another home's claim as soon as it wins, and the one before when it is withdrawn", async () => {
    const world = new World("claims");
    await world.run(async () => {
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      const node = await world.start("node", { peers: [a, b] });
      const did = "did:web:agent.example";
      await a.node.mutate([{ op: "put", agent: agent("wandering", { did }) }]);
      await world.synced(node, a);
      assert.equal((await node.node.readAgent(did))?.home, a.did);
      await b.node.mutate([{ op: "put", agent: agent("wandering", { did, description: "moved" }) }]);
      await world.synced(node, b);
      assert.equal((await node.node.readAgent(did))?.home, b.did, "the last write wins");
      await b.remove(did);
      await world.synced(node, b);
      assert.equal((await node.node.readAgent(did))?.home, a.did);
    });
  });

  it("T53 shows what a new epoch took back", async () => {
    const world = new World("epochs");
    await world.run(async () => {
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      await a.add("one");
      await world.synced(b, a);
      const copy = await copyOf(world.kill(a));
      const went = await world.restart(a, await copyOf(copy));
      await went.node.mutate([{ op: "put", agent: agent("one", { description: "lost" }) }]);
      await world.synced(b, went);
      const did = await didOf(b, "one");
      assert.equal((await b.node.readAgent(did))?.revision, 2);
      world.kill(went);
      const restored = await world.restart(a, copy, { unsure: true, peers: [b] });
      await world.until("the new epoch", async () => (await restored.node.status()).catalog.epoch > 0, 10 * SETTLE_MS);
      await world.synced(b, restored);
      assert.equal((await b.node.readAgent(did))?.revision, 1);
      await assertFresh(b, [did]);
    });
  });

  it("T34 does not keep an answer that a record from the future may change", async () => {
    const world = new World("future");
    await world.run(async () => {
      const a = await world.start("a");
      const home = await Impostor.start(world, "home");
      const node = await world.start("node", { peers: [a, home.address] });
      const did = "did:web:agent.example";
      await a.node.mutate([{ op: "put", agent: agent("wandering", { did }) }]);
      const aheadMs = 90_000;
      await home.commit([home.record("wandering", { did, hlc: hlcAt(home.now() + aheadMs) })]);
      await world.synced(node, a);
      await home.announce();
      await world.until("the other claim", async () => (await node.peer(home.did))?.agents === 1);
      assert.equal((await node.node.readAgent(did))?.home, a.did);
      await world.simulation.sleep(aheadMs);
      assert.equal((await node.node.readAgent(did))?.home, home.did, "its time has come");
    });
  });
});

function hlcAt(ms: number): string {
  return Math.floor(ms).toString(16).padStart(12, "0") + "0000";
}

describe("the cache of agents", () => {
  const document = (did: string, bytes = 100): AgentDocument => ({
    ...{ did, home: "did:key:zHome", own: true, revision: 1, hlc: "0".repeat(16), hash: "", bytes: new Uint8Array(bytes) },
  });

  function cacheOf(find: (didOrName: string) => Promise<Found>): {
    cache: AgentCache;
    generation: Generation;
    searches: string[];
  } {
    const generation = new Generation();
    const searches: string[] = [];
    const cache = new AgentCache(generation, realClock, (didOrName) => {
      searches.push(didOrName);
      return find(didOrName);
    });
    return { cache, generation, searches };
  }

  it("keeps nothing of a search during which the generation moved", async () => {
    let answer = Promise.withResolvers<Found>();
    const { cache, generation, searches } = cacheOf(() => answer.promise);
    const first = cache.get("a");
    generation.move();
    const second = cache.get("a");
    assert.equal(searches.length, 2, "who asks after the change does not share a search from before");
    answer.resolve({ document: document("a"), lasting: true });
    await Promise.all([first, second]);
    assert.equal(await cache.get("a"), await second);
    assert.equal(searches.length, 2, "the second search was kept");
    generation.move();
    answer = Promise.withResolvers<Found>();
    answer.resolve({ document: undefined, lasting: true });
    assert.equal(await cache.get("a"), undefined);
    assert.equal(searches.length, 3);
  });

  it("lets those who ask at once share one search, also one that fails", async () => {
    const { cache, searches } = cacheOf((name) =>
      name === "bad" ? Promise.reject(new Error("no")) : Promise.resolve({ document: document(name), lasting: false }),
    );
    await Promise.all(Array.from({ length: 50 }, () => cache.get("a")));
    assert.equal(searches.length, 1);
    await cache.get("a");
    assert.equal(searches.length, 2, "what time may change is looked up again");
    const results = await Promise.allSettled([cache.get("bad"), cache.get("bad")]);
    assert.ok(results.every(({ status }) => status === "rejected"));
    await assert.rejects(cache.get("bad"));
    assert.equal(searches.filter((name) => name === "bad").length, 2);
  });

  it("keeps a bounded number of agents and of bytes, and lets the oldest go", async () => {
    const { cache, searches } = cacheOf((name) => Promise.resolve({ document: document(name), lasting: true }));
    for (let i = 0; i <= CACHED_AGENTS_MAX; i++) await cache.get(`a${i}`);
    const count = searches.length;
    await cache.get(`a${CACHED_AGENTS_MAX}`);
    await cache.get("a1");
    assert.equal(searches.length, count);
    await cache.get("a0");
    assert.equal(searches.length, count + 1);
    const half = CACHED_BYTES_MAX / 2;
    const large = cacheOf((name) => Promise.resolve({ document: document(name, half), lasting: true }));
    for (const name of ["a", "b", "c"]) await large.cache.get(name);
    await large.cache.get("b");
    assert.equal(large.searches.length, 3);
    await large.cache.get("a");
    assert.equal(large.searches.length, 4);
  });
});
