import assert from "node:assert/strict";
import { verifyEquivocation } from "../../protocols/checkpoint/note.ts";
import { verifyDescriptorConflict } from "../../protocols/descriptor/evidence.ts";
import { EPOCH_MAX } from "../../protocols/record/record.ts";
import { SEQUENCE_MAX } from "../../protocols/descriptor/descriptor.ts";
import { memberKey } from "../../src/membership/rows.ts";
import { Catalogue } from "../../src/catalog/catalogue.ts";
import { Impostor } from "../node/impostor.ts";
import { names, World, type TestNode } from "../node/harness.ts";

const CHECKSUM_BYTES = 4;
/** Long enough for any reaction that should not come. */
const QUIET_MS = 40_000;

async function evidenceOf(node: TestNode): Promise<Uint8Array[]> {
  const from = memberKey("evidence");
  const to = Buffer.concat([from, Buffer.alloc(80, 0xff)]);
  const found: Uint8Array[] = [];
  for await (const rows of node.disk.scan({ from, to })) for (const [, value] of rows) found.push(value.subarray(CHECKSUM_BYTES));
  return found;
}

async function untilEvidence(world: World, node: TestNode): Promise<Uint8Array> {
  await world.until("the evidence", async () => (await node.node.status()).evidence > 0);
  return world.until("the evidence's row", async () => (await evidenceOf(node))[0]);
}

async function withLiar(
  seed: string,
  script: (world: World, liar: Impostor, follower: TestNode) => Promise<void>,
): Promise<void> {
  const world = new World(seed);
  await world.run(async () => {
    const liar = await Impostor.start(world, "liar");
    await liar.commit(names("agent", 8).map((name) => liar.record(name)));
    const follower = await world.start("follower", { peers: [liar.address] });
    await world.until("the first sync", async () => (await follower.peer(liar.did))?.agents === 8);
    await script(world, liar, follower);
  });
}

/** The liar's catalogue as it would be had its last commit been another one. */
async function fork(liar: Impostor, name: string): Promise<{ main: Catalogue; side: Catalogue }> {
  const main = liar.catalogue;
  const side = new Catalogue(0, liar.did);
  side.epoch = main.epoch;
  liar.catalogue = side;
  for (let i = 0; i < main.log.size - 1; i++) side.log.append(main.log.leafHash(i));
  await liar.commit([liar.record(name)]);
  liar.catalogue = main;
  return { main, side };
}

