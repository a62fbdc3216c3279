import assert from "node:assert/strict";
import { signAgent } from "../../protocols/record/signature.ts";
import type { AgentInput, AgentView } from "../../src/api.ts";
import type { RegistryIdentity } from "../../src/identity/registry-identity.ts";
import { agent, World, type TestNode } from "../node/harness.ts";

async function three(world: World): Promise<[TestNode, TestNode, TestNode]> {
  const a = await world.start("a");
  const b = await world.start("b", { peers: [a] });
  const c = await world.start("c", { peers: [a, b] });
  return [a, b, c];
}

async function allSynced(world: World, all: readonly TestNode[]): Promise<void> {
  for (const follower of all) for (const home of all) if (home !== follower) await world.synced(follower, home);
}

async function views(all: readonly TestNode[], did: string): Promise<AgentView[]> {
  return Promise.all(
    all.map(async ({ node }) => {
      const view = await node.getAgent(did);
      assert.ok(view);
      return view;
    }),
  );
}

async function put(node: TestNode, input: AgentInput, ifRevision?: number): Promise<void> {
  const mutation = { op: "put", agent: input, ...(ifRevision !== undefined && { ifRevision }) } as const;
  const [result] = await node.node.mutate([mutation]);
  assert.notEqual(result?.outcome, "refused", JSON.stringify(result));
}

/** The agent's own signature over what it lets `home` publish. */
function signed(key: RegistryIdentity, home: TestNode, revision: number, description: string): AgentInput {
  const fields = { ...agent("signed", { description }), did: key.did } as Parameters<typeof signAgent>[0];
  return { ...fields, agent_signature: signAgent({ ...fields, registry: home.did, revision }, (bytes) => key.sign(bytes)) };
}

/** One answer, whoever is asked: the winner, and every other claim. */
function assertSame(all: readonly AgentView[], winner: TestNode, loser: TestNode): void {
  for (const view of all) {
    assert.equal(view.home.did, winner.did);
    assert.deepEqual(
      view.claims.map(({ home }) => home),
      [loser.did],
    );
    assert.deepEqual(view.agent, all[0]?.agent);
  }
}

describe("threats: one agent, several homes", () => {
  it("T33 the last write wins where nobody shows control, on every node, and every claim is kept", async () => {
    const world = new World("t33");
    await world.run(async () => {
      const [a, b, c] = await three(world);
      const did = "did:web:agents.example:translator";
      await put(a, agent("shared", { did, description: "by a" }));
      await world.simulation.sleep(1_000);
      await put(b, agent("shared", { did, description: "by b" }));
      await allSynced(world, [a, b, c]);
      assertSame(await views([a, b, c], did), b, a);
      await put(a, agent("shared", { did, description: "by a again" }));
      await allSynced(world, [a, b, c]);
      const after = await views([a, b, c], did);
      assertSame(after, a, b);
      assert.equal(after[0]?.agent.description, "by a again");
      const again = await world.restart(c, world.kill(c));
      await allSynced(world, [a, b, again]);
      assertSame(await views([a, b, again], did), a, b);
    });
  });

  it("T35 the agent's own signed revision wins over a later write, in any order of arrival", async () => {
    for (const first of ["a", "b"]) {
      const world = new World(`t35 ${first}`);
      await world.run(async () => {
        const [a, b, c] = await three(world);
        const key = world.identity("agent");
        const steps = {
          a: async () => {
            await put(a, signed(key, a, 1, "one"), 0);
            await put(a, signed(key, a, 2, "two"), 1);
          },
          b: async () => put(b, signed(key, b, 1, "elsewhere"), 0),
        };
        const order = first === "a" ? [steps.a, steps.b] : [steps.b, steps.a];
        for (const step of order) {
          await step();
          await world.simulation.sleep(1_000);
        }
        await allSynced(world, [a, b, c]);
        const all = await views([a, b, c], key.did);
        assertSame(all, a, b);
        assert.equal(all[0]?.agent.description, "two");
      });
    }
  });
});
