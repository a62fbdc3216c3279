import assert from "node:assert/strict";
import type { SignedHead } from "../../protocols/checkpoint/head.ts";
import { openCheckpoint } from "../../protocols/checkpoint/note.ts";
import { mintDid } from "../../protocols/lib/did.ts";
import { checksummed } from "../../src/adapters/checksum/store.ts";
import { openLevelStore } from "../../src/adapters/level/level-store.ts";
import { MemoryStore } from "../../src/adapters/memory/store.ts";
import { NodeError } from "../../src/api.ts";
import { HEARTBEAT_MS } from "../../src/catalog/actor.ts";
import type { Published } from "../../src/catalog/messages.ts";
import { temporaryDirectory } from "../adapters/level/temporary.ts";
import { ACME, commit, OTHER, publish } from "../protocols/checkpoint/support.ts";
import { agent, Bench, put, quiet } from "./support.ts";

const did = (name: string): string => mintDid(ACME.publicKey, name);
const last = (bench: Bench): Published => bench.published.at(-1) as Published;

interface Restored {
  readonly bench: Bench;
  /** The newest head that was signed after the copy was made. */
  readonly newer: Published;
  /** The head in the copy. */
  readonly copied: Published;
  /** Every head that was signed with this key before. */
  readonly signed: readonly Published[];
  full: boolean;
}

/** A catalogue that went on after its directory was copied, and the copy, started as one that knows that it is a copy. */
async function restored(unsure = true, unit?: () => number): Promise<Restored> {
  const made = { full: false } as Restored;
  const store = new MemoryStore({
    beforeWrite: () => {
      if (made.full) throw new Error("no space left on device");
    },
  });
  const first = new Bench({ store });
  await quiet();
  await first.mutate(put("acme/a"));
  const copied = last(first);
  first.stop();
  const [original, copy] = [store.crash(), store.crash()];
  const went = new Bench({ store: original, clock: first.clock });
  await went.mutate(put("acme/b"));
  went.stop();
  const bench = new Bench({ store: copy, clock: first.clock, unsure, ...(unit && { unit }) });
  await quiet();
  return Object.assign(made, { bench, copied, newer: last(went), signed: [...first.published, ...went.published] });
}

async function show(bench: Bench, head: SignedHead): Promise<void> {
  bench.actor.tell({ type: "own_head", head });
  await quiet();
}

async function settle(bench: Bench, allHeard = true): Promise<void> {
  bench.actor.tell({ type: "head_settled", allHeard });
  await quiet();
}

/** No two checkpoints of one origin and size with different roots. */
function assertNoContradiction(signed: readonly Published[]): void {
  const roots = new Map<string, string>();
  for (const { head } of signed) {
    const { origin, size, root } = openCheckpoint(head.note);
    const place = `${origin} ${size}`;
    const hex = Buffer.from(root).toString("hex");
    assert.equal(roots.get(place) ?? hex, hex, place);
    roots.set(place, hex);
  }
}

describe("catalogue: T53 a copied or restored directory", () => {
  it("signs nothing while it waits, neither changes nor heartbeats, and says why", async () => {
    const { bench, copied } = await restored();
    const waiting = bench.send(put("acme/c"));
    waiting.catch(() => undefined);
    bench.clock.advance(HEARTBEAT_MS * 3);
    await quiet();
    assert.deepEqual(
      bench.published.map(({ size }) => size),
      [copied.size],
      "what was signed before may be shown",
    );
    assert.match((await bench.status()).paused ?? "", /copied or restored/);
    assert.equal((await bench.get(did("acme/a")))?.name, "acme/a", "reads go on");
    await bench.drain();
    const [result] = await waiting;
    assert.equal(result?.outcome === "refused" && result.code, "paused", "a drain does not wait for peers");
    bench.stop();
  });

  it("goes on in its epoch when peers show the head that it has", async () => {
    const { bench, copied } = await restored();
    await show(bench, copied.head);
    await settle(bench);
    assert.equal(bench.settledTimes, 1);
    await bench.put(agent("acme/c"));
    assert.deepEqual([last(bench).epoch, last(bench).size], [0, copied.size + 1]);
    bench.stop();
  });

  for (const [name, knows] of [
    ["raises its epoch when a peer shows a newer head, and names that head", true],
    ["raises its epoch when nobody knows it, and names the last head that it has", false],
  ] as const) {
    it(name, async () => {
      const { bench, newer, copied, signed } = await restored();
      if (knows) {
        await show(bench, newer.head);
        await show(bench, copied.head);
      }
      await settle(bench);
      assert.deepEqual([last(bench).epoch, last(bench).size, last(bench).agents], [1, 1, 1]);
      const previous = openCheckpoint(last(bench).previous ?? "");
      assert.equal(previous.size, knows ? newer.size : copied.size);
      await bench.put(agent("acme/c"));
      assert.equal((await bench.get(did("acme/c")))?.epoch, 1);
      assert.equal(bench.settledTimes, 1);
      assertNoContradiction([...signed, ...bench.published]);
      bench.stop();
    });
  }

  it("raises its epoch when those who were heard show the head that it has, and others were not heard", async () => {
    const { bench, newer, copied, signed } = await restored();
    await show(bench, copied.head);
    await settle(bench, false);
    assert.deepEqual([last(bench).epoch, last(bench).size, last(bench).agents], [1, 1, 1]);
    await show(bench, newer.head);
    assert.equal((await bench.status()).paused, null);
    assertNoContradiction([...signed, ...bench.published]);
    bench.stop();
  });

  it("ignores heads that are not its own: another key's, a forged one, junk", async () => {
    const { bench, newer } = await restored(false);
    await show(bench, publish([commit(), commit({ seq: 1 }), commit({ seq: 2 }), commit({ seq: 3 })], OTHER).head);
    const [text, signature] = newer.head.note.split("\n\n") as [string, string];
    await show(bench, { ...newer.head, note: `${text.replace(`\n${newer.size}\n`, `\n${newer.size + 7}\n`)}\n\n${signature}` });
    await show(bench, { ...newer.head, note: "junk" });
    assert.equal((await bench.status()).epoch, 0);
    assert.equal((await bench.status()).paused, null);
    bench.stop();
  });

  it("does not call itself settled before the new epoch is durable, and tries again while the disk is full", async () => {
    const made = await restored();
    const { bench, newer, signed } = made;
    await show(bench, newer.head);
    made.full = true;
    await settle(bench);
    assert.equal(bench.settledTimes, 0);
    assert.notEqual((await bench.status()).paused, null);
    bench.clock.advance(HEARTBEAT_MS);
    await quiet();
    assert.equal(bench.settledTimes, 0);
    made.full = false;
    bench.clock.advance(HEARTBEAT_MS);
    await quiet();
    assert.deepEqual([last(bench).epoch, last(bench).size], [1, 1]);
    assert.equal(bench.settledTimes, 1);
    assertNoContradiction([...signed, ...bench.published]);
    bench.stop();
  });
});

