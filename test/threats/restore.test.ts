import assert from "node:assert/strict";
import { SETTLE_MS } from "../../src/node.ts";
import { MemoryStore } from "../../src/adapters/memory/store.ts";
import { copyOf, names, World, type TestNode } from "../node/harness.ts";

/** Sooner than any announcement or heartbeat. */
const SOON_MS = 3_000;

/** A registry with followers, a copy of its disk, and what it signed after the copy was made. */
async function copied(world: World): Promise<{ a: TestNode; b: TestNode; c: TestNode; copy: MemoryStore }> {
  const a = await world.start("a");
  const b = await world.start("b", { peers: [a] });
  const c = await world.start("c", { peers: [a, b] });
  await a.add(...names("before", 20));
  await world.synced(b, a);
  await world.synced(c, a);
  const copy = await copyOf(world.kill(a));
  return { a, b, c, copy };
}

describe("threats: restored and copied data directories", () => {
  it("T53 a restored registry raises its epoch from what peers show, and followers follow it", async () => {
    const world = new World("t53 restored");
    await world.run(async () => {
      const { a, b, c, copy } = await copied(world);
      const before = await copyOf(copy);
      const went = await world.restart(a, copy);
      await went.add(...names("after", 5));
      await world.synced(b, went);
      await world.synced(c, went);
      const lost = (await went.node.status()).catalog.logSize;
      world.kill(went);
      const restored = await world.restart(a, before, { unsure: true, peers: [b, c] });
      assert.match((await restored.node.status()).catalog.paused ?? "", /copied or restored/);
      const adding = restored.add("since");
      await world.until("the new epoch", async () => (await restored.node.status()).catalog.epoch > 0);
      await adding;
      const peer = await world.synced(b, restored);
      assert.equal(peer.agents, 21);
      await world.synced(c, restored);
      assert.equal(await b.node.getAgent("test/after-1"), undefined);
      assert.ok(await c.node.getAgent("test/since"));
      // The last checkpoint of the epoch before is the newest that peers had seen, so nothing is hidden.
      assert.equal(b.logs(/without naming/).length, 0);
      assert.ok(lost > 0);
      for (const node of [b, c]) assert.equal((await node.node.status()).evidence, 0);
      world.assertNoContradiction();
    });
  });

  it("T53 a moved registry whose peers know nothing newer goes on in its epoch", async () => {
    const world = new World("t53 moved");
    await world.run(async () => {
      const { a, b, copy } = await copied(world);
      const moved = await world.restart(a, copy, { unsure: true, peers: [b] });
      await moved.add("since");
      assert.equal((await moved.node.status()).catalog.epoch, 0);
      await world.synced(b, moved);
      world.assertNoContradiction();
    });
  });

  it("T53 a registry of which only the key is left learns what it signed before it signs, time and again", async () => {
    const world = new World("t53 key alone");
    await world.run(async () => {
      const { a, b, c, copy } = await copied(world);
      const others = { unsure: true, peers: [b, c] };
      let restored = await world.restart(a, copy);
      await world.synced(b, restored);
      let epoch = 0;
      for (let times = 0; times < 4; times++) {
        world.kill(restored);
        restored = await world.restart(a, new MemoryStore(), others);
        // It follows the others while it waits.
        for (const home of [b, c]) await world.synced(restored, home, SETTLE_MS / 2);
        assert.match((await restored.node.status()).catalog.paused ?? "", /copied or restored/);
        await restored.add(`since-${times}`);
        const { catalog } = await restored.node.status();
        assert.ok(catalog.epoch > epoch, `epoch ${catalog.epoch} after ${epoch}`);
        assert.equal(catalog.paused, null);
        epoch = catalog.epoch;
        for (const follower of [b, c]) assert.equal((await world.synced(follower, restored, SOON_MS)).agents, 1);
      }
      // It named the last checkpoint that its peers had seen each time.
      for (const node of [b, c]) {
        assert.equal(node.logs(/without naming/).length, 0);
        assert.equal((await node.node.status()).evidence, 0);
      }
      world.assertNoContradiction();
    });
  });

  it("T53 one peer that lags behind does not make a restored registry sign an old version again", async () => {
    const world = new World("t53 lagging");
    await world.run(async () => {
      const { a, b, c, copy } = await copied(world);
      const before = await copyOf(copy);
      const lagging = world.kill(c);
      const went = await world.restart(a, copy);
      await went.add(...names("after", 5));
      await world.synced(b, went);
      world.kill(went);
      const late = await world.restart(c, lagging, { follow: "none", peers: [] });
      // The one that lags is met at once, the one that knows more only after a while.
      world.link.ordered = (from, to) => ([from, to].includes(b.identity.peerId) ? 1_200 : 0);
      const restored = await world.restart(a, before, { unsure: true, peers: [late, b] });
      await restored.add("since");
      world.assertNoContradiction();
      assert.ok((await restored.node.status()).catalog.epoch > 0);
      world.assertNoContradiction();
    });
  });

  it("T53 alone, a restored registry raises its epoch after a bounded wait, also when the disk is full at first", async () => {
    const world = new World("t53 alone");
    await world.run(async () => {
      const { a, b, c, copy } = await copied(world);
      world.kill(b);
      world.kill(c);
      let isFull = true;
      const beforeWrite = (): void => {
        if (isFull) throw new Error("no space left on device");
      };
      const before = await copyOf(copy, { beforeWrite });
      const restored = await world.restart(a, before, { unsure: true, peers: [] });
      const startedMs = world.simulation.nowMs;
      await world.simulation.sleep(SETTLE_MS + 5_000);
      isFull = false;
      await world.until("the new epoch", async () => {
        const status = await restored.node.status().catch(() => undefined);
        return status !== undefined && status.catalog.epoch > 0 && status.catalog.paused === null;
      });
      assert.ok(world.simulation.nowMs - startedMs < 8 * SETTLE_MS);
      await restored.add("since");
      world.assertNoContradiction();
    });
  });

  it("T53 two processes with one key: the one that sees the other's newer version stops contradicting it", async () => {
    const world = new World("t53 twins");
    await world.run(async () => {
      const { a, b, copy } = await copied(world);
      const twinDisk = await copyOf(copy);
      const one = await world.restart(a, copy);
      await one.add("by-one");
      await world.synced(b, one);
      world.kill(one);
      // Started from the older copy, and nobody said so: its peers do.
      const two = await world.restart(a, twinDisk, { peers: [b] });
      await world.until("the doubt to be settled", async () => (await two.node.status()).catalog.epoch > 0);
      await two.add("by-two");
      await world.synced(b, two);
      assert.ok(await b.node.getAgent("test/by-two"));
    });
  });
});
