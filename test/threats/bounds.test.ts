import assert from "node:assert/strict";
import { createRegistryIdentity } from "../../src/identity/registry-identity.ts";
import { signDescriptor } from "../../protocols/descriptor/codec.ts";
import { memberKey } from "../../src/membership/rows.ts";
import { tableRange } from "../../src/catalog/rows.ts";
import { Impostor } from "../node/impostor.ts";
import { names, World, type TestNode } from "../node/harness.ts";

async function countRows(node: TestNode, range: { readonly from: Uint8Array; readonly to: Uint8Array }): Promise<number> {
  let count = 0;
  for await (const rows of node.disk.scan(range)) count += rows.length;
  return count;
}

/** Descriptors of registries that nobody ever met, all with keys of their own. */
function strangers(world: World, count: number, now: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => {
    const stranger = createRegistryIdentity(world.simulation.random.fork(`stranger ${i}`).bytes(32), `stranger-${i}`);
    const { did, name, peerId, spiffeId } = stranger;
    return signDescriptor(
      {
        ...{ did, name, peerId, spiffeId, multiaddrs: [`/memory/nowhere-${i}`], sequence: 1, catalog: { epoch: 0 } },
        ...{ issuedAt: now, expiresAt: now + 3_600_000 },
      },
      (bytes) => stranger.sign(bytes),
    );
  });
}

describe("threats: what strangers can make us keep", () => {
  it("T56 a catalogue larger than we are willing to keep is not taken, and what was held before stays", async () => {
    const world = new World("t56 large");
    await world.run(async () => {
      const large = await Impostor.start(world, "large");
      await large.commit(names("agent", 90).map((name) => large.record(name)));
      const node = await world.start("node", { peers: [large.address], agentsPerReplicaMax: 100 });
      await world.until("the first version", async () => (await node.peer(large.did))?.agents === 90);
      const root = large.catalogue.mapRoot;
      await large.commit(names("more", 11).map((name) => large.record(name)));
      await large.announce();
      await world.until("the refusal", () => node.logs(/does not verify/).length > 0);
      const peer = await node.peer(large.did);
      assert.equal(peer?.agents, 90);
      assert.equal(peer.syncedRoot, root);
      const [status] = await node.node.syncStatus();
      assert.match(status?.lastError ?? "", /101 agents, we replicate at most 100/);
    });
  });

  it("T56 a catalogue that is larger than its own commit says is given up before it fills the disk", async () => {
    const world = new World("t56 lie");
    await world.run(async () => {
      const liar = await Impostor.start(world, "liar");
      await liar.commit(names("agent", 9_000).map((name) => liar.record(name)));
      const { signed } = liar.signHead(0, { agents: 50 });
      liar.catalogue.setHead(signed);
      const node = await world.start("node", { peers: [liar.address], agentsPerReplicaMax: 100 });
      await world.until("the refusal", () => node.logs(/does not verify/).length > 3);
      assert.equal(node.logs(/does not verify/)[0]?.fields["code"], "limit_exceeded");
      const rows = await countRows(node, tableRange(1, "record"));
      assert.ok(rows <= 50, `${rows} records were stored`);
    });
  });

  it("T56 strangers cannot push out those whom we follow, are connected to, or configured", async () => {
    const world = new World("t56 table");
    await world.run(async () => {
      const limit = 20;
      const friend = await world.start("friend");
      const away = await world.start("away");
      await away.add("of-away");
      const follow = [friend.did, away.did];
      const node = await world.start("node", { peers: [friend], registriesMax: limit, follow });
      await away.node.addPeer(node.address);
      await world.synced(node, away);
      world.kill(away);
      const liar = await Impostor.start(world, "liar");
      await liar.connect(node.address);
      const all = strangers(world, 120, liar.now());
      for (let i = 0; i < all.length; i += 30) {
        await liar.greet(node.identity.peerId, { descriptor: liar.descriptor, known: all.slice(i, i + 30), heads: [] });
      }
      await world.simulation.sleep(1_000);
      const peers = await node.node.listPeers();
      assert.equal(peers.length, limit);
      for (const did of [friend.did, away.did, liar.did]) assert.ok(peers.some((peer) => peer.did === did));
      assert.ok(await node.node.getAgent("test/of-away"));
      const from = memberKey("descriptor");
      const stored = await countRows(node, { from, to: Buffer.concat([from, Buffer.alloc(80, 0xff)]) });
      assert.ok(stored <= limit, `${stored} descriptors are stored`);
      const again = await world.restart(node, world.kill(node));
      assert.ok((await again.node.listPeers()).length <= limit);
      await world.until("the replica", () => again.node.getAgent("test/of-away"));
    });
  });

  it("T56 not more registries are followed than we are willing to", async () => {
    const world = new World("t56 replicas");
    await world.run(async () => {
      const node = await world.start("node", { replicasMax: 2 });
      for (const name of ["a", "b", "c", "d"]) await world.start(name, { peers: [node] }).then((each) => each.add(`of-${name}`));
      const followed = async (): Promise<number> =>
        (await node.node.listPeers()).filter((peer) => peer.followed && peer.agents === 1).length;
      await world.until("two replicas", async () => (await node.node.listPeers()).length === 4 && (await followed()) === 2);
      await world.simulation.sleep(30_000);
      assert.equal(await followed(), 2);
    });
  });

  it("T36 T51 a peer that says hello without end is held to its limit", async () => {
    const world = new World("hello flood");
    await world.run(async () => {
      const node = await world.start("node");
      const liar = await Impostor.start(world, "liar");
      await liar.connect(node.address);
      let [taken, refused] = [0, 0];
      for (let i = 0; i < 100; i++) {
        await liar.greet(node.identity.peerId).then(
          () => (taken += 1),
          () => (refused += 1),
        );
      }
      assert.ok(taken > 0 && taken <= 30, `${taken} taken`);
      assert.equal(taken + refused, 100);
      const honest = await world.start("honest", { peers: [node] });
      await world.synced(honest, node, 5_000);
    });
  });
});