describe("catalogue: T53 two processes of one key", () => {
  it("begin different epochs from one copy, where nobody can tell them of each other", async () => {
    const { bench: one, signed } = await restored();
    const { bench: two } = await restored(true, () => 0.5);
    for (const bench of [one, two]) {
      await settle(bench);
      await bench.put(agent(bench === one ? "acme/one" : "acme/two"));
    }
    assert.notEqual(last(one).epoch, last(two).epoch);
    assertNoContradiction([...signed, ...one.published, ...two.published]);
    one.stop();
    two.stop();
  });

  it("raises its epoch at the first sight of a head that it did not sign", async () => {
    const { bench, newer, signed } = await restored(false);
    await show(bench, newer.head);
    assert.deepEqual([last(bench).epoch, last(bench).size], [1, 1]);
    await bench.put(agent("acme/c"));
    assertNoContradiction([...signed, ...bench.published]);
    bench.stop();
  });

  it("signs nothing in the epoch that it has to leave, also when the disk is full at that moment", async () => {
    const made = await restored(false);
    const { bench, newer, copied, signed } = made;
    made.full = true;
    await show(bench, newer.head);
    made.full = false;
    const waiting = bench.send(put("acme/c"));
    await quiet();
    assert.equal(last(bench).size, copied.size);
    bench.clock.advance(HEARTBEAT_MS);
    await bench.finish(waiting);
    assert.equal(last(bench).epoch, 1);
    assertNoContradiction([...signed, ...bench.published]);
    bench.stop();
  });

  it("pauses when another process signs in a higher epoch, and tells those who wait", async () => {
    const { bench, copied } = await restored(false);
    bench.clock.advance(1_000);
    await bench.put(agent("acme/c"));
    const waiting = bench.send(put("acme/d"));
    const { size } = last(bench);
    await show(bench, publish([commit({ epoch: 1 })], ACME, 1).head);
    const [result] = await waiting;
    assert.equal(result?.outcome === "refused" && result.code, "paused");
    await assert.rejects(bench.send(put("acme/e")), (error) => error instanceof NodeError && error.code === "paused");
    bench.clock.advance(HEARTBEAT_MS * 2);
    await quiet();
    assert.equal(last(bench).size, size);
    assert.match((await bench.status()).paused ?? "", /another process signs/);
    assert.ok(size > copied.size);
    await bench.drain();
    bench.stop();
  });

  it("T53 goes on above what another process signed, when it has signed nothing itself since it started", async () => {
    const { bench, signed } = await restored(false);
    const other = publish([commit({ epoch: 1 })], ACME, 1).head;
    await show(bench, other);
    const status = await bench.status();
    assert.deepEqual([status.epoch, status.paused], [2, null]);
    assert.equal((await bench.put(agent("acme/c"))).outcome, "created");
    assertNoContradiction([...signed, ...bench.published]);
    bench.stop();
  });

  it("takes its own heads for its own, whatever their age", async () => {
    const { bench, signed } = await restored(false);
    const own = signed.filter(({ size }) => size <= last(bench).size);
    for (const { head } of own) await show(bench, head);
    const status = await bench.status();
    assert.deepEqual([status.epoch, status.paused], [0, null]);
    bench.stop();
  });
});

describe("catalogue: on disk", () => {
  it("goes on after a restart where it was", async () => {
    const directory = await temporaryDirectory();
    try {
      const { store } = await openLevelStore({ directory: directory.path });
      const bench = new Bench({ store: checksummed(store) });
      await bench.finish(bench.status());
      await bench.mutate(...Array.from({ length: 500 }, (_, i) => put(`acme/${i}`)));
      await bench.mutate({ op: "delete", did: did("acme/7") }, put("acme/8", { name: "x" }));
      await bench.drain();
      const before = last(bench);
      bench.stop();
      await store.close();

      const opened = await openLevelStore({ directory: directory.path });
      const again = new Bench({ store: checksummed(opened.store), clock: bench.clock });
      const status = await again.finish(again.status());
      assert.deepEqual([status.mapRoot, status.agents, status.logSize], [before.mapRoot, 499, before.size]);
      assert.equal((await again.get(did("acme/8")))?.revision, 2);
      const result = await again.put(agent("acme/7"));
      assert.equal(result.outcome === "created" && result.revision, 2);
      again.stop();
      await opened.store.close();
    } finally {
      await directory.remove();
    }
  });
});
