import assert from "node:assert/strict";
import { agent, names, World } from "./harness.ts";

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
      assert.equal(held?.home.name, "a");
      assert.equal(await c.node.getAgent(gone[0] as string), undefined);
      assert.equal((await c.node.listAgents({ limit: 1_000, registry: a.did })).agents.length, 200);
      world.assertNoContradiction();
    });
  });
});
