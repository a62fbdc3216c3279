import assert from "node:assert/strict";
import { createRegistryIdentity } from "../../src/identity/registry-identity.ts";
import type { NodeError } from "../../src/api.ts";
import { World, type TestNode } from "../node/harness.ts";

function inWorld(seed: string, script: (world: World) => Promise<void>): () => Promise<void> {
  return () => {
    const world = new World(seed);
    return world.run(() => script(world));
  };
}

const RETURN = /a removed peer comes back at the next start/;

describe("removing a peer", () => {
  const met = async (world: World, one: TestNode, other: TestNode): Promise<void> => {
    await world.until(`${one.name} to meet ${other.name}`, async () => (await one.peer(other.did))?.name === other.identity.name);
  };

  it(
    "takes a name that one registry has, and warns where the settings name it",
    inWorld("remove by name", async (world) => {
      const [a, c] = [await world.start("a"), await world.start("c")];
      const b = await world.start("b", { peers: [a] });
      await b.node.addPeer(c.address);
      await met(world, b, a);
      await met(world, b, c);
      await b.node.removePeer("c");
      assert.deepEqual([(await b.peer(c.did))?.did, (await b.peer(a.did))?.did], [undefined, a.did]);
      assert.deepEqual(b.logs(RETURN), [], "it was added, and is in no settings");
      await b.node.removePeer("a");
      assert.equal(await b.peer(a.did), undefined);
      assert.deepEqual(
        b.logs(RETURN).map(({ level, fields }) => [level, fields["addresses"]]),
        [["warn", [a.address]]],
      );
      await assert.rejects(b.node.removePeer("nobody"), { code: "not_found" });
      const again = await world.restart(b, world.kill(b));
      await met(world, again, a);
    }),
  );

  it(
    "refuses a name of two, and says which they are",
    inWorld("remove namesakes", async (world) => {
      const identity = createRegistryIdentity(world.simulation.random.fork("namesake").bytes(32), "twin");
      const [one, two] = [await world.start("twin"), await world.start("other", { identity })];
      const b = await world.start("b", { peers: [one, two] });
      await met(world, b, one);
      await met(world, b, two);
      await assert.rejects(b.node.removePeer("twin"), (error: NodeError) => {
        assert.equal(error.code, "invalid");
        return [one, two].every(({ did }) => error.message.includes(did));
      });
      await b.node.removePeer(two.did);
      await b.node.removePeer("twin");
      assert.equal(await b.peer(one.did), undefined);
    }),
  );
});
