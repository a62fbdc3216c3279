import assert from "node:assert/strict";
import { mintDid } from "../../protocols/lib/did.ts";
import { Impostor } from "../node/impostor.ts";
import { names, World, type TestNode } from "../node/harness.ts";

/** A follower, and a registry that lies to it. */
async function pair(world: World): Promise<{ follower: TestNode; liar: Impostor }> {
  const liar = await Impostor.start(world, "liar");
  await liar.commit(names("good", 5).map((name) => liar.record(name)));
  const follower = await world.start("follower", { peers: [liar.address] });
  return { follower, liar };
}

describe("threats: what a catalogue may hold", () => {
  it("T31 T32 T34 T55 inadmissible records are replicated, counted and never shown, and the rest keeps syncing", async () => {
    const world = new World("inadmissible");
    await world.run(async () => {
      const { follower, liar } = await pair(world);
      const stranger = world.identity("stranger");
      const forged = { did: stranger.did, agent_signature: Buffer.alloc(64, 7).toString("base64") };
      const foreign = { did: mintDid(stranger.publicKey, "test/foreign") };
      const ahead = { hlc: `${(liar.now() + 3_600_000).toString(16).padStart(12, "0")}0000` };
      await liar.commit([
        liar.record("forged", forged),
        liar.record("foreign", foreign),
        liar.record("ahead", ahead),
        liar.record("newer-schema", { shape: { of: "tomorrow" } }),
        liar.record("good-too"),
      ]);
      await liar.announce();
      const peer = await world.until("the whole tree", async () => {
        const found = await follower.peer(liar.did);
        return found?.agents === 10 && found;
      });
      assert.equal(peer.syncedRoot, liar.catalogue.mapRoot);
      assert.equal(peer.refusedRecords, 4);
      const { agents } = await follower.node.listAgents({ limit: 100, registry: liar.did });
      assert.deepEqual(agents.map(({ name }) => name).toSorted(), ["good-0", "good-1", "good-2", "good-3", "good-4", "good-too"]);
      for (const did of [stranger.did, foreign.did, mintDid(liar.identity.publicKey, "test/newer-schema")]) {
        assert.equal(await follower.node.getAgent(did), undefined);
        await assert.rejects(follower.node.proveAgent(did), { code: "not_found" });
      }
      await liar.commit([liar.record("still-syncing")]);
      await liar.announce();
      await world.until("the next change", () => follower.node.getAgent("test/still-syncing"));
    });
  });
});
