import assert from "node:assert/strict";
import { decodeServerMessage } from "../../protocols/catalog-sync/codec.ts";
import { SMALL_BYTES_MAX, SMALL_CHANGES_MAX } from "../../src/replication/session.ts";
import { Impostor } from "../node/impostor.ts";
import { names, World, type TestNode } from "../node/harness.ts";

const AGENTS = 6_000;
const PAGE = 1_000;

async function home(world: World, agents = AGENTS): Promise<Impostor> {
  const home = await Impostor.start(world, "home");
  await home.commit(names("agent", agents).map((name) => home.record(name)));
  return home;
}

/** Every agent that the node shows of `did`: rows, not only the map. */
async function shown(node: TestNode, did: string): Promise<number> {
  let count = 0;
  for (let cursor: string | null = ""; cursor !== null;) {
    const page = await node.node.listAgents({ limit: PAGE, registry: did, ...(cursor !== "" && { cursor }) });
    count += page.agents.length;
    cursor = page.cursor;
  }
  return count;
}

function untilWhole(world: World, node: TestNode, home: Impostor): Promise<unknown> {
  return world.until("the whole catalogue", async () => {
    const peer = await node.peer(home.did);
    return peer?.syncedRoot === home.catalogue.mapRoot && peer.agents === home.catalogue.map.size;
  });
}

/** Cuts each stream after `records` records, as often as `cuts` says, and counts the records that each stream brought. */
function cutting(home: Impostor, records: number, cuts: number): number[] {
  const counts: number[] = [];
  let left = cuts;
  home.behave = async (frames, honest) => {
    const stream = counts.push(0) - 1;
    const doomed = left-- > 0;
    const send = async (frame: Uint8Array): Promise<void> => {
      const message = decodeServerMessage(frame);
      const puts = message.kind === "batch" ? message.entries.filter(({ op }) => op === "put").length : 0;
      if (doomed && (counts[stream] as number) + puts > records) {
        frames.abort(new Error("cut"));
        throw new Error("cut");
      }
      counts[stream] = (counts[stream] as number) + puts;
      return frames.send(frame);
    };
    await honest({ send, receive: () => frames.receive(), close: () => frames.close(), abort: (e) => frames.abort(e) });
  };
  return counts;
}

describe("bulk sync", () => {
  it("goes on by descent where a cut stream left off, and does not start over", async () => {
    const world = new World("bulk cut");
    await world.run(async () => {
      const source = await home(world);
      assert.ok(AGENTS > SMALL_CHANGES_MAX);
      const counts = cutting(source, 2_000, 2);
      const node = await world.start("node", { peers: [source.address] });
      await untilWhole(world, node, source);
      assert.equal(await shown(node, source.did), AGENTS);
      const sent = counts.reduce((sum, n) => sum + n, 0);
      assert.ok(counts.length >= 3, `${counts.length} streams`);
      // At the most, each cut loses what was on its way.
      assert.ok(sent < AGENTS + 2 * 600, `${sent} records (${counts.join()}) were sent where ${AGENTS} are enough`);
    });
  });

  it("goes on after the process was killed, with what had reached the disk", async () => {
    const world = new World("bulk kill");
    await world.run(async () => {
      const source = await home(world);
      let batches = 0;
      const half = Promise.withResolvers<void>();
      source.behave = async (frames, honest) => {
        const send = async (frame: Uint8Array): Promise<void> => {
          if (decodeServerMessage(frame).kind === "batch" && ++batches === 15) half.resolve();
          await world.simulation.sleep(20);
          await frames.send(frame);
        };
        await honest({ send, receive: () => frames.receive(), close: () => frames.close(), abort: (e) => frames.abort(e) });
      };
      const node = await world.start("node", { peers: [source.address] });
      await half.promise;
      const disk = world.kill(node);
      const counts = cutting(source, Number.POSITIVE_INFINITY, 0);
      const again = await world.restart(node, disk);
      assert.ok(((await again.peer(source.did))?.agents ?? 0) > 0);
      await untilWhole(world, again, source);
      assert.equal(await shown(again, source.did), AGENTS);
      assert.ok((counts[0] as number) < AGENTS - 2_000, `${counts[0]} records after the restart`);
    });
  });

  it("takes a target that moves in the middle", async () => {
    const world = new World("bulk moves");
    await world.run(async () => {
      const source = await home(world);
      cutting(source, 1_500, 1);
      const node = await world.start("node", { peers: [source.address] });
      await world.until("the first batches", async () => ((await node.peer(source.did))?.agents ?? 0) > 0);
      await source.commit(
        names("later", 300).map((name) => source.record(name)),
        { deletes: names("agent", 50).map((name) => (JSON.parse(source.record(name).toString()) as { did: string }).did) },
      );
      await source.announce();
      await untilWhole(world, node, source);
      assert.equal(await shown(node, source.did), AGENTS + 250);
    });
  });

  for (const agents of [AGENTS, 40]) {
    it(`survives a full disk in the middle of ${agents} agents: nothing is lost, and it recovers when there is room`, async () => {
      const world = new World(`full disk ${agents}`);
      await world.run(async () => {
        const source = await home(world, agents);
        let [isFull, writes, refused] = [false, 0, 0];
        const hooks = {
          beforeWrite: (operations: readonly unknown[]): void => {
            if (operations.length > 30 && ++writes === (agents === AGENTS ? 7 : 1)) isFull = true;
            if (!isFull) return;
            refused += 1;
            throw new Error("no space left on device");
          },
        };
        const node = await world.start("node", { peers: [source.address], hooks });
        await world.until("the disk to be full", () => refused > 0);
        await world.simulation.sleep(20_000);
        assert.ok((await node.node.status()).catalog.logSize >= 0);
        isFull = false;
        writes = Number.POSITIVE_INFINITY;
        await untilWhole(world, node, source);
        assert.equal(await shown(node, source.did), agents);
        const again = await world.restart(node, world.kill(node), { hooks: {} });
        await untilWhole(world, again, source);
        assert.equal(await shown(again, source.did), agents);
        await again.add("still-writable");
      });
    });
  }

  it("keeps every row of an answer of few but large records", async () => {
    const world = new World("large records");
    await world.run(async () => {
      const source = await Impostor.start(world, "home");
      const large = { original: { media_type: "text/plain", document: "x".repeat(100_000) } };
      const count = Math.ceil((SMALL_BYTES_MAX * 1.2) / 100_000);
      assert.ok(count < SMALL_CHANGES_MAX);
      await source.commit(names("large", count).map((name) => source.record(name, large)));
      const node = await world.start("node", { peers: [source.address] });
      await untilWhole(world, node, source);
      assert.equal(await shown(node, source.did), count);
      const again = await world.restart(node, world.kill(node));
      assert.equal(await shown(again, source.did), count);
      assert.equal((await again.peer(source.did))?.refusedRecords, 0);
    });
  });
});