describe("threats: descriptors and checkpoints", () => {
  it("T8 an older descriptor is ignored", () =>
    withLiar("t8", async (world, liar, follower) => {
      const old = liar.describe({ name: "liar", catalog: { epoch: 0 } });
      const now = liar.describe({ domain: "new.example" });
      await liar.announce({ descriptor: now });
      await liar.announce({ descriptor: old });
      await liar.announce({ descriptor: liar.describe({ sequence: 1 }) });
      await world.simulation.sleep(QUIET_MS);
      assert.equal((await follower.node.status()).evidence, 0);
      const greeted = await liar.greet(follower.identity.peerId);
      assert.ok(greeted.descriptor.length > 0);
      const stored = await follower.disk.get(memberKey("descriptor", Buffer.from(liar.did)));
      assert.ok(Buffer.from(stored as Uint8Array).includes("new.example"));
    }));

  it("T9 two descriptors of one sequence are evidence, which survives a restart", () =>
    withLiar("t9", async (world, liar, follower) => {
      await liar.announce({ descriptor: liar.describe({ sequence: 77, domain: "one.example" }) });
      await liar.announce({ descriptor: liar.describe({ sequence: 77, domain: "two.example" }) });
      const evidence = await untilEvidence(world, follower);
      assert.deepEqual(verifyDescriptorConflict(evidence), { did: liar.did, sequence: 77 });
      const again = await world.restart(follower, world.kill(follower));
      assert.equal((await again.node.status()).evidence, 1);
    }));

  it("T9 a registry cannot fill the space for evidence with its own", () =>
    withLiar("t9 flood", async (world, liar, follower) => {
      for (let i = 0; i < 40; i++) {
        await liar.announce({ descriptor: liar.describe({ sequence: 100, domain: `d${i}.example` }) });
        await world.simulation.sleep(10);
      }
      await untilEvidence(world, follower);
      assert.equal((await follower.node.status()).evidence, 8);
    }));

  for (const way of ["gossip", "hello", "sync"] as const) {
    it(`T26 two checkpoints of one size with different roots, met by ${way}, are evidence`, () =>
      withLiar(`t26 ${way}`, async (world, liar, follower) => {
        const { side } = await fork(liar, "other");
        const { head } = side;
        assert.ok(head);
        if (way === "gossip") await liar.announce({ head: head.signed });
        if (way === "hello") {
          const hello = { descriptor: liar.descriptor, head: head.signed, known: [], heads: [] };
          await liar.greet(follower.identity.peerId, hello);
        }
        if (way === "sync") {
          liar.twist = (answer) => ({ ...answer, head: head.signed });
          await follower.node.syncNow(liar.did);
        }
        const proof = verifyEquivocation(await untilEvidence(world, follower));
        assert.equal(proof.did, liar.did);
        assert.equal(proof.size, 1);
        assert.equal((await follower.peer(liar.did))?.agents, 8);
        const again = await world.restart(follower, world.kill(follower));
        assert.equal((await again.node.status()).evidence, 1);
      }));
  }

  it("T27 T28 a rewritten history is refused, and what was held before stays", () =>
    withLiar("t27", async (world, liar, follower) => {
      const { side } = await fork(liar, "rewritten");
      const root = liar.catalogue.mapRoot;
      liar.catalogue = side;
      await liar.commit([liar.record("after")]);
      await liar.announce();
      await world.until("the refusal", () => follower.logs(/does not verify/).length > 0);
      const peer = await follower.peer(liar.did);
      assert.equal(peer?.syncedRoot, root);
      assert.equal(peer.agents, 8);
      assert.ok(await follower.node.getAgent("test/agent-3"));
      assert.equal(await follower.node.getAgent("test/after"), undefined);
    }));

  it("T29 an older checkpoint is ignored, by gossip, hello and sync", () =>
    withLiar("t29", async (world, liar, follower) => {
      const old = liar.head;
      await liar.commit([liar.record("newer")]);
      await liar.announce();
      await world.until("the newer version", () => follower.node.getAgent("test/newer"));
      const root = liar.catalogue.mapRoot;
      await liar.announce({ head: old });
      await liar.greet(follower.identity.peerId, { descriptor: liar.descriptor, head: old, known: [], heads: [] });
      liar.twist = (answer) => ({ ...answer, head: old, logLeaves: new Uint8Array(0), frontier: [] });
      const [status] = await follower.node.syncNow(liar.did);
      assert.match(status?.lastError ?? "", /older version/);
      const peer = await follower.peer(liar.did);
      assert.equal(peer?.syncedRoot, root);
      assert.equal(peer.mapRoot, root);
      assert.equal((await follower.node.status()).evidence, 0);
    }));

  it("T54 an old commit under a new checkpoint is refused", () =>
    withLiar("t54", async (world, liar, follower) => {
      const old = liar.head;
      await liar.commit([liar.record("newer")]);
      liar.twist = (answer) => ({ ...answer, head: { ...answer.head, commit: old.commit, logProof: old.logProof } });
      await liar.announce();
      await world.until("the refusal", () => follower.logs(/does not verify/).length > 0);
      assert.equal(follower.logs(/does not verify/)[0]?.fields["code"], "not_the_last_commit");
      assert.equal((await follower.peer(liar.did))?.agents, 8);
    }));

  it("T57 a head of an epoch that no descriptor names does not lock out those of the epoch that counts", () =>
    withLiar("t57 head", async (world, liar, follower) => {
      const { catalogue } = liar;
      const far = new Catalogue(0, liar.did);
      far.epoch = EPOCH_MAX;
      liar.catalogue = far;
      await liar.commit([liar.record("far-away")]);
      await liar.announce({ head: liar.head });
      liar.catalogue = catalogue;
      await liar.commit([liar.record("near")]);
      await liar.announce({ head: liar.head });
      await world.until("the version that counts", () => follower.node.getAgent("test/near"));
      assert.equal(await follower.node.getAgent("test/far-away"), undefined);
    }));

  it("T57 the highest sequence and epoch are taken from their owner alone, and cost nobody else anything", () =>
    withLiar("t57 owner", async (world, liar, follower) => {
      const honest = await world.start("honest", { peers: [follower] });
      await honest.add("of-honest");
      await liar.announce({ descriptor: liar.describe({ sequence: SEQUENCE_MAX, catalog: { epoch: EPOCH_MAX } }) });
      await world.until("the new epoch", () => follower.logs(/raised its epoch without naming/).length > 0);
      await world.synced(follower, honest);
      await honest.add("later");
      await world.synced(follower, honest);
      assert.equal((await follower.node.status()).evidence, 0);
    }));

  it("T57 a huge revision wins nothing outside of its home", () =>
    withLiar("t57 revision", async (world, liar, follower) => {
      await liar.commit([liar.record("huge", { revision: 281_474_976_710_655 }), liar.record("beyond", { revision: 2 ** 53 })]);
      await liar.announce();
      const peer = await world.until("the records", async () => {
        const found = await follower.peer(liar.did);
        return found?.agents === 10 && found;
      });
      assert.equal(peer.refusedRecords, 1);
      assert.ok(await follower.node.getAgent("test/huge"));
      assert.equal(await follower.node.getAgent("test/beyond"), undefined);
    }));
});
