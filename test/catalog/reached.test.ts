import assert from "node:assert/strict";
import { didKey, mintDid } from "../../protocols/lib/did.ts";
import { keyOf } from "../../protocols/lib/hash.ts";
import { signAgent } from "../../protocols/record/signature.ts";
import { checksummed } from "../../src/adapters/checksum/store.ts";
import { MemoryStore } from "../../src/adapters/memory/store.ts";
import type { AgentInput, MutationResult } from "../../src/api.ts";
import { HEARTBEAT_MS } from "../../src/catalog/actor.ts";
import { decodeHeadRow } from "../../src/catalog/head-row.ts";
import { loadCatalogue } from "../../src/catalog/load.ts";
import { CHANGES_KEPT_MS } from "../../src/catalog/prune.ts";
import { OWN_CATALOGUE, rowKey, tableRange, type Table } from "../../src/catalog/rows.ts";
import type { Store, StoreReader } from "../../src/ports/store.ts";
import { VirtualClock } from "../actors/virtual-time.ts";
import { ACME, commit, OTHER, publish } from "../protocols/checkpoint/support.ts";
import { agent, Bench, put, quiet } from "./support.ts";

const did = (name: string): string => mintDid(ACME.publicKey, name);
const outcome = (result: MutationResult): string =>
  result.outcome === "refused" ? `${result.code} ${result.nextRevision ?? ""}` : `${result.outcome} ${result.revision}`;

async function count(store: StoreReader, table: Table): Promise<number> {
  let rows = 0;
  for await (const some of store.scan(tableRange(OWN_CATALOGUE, table))) rows += some.length;
  return rows;
}

/** So much time passes that the tombstones of now go, and one heartbeat. */
async function age(bench: Bench): Promise<void> {
  bench.clock.startMs += CHANGES_KEPT_MS + 1;
  await bench.put(agent("acme/clock", { description: String(bench.clock.now()) }));
  bench.clock.advance(HEARTBEAT_MS);
  for (let times = 0; times < 5; times++) await quiet();
}

/** Registers an agent and changes it until it is at this revision, then removes it. */
async function live(bench: Bench, name: string, revision: number): Promise<void> {
  for (let i = 1; i <= revision; i++) await bench.put(agent(name, { description: String(i) }));
  assert.equal(outcome(await bench.remove(did(name))), `deleted ${revision}`);
}

const self = didKey(OTHER.publicKey);
function signed(revision: number, fields: Partial<AgentInput> = {}): AgentInput {
  const own = { ...agent("self/a", fields), did: self };
  return { ...own, agent_signature: signAgent({ ...own, registry: ACME.did, revision }, OTHER.sign) };
}

