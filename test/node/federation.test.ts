import assert from "node:assert/strict";
import { ANNOUNCE_MS } from "../../src/membership/announcer.ts";
import { rowKey } from "../../src/catalog/rows.ts";
import { agent, names, World, type TestNode } from "./harness.ts";

/** Soon enough that no periodic announcement can have been the reason. */
const AT_ONCE_MS = 2_500;

describe("a federation of registries", () => {
  it("converges over three nodes through imports, changes and deletes", async () => {
    const world = new World("converge");
    await world.run(async () => {
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      const c = await world.start("c", { peers: [b] });
      const added = await a.add(...names("first", 300));
      await b.add("of-b");
      await c.add("of-c", "of-c-too");
      const all = [a, b, c];
      const converged = async (): Promise<void> => {
        for (const follower of all) for (const home of all) if (home !== follower) await world.synced(follower, home);
      };
      await converged();
      const gone = added.flatMap((result) => (result.did === null ? [] : [result.did])).slice(0, 100);
      await a.remove(...gone);
      await a.node.mutate([{ op: "put", agent: agent("first-200", { description: "changed" }) }]);
      await converged();
      const held = await c.node.getAgent("test/first-200");
      assert.equal(held?.agent.description, "changed");
      assert.equal(held.home.name, "a");
      assert.equal(await c.node.getAgent(gone[0] as string), undefined);
      assert.equal((await c.node.listAgents({ limit: 1_000, registry: a.did })).agents.length, 200);
      world.assertNoContradiction();
    });
  });

  it("tells round trips in milliseconds with at most three decimals", async () => {
    const world = new World("round trips");
    await world.run(async () => {
      world.link.ordered = () => 1.234_567_89;
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      const rttMs = await world.until("a round trip", async () => (await b.node.status()).peers[0]?.rttMs ?? undefined);
      assert.ok(rttMs > 2 && Math.abs(rttMs * 1_000 - Math.round(rttMs * 1_000)) < 1e-9, String(rttMs));
    });
  });

  it("lets peers learn each other by gossip, and dial each other", async () => {
    const world = new World("gossip");
    await world.run(async () => {
      const hub = await world.start("hub");
      const spokes: TestNode[] = [];
      for (const name of ["s1", "s2", "s3"]) spokes.push(await world.start(name, { peers: [hub] }));
      for (const one of spokes) {
        for (const other of spokes) {
          if (one === other) continue;
          const peer = await world.until(`${one.name} to meet ${other.name}`, async () => {
            const found = await one.peer(other.did);
            return found?.connected === true && found;
          });
          assert.equal(peer.configured, false);
        }
      }
    });
  });

  it("brings a late joiner up to date through the hello, without waiting for an announcement", async () => {
    const world = new World("late");
    await world.run(async () => {
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      await a.add(...names("agent", 50));
      await world.synced(b, a);
      await world.simulation.sleep(5_000);
      world.link.gossip = () => [];
      const late = await world.start("late", { peers: [b] });
      await world.synced(late, b, AT_ONCE_MS);
      await world.synced(late, a, AT_ONCE_MS);
      assert.ok(AT_ONCE_MS * 2 < ANNOUNCE_MS);
    });
  });

  it("brings a restarted node up to date at once, with what it already had", async () => {
    const world = new World("restart");
    await world.run(async () => {
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      await a.add(...names("agent", 400));
      await world.synced(b, a);
      const disk = world.kill(b);
      await a.add("while-away");
      world.link.gossip = () => [];
      let frames = 0;
      const { ordered } = world.link;
      world.link.ordered = (from, to, bytes) => {
        if (to === b.identity.peerId) frames += bytes;
        return ordered(from, to, bytes);
      };
      const again = await world.restart(b, disk);
      const peer = await world.synced(again, a, AT_ONCE_MS);
      assert.equal(peer.agents, 401);
      assert.ok(frames < 30_000, `${frames} bytes: the whole catalogue came again`);
      await world.restart(a, world.kill(a)).then((home) => world.synced(again, home));
      world.assertNoContradiction();
    });
  });

  it("follows none, or those that are listed", async () => {
    const world = new World("follow");
    await world.run(async () => {
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      await a.add("of-a");
      await b.add("of-b");
      const none = await world.start("none", { peers: [a, b], follow: "none" });
      const some = await world.start("some", { peers: [a, b], follow: [b.did] });
      await world.synced(some, b);
      await world.until("all to know all", async () => {
        const known = await Promise.all([none, some].map(({ node }) => node.listPeers()));
        return known.every((peers) => peers.length >= 3);
      });
      assert.deepEqual(
        (await some.node.listPeers()).filter(({ followed }) => followed).map(({ did }) => did),
        [b.did],
      );
      assert.equal((await none.node.listPeers()).filter(({ followed }) => followed).length, 0);
      assert.equal(await some.node.getAgent("test/of-a"), undefined);
      assert.deepEqual(await none.node.syncNow(), []);
      await assert.rejects(none.node.syncNow(a.did), { code: "not_found" });
    });
  });

  it("forgets a removed peer's rows, does not take it back when it comes again, and follows it anew when it is added", async () => {
    const world = new World("remove");
    await world.run(async () => {
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      const c = await world.start("c", { peers: [a, b] });
      await a.add(...names("agent", 30));
      await world.synced(c, a);
      const rows = async (): Promise<number> => {
        let count = 0;
        for await (const chunk of c.disk.scan({ from: rowKey(1, "bucket"), to: Buffer.of(0x02) })) count += chunk.length;
        return count;
      };
      const before = await rows();
      await c.node.removePeer(a.did);
      await world.until("the rows to go", async () => (await rows()) < before - 30);
      await world.simulation.sleep(2 * ANNOUNCE_MS);
      assert.equal(await c.peer(a.did), undefined);
      assert.equal(await c.node.getAgent("test/agent-1"), undefined);
      assert.ok(!c.network.connected().includes(a.identity.peerId));
      await assert.rejects(c.node.removePeer("did:key:zNobody"), { code: "not_found" });
      const again = await world.restart(c, world.kill(c), { peers: [b] });
      await world.simulation.sleep(2 * ANNOUNCE_MS);
      assert.equal(await again.peer(a.did), undefined);
      await again.node.addPeer(a.address);
      await world.synced(again, a);
      assert.ok(await again.node.getAgent("test/agent-1"));
    });
  });

  it("waits when a peer asks it to: never more than the limit of requests, and all arrives in the end", async () => {
    const world = new World("throttle");
    await world.run(async () => {
      const a = await world.start("a", { requestsPerPeerPerMinuteMax: 6 });
      const b = await world.start("b", { peers: [a] });
      await world.synced(b, a);
      let throttled = false;
      for (const name of names("change", 40)) {
        await a.add(name);
        await world.simulation.sleep(500);
        throttled ||= (await b.node.syncStatus()).some(({ lastError }) => lastError?.includes("throttled") === true);
      }
      assert.ok(throttled, "the limit was never reached");
      const peer = await world.synced(b, a);
      assert.equal(peer.agents, 40);
      assert.ok((await b.node.syncStatus()).every(({ lastError }) => lastError === null));
    });
  });

  it("refuses its own address, what is no address, and more than it can know", async () => {
    const world = new World("addresses");
    await world.run(async () => {
      const a = await world.start("a");
      await assert.rejects(a.node.addPeer(a.address), { code: "invalid" });
      await assert.rejects(a.node.addPeer("/memory/b"), { code: "invalid" });
      assert.equal((await a.node.listPeers()).length, 0);
      const small = await world.start("small", { registriesMax: 1, peers: [a] });
      await assert.rejects(small.node.addPeer(`/memory/x/p2p/${world.identity("x").peerId}`), { code: "overloaded" });
    });
  });

  it("answers those who sync when nobody can be asked", async () => {
    const world = new World("nobody");
    await world.run(async () => {
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      await a.add("one");
      await world.synced(b, a);
      world.kill(a);
      await world.until("the loss to be noticed", async () => (await b.peer(a.did))?.connected === false);
      const [status] = await b.node.syncNow(a.did);
      assert.equal(status?.agents, 1);
    });
  });
});
