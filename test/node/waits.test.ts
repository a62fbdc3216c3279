import assert from "node:assert/strict";
import { HEARTBEAT_MS } from "../../src/catalog/actor.ts";
import { ANNOUNCE_MS } from "../../src/membership/announcer.ts";
import { SESSION_IDLE_MS } from "../../src/replication/stream.ts";
import { names, World, type TestNode } from "./harness.ts";

/** Sooner than any heartbeat, announcement, or session that is given up. */
const SOON_MS = 5_000;
/** Less than any descriptor, more than what opens a stream. */
const HELLO_BYTES_MIN = 256;

describe("followers that wait for nothing", () => {
  it("follow at once a registry whose version they heard of before they knew the registry", async () => {
    const world = new World("head first");
    await world.run(async () => {
      const a = await world.start("a");
      await a.add("before");
      // Gossip overtakes the hello.
      world.link.ordered = (_from, _to, bytes) => (bytes < HELLO_BYTES_MIN ? 0 : SOON_MS);
      const b = await world.start("b", { peers: [a] });
      await world.until("the connection", () => b.network.connected().includes(a.identity.peerId));
      let heard = 0;
      world.link.gossip = (_, to) => (to === b.identity.peerId && heard++ === 0 ? [0] : []);
      await a.add("while-they-meet");
      await world.until("the gossip", () => heard > 0);
      assert.equal((await b.peer(a.did))?.followed, false);
      await world.synced(b, a, 3 * SOON_MS);
      assert.ok(3 * SOON_MS < HEARTBEAT_MS);
    });
  });

  it("know at once of each other when they come to one neighbour at the same moment", async () => {
    const world = new World("same moment");
    await world.run(async () => {
      const hub = await world.start("hub");
      // Either is greeted before the other has said who it is.
      world.link.ordered = (from, to) => (to === hub.identity.peerId ? 400 : from === hub.identity.peerId ? 20 : 5);
      const [b, c] = await Promise.all(["b", "c"].map((name) => world.start(name, { peers: [hub] })));
      for (const [one, other] of [
        [b, c],
        [c, b],
      ] as [TestNode, TestNode][])
        await world.until(
          `${one.name} to know ${other.name}`,
          async () => (await one.peer(other.did))?.connected === true,
          SOON_MS,
        );
      assert.ok(SOON_MS < ANNOUNCE_MS / 2);
    });
  });

  it("do not wait for each other when both ask who else has the newest version of a home that is gone", async () => {
    const world = new World("each other");
    await world.run(async () => {
      const a = await world.start("a");
      const far = await world.start("far", { peers: [a] });
      const b = await world.start("b", { peers: [a, far] });
      const c = await world.start("c", { peers: [a, far, b] });
      const isFar = (peerId: string): boolean => peerId === far.identity.peerId;
      world.link.ordered = (from, to) => (isFar(from) || isFar(to) ? 50 : 1);
      await a.add(...names("agent", 5));
      for (const node of [far, b, c]) await world.synced(node, a);
      const rttMs = async (node: TestNode, other: TestNode): Promise<number> => (await node.peer(other.did))?.rttMs ?? Number.NaN;
      const nearest = async (node: TestNode, other: TestNode): Promise<boolean> =>
        (await rttMs(node, other)) < (await rttMs(node, far));
      await world.until("round trips", async () => (await nearest(b, c)) && (await nearest(c, b)));
      const { ordered } = world.link;
      const isHome = (peerId: string): boolean => peerId === a.identity.peerId;
      const isCut = (from: string, to: string): boolean => (isHome(from) || isHome(to)) && !isFar(from) && !isFar(to);
      world.link.ordered = (from, to, bytes) => (isCut(from, to) ? undefined : ordered(from, to, bytes));
      await a.add("newest");
      await world.synced(far, a);
      const { mapRoot } = (await a.node.status()).catalog;
      world.link.ordered = ordered;
      world.kill(a);
      for (const node of [b, c]) {
        const root = async (): Promise<boolean> => (await node.peer(a.did))?.syncedRoot === mapRoot;
        await world.until(`${node.name} to have it from the one that has it`, root, SOON_MS);
      }
      assert.ok(SOON_MS < SESSION_IDLE_MS);
    });
  });
});