describe("catalogue: revisions of agents that were deleted long ago", () => {
  it("T11 a record that an agent signed once is not taken again, however long ago the agent was removed", async () => {
    const store = new MemoryStore();
    const bench = new Bench({ store });
    await quiet();
    assert.equal(outcome(await bench.put(signed(1))), "created 1");
    await bench.remove(self);
    await age(bench);
    assert.deepEqual([await count(store, "tombstone"), await count(store, "reached")], [0, 1]);
    assert.equal(outcome(await bench.put(signed(1))), "bad_signature 2");
    bench.stop();
    const again = new Bench({ store, clock: bench.clock });
    assert.equal(outcome(await again.put(signed(1))), "bad_signature 2", "also after a restart");
    assert.equal(outcome(await again.put(signed(2))), "created 2");
    assert.equal(await count(store, "reached"), 0, "its record says it now");
    await again.remove(self);
    await age(again);
    assert.equal(outcome(await again.put(signed(2))), "bad_signature 3");
    again.stop();
  });

  it("go on in the next epoch, which agents do not sign", async () => {
    const store = new MemoryStore();
    const bench = new Bench({ store, reachedRowsMax: 2 });
    await quiet();
    await bench.put(signed(1));
    await bench.remove(self);
    await live(bench, "acme/b", 3);
    await live(bench, "acme/c", 3);
    await live(bench, "acme/d", 5);
    await age(bench);
    assert.equal(await count(store, "reached"), 1);
    const foreign = Array.from({ length: bench.published.length + 9 }, (_, seq) => commit({ seq }));
    bench.actor.tell({ type: "own_head", head: publish(foreign).head });
    await quiet();
    assert.equal(bench.published.at(-1)?.epoch, 1);
    assert.equal(outcome(await bench.put(signed(1))), "bad_signature 4", "where the floor is");
    assert.equal(outcome(await bench.put(agent("acme/d"))), "created 6", "and where it has a row");
    bench.stop();
  });

  it("T56 are kept one by one up to a bound; beyond it, all others begin above the lowest of them", async () => {
    const store = new MemoryStore();
    const bench = new Bench({ store, reachedRowsMax: 4 });
    await quiet();
    for (const [name, revision] of Object.entries({ a: 1, b: 2, c: 2, d: 5 })) await live(bench, `acme/${name}`, revision);
    await age(bench);
    assert.equal(await count(store, "reached"), 4);
    assert.equal(outcome(await bench.put(agent("acme/new"))), "created 1");
    await live(bench, "acme/e", 4);
    await age(bench);
    assert.equal(await count(store, "reached"), 2, "of the 3 that may stay, one is no higher than the floor");
    bench.stop();
    const again = new Bench({ store, clock: bench.clock, reachedRowsMax: 4 });
    const results = await again.mutate(put("acme/newer"), put("acme/a"), put("acme/c"), put("acme/d"), put("acme/e"));
    assert.deepEqual(results.map(outcome), ["created 3", "created 3", "created 3", "created 6", "created 5"]);
    assert.equal(outcome(await again.put(signed(1))), "bad_signature 3", "says which one it has to be");
    assert.equal(outcome(await again.put(signed(3))), "created 3");
    again.stop();
  });

  it("T44 killed at any write while tombstones go, none restarts", async () => {
    const revisions = Object.entries({ a: 1, b: 2, c: 3, d: 4, e: 5 });
    let beforeWrite = (): Promise<void> | undefined => undefined;
    const disk = new MemoryStore({ beforeWrite: () => beforeWrite() });
    const reachedRowsMax = 4;
    const first = new Bench({ store: disk, reachedRowsMax });
    await quiet();
    for (const [name, revision] of revisions) await live(first, `acme/${name}`, revision);
    first.clock.startMs += CHANGES_KEPT_MS + 1;
    await first.put(agent("acme/clock"));
    first.stop();
    /** A process that begins to prune, and what it leaves on the disk. */
    async function prune(): Promise<MemoryStore> {
      const store = disk.crash();
      const bench = new Bench({ store, clock: new VirtualClock(first.clock.now()), reachedRowsMax });
      await quiet();
      bench.clock.advance(HEARTBEAT_MS);
      for (let times = 0; times < 3; times++) await quiet();
      bench.stop();
      return store;
    }
    let writes = 0;
    beforeWrite = (): undefined => void (writes += 1);
    const whole = await prune();
    assert.deepEqual([await count(whole, "tombstone"), await count(whole, "reached")], [0, 3]);
    assert.ok(writes >= 6, `${writes} writes`);
    for (let killedAt = 0; killedAt < writes; killedAt++) {
      let seen = 0;
      beforeWrite = (): Promise<void> | undefined => (seen++ < killedAt ? undefined : new Promise(() => undefined));
      const store = await prune();
      beforeWrite = (): undefined => undefined;
      const pending = store.pendingBatches;
      for (let survivors = 0; survivors <= pending; survivors++) {
        const again = new Bench({ store: store.crash(survivors), clock: new VirtualClock(first.clock.now()), reachedRowsMax });
        const results = await again.mutate(...revisions.map(([name]) => put(`acme/${name}`)));
        results.forEach((result, i) => {
          const [name, reached] = revisions[i] as [string, number];
          const what = `${name}: ${outcome(result)}, killed at write ${killedAt}, ${survivors} of ${pending} batches survive`;
          assert.ok(result.outcome === "created" && result.revision > reached, what);
        });
        again.stop();
      }
    }
  });

  it("T45 rows that rotted are bounded from above, and keep nobody away", async () => {
    const disk = new MemoryStore();
    const store: Store = checksummed(disk);
    const bench = new Bench({ store });
    await quiet();
    await live(bench, "acme/a", 2);
    await live(bench, "acme/b", 2);
    await live(bench, "acme/c", 2);
    const rot = (table: Table, name: string): void =>
      assert.ok(disk.flipBit(rowKey(OWN_CATALOGUE, table, keyOf(did(name))), 3), `${table} ${name}`);
    rot("tombstone", "acme/a");
    rot("tombstone", "acme/b");
    const created = async (running: Bench, name: string): Promise<void> => {
      const result = await running.put(agent(name));
      assert.ok(result.outcome === "created" && result.revision > 2, `${name}: ${outcome(result)}`);
    };
    await created(bench, "acme/a");
    await age(bench);
    assert.deepEqual([await count(disk, "tombstone"), await count(disk, "reached")], [0, 2]);
    await created(bench, "acme/b");
    rot("reached", "acme/c");
    bench.stop();
    const again = new Bench({ store, clock: bench.clock });
    await created(again, "acme/c");
    again.stop();
  });

  it("of a store that let them go are bounded by the versions whose changes it let go", async () => {
    const store = new MemoryStore();
    const bench = new Bench({ store });
    await quiet();
    await bench.put(signed(1));
    await bench.remove(self);
    await age(bench);
    bench.stop();
    const head = rowKey(OWN_CATALOGUE, "head");
    const { revisionFloor, ...earlier } = JSON.parse(Buffer.from((await store.get(head)) as Uint8Array).toString()) as {
      floor: number;
      revisionFloor?: number;
    };
    assert.deepEqual([revisionFloor, earlier.floor], [0, 3]);
    const value = Buffer.from(JSON.stringify(earlier));
    await store.batch(
      [
        { type: "put", key: head, value },
        { type: "del", key: rowKey(OWN_CATALOGUE, "reached", keyOf(self)) },
      ],
      { durable: true },
    );
    assert.equal(decodeHeadRow(value).revisionFloor, 3);
    const again = new Bench({ store, clock: bench.clock });
    assert.equal(outcome(await again.put(signed(1))), "bad_signature 4");
    assert.equal(outcome(await again.put(agent("acme/new"))), "created 4");
    assert.equal((await loadCatalogue(store, OWN_CATALOGUE, ACME.did)).revisionFloor, 3);
    again.stop();
  });
});
