import assert from "node:assert/strict";
import { mintDid } from "../../protocols/lib/did.ts";
import { keyOf } from "../../protocols/lib/hash.ts";
import { REPAIR_RETRY_MS } from "../../src/catalog/repairs.ts";
import { OWN_CATALOGUE, rowKey, tableRange } from "../../src/catalog/rows.ts";
import { agent, names, World, type TestNode } from "../node/harness.ts";

const A_BIT = 300;
/** The background check reads all of a small store in one step, and so at least this often. */
const FOUND_MS_MAX = 60_000;

function spoil(node: TestNode, home: TestNode, name: string): string {
  const did = mintDid(home.identity.publicKey, `test/${name}`);
  const catalogue = node === home ? OWN_CATALOGUE : 1;
  assert.ok(node.disk.flipBit(rowKey(catalogue, "record", keyOf(did)), A_BIT));
  return did;
}

describe("threats: bytes that rot on disk", () => {
  it("T45 a damaged record of our own comes back from a follower when it is read, and is durable again", async () => {
    const world = new World("t45 own");
    await world.run(async () => {
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      await a.add(...names("agent", 20));
      await world.synced(b, a);
      const before = await a.node.status();
      const did = spoil(a, a, "agent-4");
      await assert.rejects(a.node.getAgent(did), { code: "damaged" });
      const healed = await world.until("the record again", () => a.node.getAgent(did).catch(() => undefined));
      assert.equal(healed.agent.name, "agent-4");
      await a.node.proveAgent(did);
      assert.equal((await a.node.status()).catalog.mapRoot, before.catalog.mapRoot, "nothing was changed");
      assert.equal(a.logs(/brought back by a peer/).length, 1);
      const again = await world.restart(a, world.kill(a));
      assert.equal((await again.node.getAgent(did))?.agent.name, "agent-4");
    });
  });

  it("T45 one that nobody else has stays reported, harms no other, and comes back with the first follower that has it", async () => {
    const world = new World("t45 alone");
    await world.run(async () => {
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      await a.add(...names("agent", 5));
      await world.synced(b, a);
      const away = world.kill(b);
      const did = spoil(a, a, "agent-2");
      await assert.rejects(a.node.getAgent(did), { code: "damaged" });
      await world.until("the report", () => a.logs(/no peer has a copy/).length > 0);
      await assert.rejects(a.node.getAgent(did), { code: "damaged" });
      await a.add("another");
      assert.equal((await a.node.status()).catalog.agents, 6);
      await world.restart(b, away);
      await world.until("the record again", () => a.node.getAgent(did).catch(() => undefined), REPAIR_RETRY_MS * 3);
    });
  });

  it("T45 registering the agent again makes it whole, and nothing old comes back over it", async () => {
    const world = new World("t45 again");
    await world.run(async () => {
      const a = await world.start("a");
      await a.add(...names("agent", 5));
      const did = spoil(a, a, "agent-2");
      await assert.rejects(a.node.getAgent(did), { code: "damaged" });
      await a.node.mutate([{ op: "put", agent: agent("agent-2", { description: "Registered again." }) }]);
      const b = await world.start("b", { peers: [a] });
      await world.synced(b, a);
      await world.simulation.sleep(REPAIR_RETRY_MS * 3);
      assert.equal((await a.node.getAgent(did))?.agent.description, "Registered again.");
      assert.equal(a.logs(/brought back by a peer/).length, 0);
    });
  });

  it("T45 rot is found in the background, in our own catalogue and in replicas, before anybody reads it", async () => {
    const world = new World("t45 scrub");
    await world.run(async () => {
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      await a.add(...names("agent", 20));
      await world.synced(b, a);
      const own = spoil(a, a, "agent-4");
      await world.until("our own record", () => a.logs(/brought back by a peer/).length > 0, FOUND_MS_MAX);
      const replicated = spoil(b, a, "agent-7");
      await world.until("the replica's", () => b.logs(/damaged and is fetched again/).length > 0, FOUND_MS_MAX);
      await world.synced(b, a);
      assert.equal((await a.node.getAgent(own))?.agent.name, "agent-4");
      assert.equal((await b.node.getAgent(replicated))?.agent.name, "agent-7");
    });
  });

  for (const table of ["head", "leaf", "bucket"] as const) {
    it(`T45 a replica that rotted in its rows (${table}) is fetched again at the next start`, async () => {
      const world = new World(`t45 replica ${table}`);
      await world.run(async () => {
        const a = await world.start("a");
        const b = await world.start("b", { peers: [a] });
        await a.add(...names("agent", 20));
        await world.synced(b, a);
        const disk = world.kill(b);
        const { from } = tableRange(1, table);
        const [key] = disk.content.nearest(from, false) ?? [];
        assert.ok(key !== undefined && disk.flipBit(key, A_BIT));
        const again = await world.restart(b, disk);
        const peer = await world.synced(again, a);
        assert.equal(peer.agents, 20);
        assert.equal(again.logs(/actor crashed/).length, 0);
      });
    });
  }

  it("T45 rot that is found while a follower is served is repaired too, and the follower completes", async () => {
    const world = new World("t45 served");
    await world.run(async () => {
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      await a.add(...names("agent", 20));
      await world.synced(b, a);
      spoil(a, a, "agent-4");
      const c = await world.start("c", { peers: [a] });
      await world.synced(c, a);
      assert.equal(a.logs(/brought back by a peer/).length, 1);
    });
  });
});
