import assert from "node:assert/strict";
import { verifyHead } from "../../protocols/checkpoint/head.ts";
import { rootOf, type MapEntry } from "../../protocols/checkpoint/map.ts";
import { hex } from "../../protocols/lib/bytes.ts";
import { mintDid } from "../../protocols/lib/did.ts";
import { keyOf, valueOf } from "../../protocols/lib/hash.ts";
import { checksummed } from "../../src/adapters/checksum/store.ts";
import { MemoryStore } from "../../src/adapters/memory/store.ts";
import type { Mutation, MutationResult } from "../../src/api.ts";
import { CatalogueDamaged, loadCatalogue } from "../../src/catalog/load.ts";
import { nameKey } from "../../src/catalog/mutations.ts";
import type { Published, RecordProof } from "../../src/catalog/messages.ts";
import { bucketKey, OWN_CATALOGUE, rowKey, rowSuffix, tableRange } from "../../src/catalog/rows.ts";
import type { Store, StoreReader } from "../../src/ports/store.ts";
import { VirtualClock } from "../actors/virtual-time.ts";
import { ACME } from "../protocols/checkpoint/support.ts";
import { agent, Bench, put, quiet } from "./support.ts";

const did = (name: string): string => mintDid(ACME.publicKey, name);

async function storedEntries(store: StoreReader): Promise<MapEntry[]> {
  const entries: MapEntry[] = [];
  for await (const rows of store.scan(tableRange(OWN_CATALOGUE, "record"))) {
    for (const [key, record] of rows) entries.push([Uint8Array.from(rowSuffix(key)), valueOf(record)]);
  }
  return entries;
}

/** The rows add up to the head: records, buckets, log, count. */
async function assertWhole(store: StoreReader): Promise<string> {
  const catalogue = await loadCatalogue(store, OWN_CATALOGUE, ACME.did);
  const entries = await storedEntries(store);
  assert.equal(hex(rootOf(entries)), catalogue.mapRoot);
  assert.equal(hex(catalogue.map.root()), catalogue.mapRoot);
  assert.equal(catalogue.map.size, entries.length);
  return catalogue.mapRoot;
}

describe("catalogue: a write that fails", () => {
  it("loses nothing, says so, and the next one goes through", async () => {
    let full = false;
    const store = new MemoryStore({
      beforeWrite: () => {
        if (full) throw new Error("no space left on device");
      },
    });
    const bench = new Bench({ store });
    await quiet();
    await bench.mutate(put("acme/a"), put("acme/b", { did: "did:web:b.example.org" }));
    const before = bench.published.at(-1) as Published;
    full = true;
    const failed = await bench.mutate(
      put("acme/a", { name: "x" }),
      put("acme/c"),
      { op: "delete", did: "did:web:b.example.org" },
      put("acme/c", { name: "later, in a commit of its own" }),
    );
    for (const result of failed) assert.equal(result.outcome === "refused" && result.code, "storage");
    assert.equal(bench.published.at(-1), before, "nothing is published that is not durable");
    const status = await bench.status();
    assert.deepEqual([status.mapRoot, status.agents, status.logSize], [before.mapRoot, 2, before.size]);
    assert.equal((await bench.get(did("acme/a")))?.name, "acme/a");
    assert.equal(await bench.get(did("acme/c")), undefined);
    assert.equal(await assertWhole(store), before.mapRoot);
    full = false;
    const results = await bench.mutate(
      put("acme/a", { name: "x" }),
      put("acme/c"),
      put("acme/b", { did: "did:web:b.example.org", name: "y" }),
    );
    assert.deepEqual(
      results.map((result) => result.outcome !== "refused" && [result.outcome, result.revision]),
      [
        ["updated", 2],
        ["created", 1],
        ["updated", 2],
      ],
    );
    assert.equal(await assertWhole(store), bench.published.at(-1)?.mapRoot);
    const { commit } = verifyHead((bench.published.at(-1) as Published).head);
    assert.equal(commit.prev["map"], before.mapRoot);
    bench.stop();
  });

  it("keeps the buckets of a map that had just grown", async () => {
    let full = false;
    const store = new MemoryStore({
      beforeWrite: () => {
        if (full) throw new Error("no space left on device");
      },
    });
    const bench = new Bench({ store });
    await quiet();
    await bench.mutate(...Array.from({ length: 150 }, (_, i) => put(`acme/${i}`)));
    full = true;
    await bench.mutate(...Array.from({ length: 400 }, (_, i) => put(`acme/more-${i}`)));
    full = false;
    await bench.mutate(put("acme/one"));
    await assertWhole(store);
    await bench.mutate(put("acme/two"));
    await assertWhole(store);
    bench.stop();
  });

  it("in the first version is tried again until there is space", async () => {
    let full = true;
    const store = new MemoryStore({
      beforeWrite: () => {
        if (full) throw new Error("no space left on device");
      },
    });
    const bench = new Bench({ store });
    await quiet();
    assert.deepEqual(bench.published, []);
    full = false;
    bench.clock.advance(1_000);
    await quiet();
    assert.equal(bench.published.length, 1);
    bench.stop();
  });
});

describe("catalogue: T44 killed at any write", () => {
  const web = "did:web:b.example.org";
  const steps: readonly (readonly Mutation[])[] = [
    [put("acme/a"), put("acme/b", { did: web })],
    [put("acme/a", { name: "x" }), put("acme/c")],
    Array.from({ length: 220 }, (_, i) => put(`acme/many-${i}`)),
    [{ op: "delete", did: web } as const, put("acme/a", { name: "y" }), put("acme/a", { name: "z" })],
    [put("acme/b"), { op: "delete", did: did("acme/c") } as const],
  ];

  const deletedIn = (step: number, id: string): boolean =>
    (steps[step] ?? []).some((mutation) => mutation.op === "delete" && mutation.did === id);

  /** A life of a catalogue; what it was promised is noted as it is promised. */
  async function live(bench: Bench, acknowledged: MutationResult[][]): Promise<void> {
    for (const step of steps) acknowledged.push(await bench.mutate(...step));
  }

  it("loses nothing that was acknowledged, keeps no half of a batch, and goes on", async () => {
    const clock = (): VirtualClock => new VirtualClock();
    let writes = 0;
    const counting = new MemoryStore({ beforeWrite: () => void (writes += 1) });
    const whole = new Bench({ store: counting, clock: clock() });
    await live(whole, []);
    whole.stop();
    assert.ok(writes >= 7, `${writes} writes`);
    for (let killedAt = 0; killedAt < writes; killedAt++) {
      for (const survives of [0, 1]) {
        let seen = 0;
        const reached = Promise.withResolvers<void>();
        let armed = true;
        const store = new MemoryStore({
          beforeWrite: () => {
            if (!armed || seen++ < killedAt) return undefined;
            reached.resolve();
            // The write is under way when the power goes.
            return new Promise<void>(() => undefined);
          },
        });
        const bench = new Bench({ store, clock: clock() });
        const acknowledged: MutationResult[][] = [];
        const living = live(bench, acknowledged);
        living.catch(() => undefined);
        await bench.finish(Promise.race([reached.promise, living]));
        const published = bench.published.at(-1);
        armed = false;
        const left = store.crash(survives);
        bench.stop();
        const what = `killed at write ${killedAt}, ${survives} of what was under way survives`;
        const root = await assertWhole(left);
        if (survives === 0 && published !== undefined) assert.equal(root, published.mapRoot, what);

        const again = new Bench({ store: left, clock: clock() });
        await quiet();
        const expected = new Map<string, number>();
        for (const result of acknowledged.flat()) {
          if (result.outcome === "deleted") expected.delete(result.did);
          else if (result.outcome !== "refused") expected.set(result.did, result.revision);
        }
        // The step under way had not been acknowledged as a whole; what it had committed may be there.
        for (const [id, revision] of expected) {
          const found = (await again.get(id))?.revision;
          if (found === undefined) assert.ok(deletedIn(acknowledged.length, id), `${what}: ${id}`);
          else assert.ok(found >= revision, `${what}: ${id}`);
        }
        const result = await again.put(agent("acme/after"));
        assert.equal(result.outcome, "created", what);
        await assertWhole(left);
        const sizes = again.published.map(({ size }) => size);
        if (published !== undefined)
          assert.ok((sizes[0] as number) >= published.size, `${what}: what was published is not signed again`);
        again.stop();
      }
    }
  });
});

describe("catalogue: T45 rows that rotted", () => {
  async function filledStore(): Promise<{ raw: MemoryStore; store: Store; root: string; depth: number }> {
    const raw = new MemoryStore();
    const store = checksummed(raw);
    const bench = new Bench({ store });
    await quiet();
    await bench.mutate(...Array.from({ length: 300 }, (_, i) => put(`acme/${i}`)));
    await bench.mutate(...Array.from({ length: 250 }, (_, i) => ({ op: "delete", did: did(`acme/${i}`) }) as const));
    bench.stop();
    const { depth } = (await loadCatalogue(store, OWN_CATALOGUE, ACME.did)).map;
    return { raw, store, root: (bench.published.at(-1) as Published).mapRoot, depth };
  }

  async function someKey(store: StoreReader, table: "bucket" | "record" | "leaf"): Promise<Uint8Array> {
    for await (const rows of store.scan({ ...tableRange(OWN_CATALOGUE, table), limit: 1 })) if (rows[0]) return rows[0][0];
    throw new Error(`no ${table}`);
  }

  it("buckets are built again from the records, and written whole with the next version", async () => {
    const spoil: Record<string, (raw: MemoryStore, store: Store, depth: number) => Promise<unknown>> = {
      "a flipped bit": async (raw) => assert.ok(raw.flipBit(await someKey(raw, "bucket"), 300)),
      "a lost row": async (raw) => raw.batch([{ type: "del", key: await someKey(raw, "bucket") }], { durable: true }),
      "rows of another depth": async (_raw, store, depth) =>
        store.batch([{ type: "put", key: bucketKey(OWN_CATALOGUE, depth - 1, 0), value: new Uint8Array(64) }], { durable: true }),
      "a row of leaves that are not there": async (_raw, store, depth) => {
        const { map } = await loadCatalogue(store, OWN_CATALOGUE, ACME.did);
        const empty = Array.from({ length: 2 ** depth }, (_, i) => i).find((i) => map.bucket(i).length === 0) as number;
        const leaf = Buffer.alloc(64);
        leaf.writeUInt32BE((empty << (32 - depth)) >>> 0, 0);
        await store.batch([{ type: "put", key: bucketKey(OWN_CATALOGUE, depth, empty), value: leaf }], { durable: true });
      },
    };
    for (const [name, run] of Object.entries(spoil)) {
      const { raw, store, root, depth } = await filledStore();
      await run(raw, store, depth);
      const bench = new Bench({ store });
      await quiet();
      assert.equal((await bench.status()).mapRoot, root, name);
      await bench.put(agent("acme/after"));
      bench.stop();
      const stored = new Set<string>();
      const next = await loadCatalogue(store, OWN_CATALOGUE, ACME.did);
      for await (const rows of store.scan(tableRange(OWN_CATALOGUE, "bucket"))) for (const [key] of rows) stored.add(hex(key));
      const filled = Array.from({ length: 2 ** next.map.depth }, (_, i) => i).filter((i) => next.map.bucket(i).length > 0);
      if (name !== "rows of another depth") {
        assert.deepEqual([...stored].sort(), filled.map((i) => hex(bucketKey(OWN_CATALOGUE, next.map.depth, i))).sort(), name);
      }
    }
  });

  it("a lost record is refused at start, with what is wrong", async () => {
    const { raw, store } = await filledStore();
    await raw.batch(
      [
        { type: "del", key: await someKey(raw, "record") },
        { type: "del", key: await someKey(raw, "bucket") },
      ],
      { durable: true },
    );
    await assert.rejects(loadCatalogue(store, OWN_CATALOGUE, ACME.did), (error) => {
      assert.ok(error instanceof CatalogueDamaged);
      return /do not give the signed map root [0-9a-f]{64} of 50 agents/.test(error.message);
    });
    const bench = new Bench({ store });
    await quiet();
    assert.deepEqual(bench.published, [], "nothing is served or signed");
    assert.match(
      String(bench.log.lines.find(({ level }) => level === "error")?.fields["error"]),
      /do not give the signed map root/,
    );
    bench.stop();
  });

  it("a log that is not the signed one is refused at start", async () => {
    const { store } = await filledStore();
    await store.batch([{ type: "put", key: await someKey(store, "leaf"), value: Buffer.alloc(32, 7) }], { durable: true });
    await assert.rejects(loadCatalogue(store, OWN_CATALOGUE, ACME.did), CatalogueDamaged);
  });

  it("another registry's rows are refused", async () => {
    const { store } = await filledStore();
    await assert.rejects(loadCatalogue(store, OWN_CATALOGUE, "did:web:other.example"), CatalogueDamaged);
  });

  it("a rotten name keeps no others away, is still its agent's, and is whole again", async () => {
    const raw = new MemoryStore();
    const store = checksummed(raw);
    const before = new Bench({ store });
    await quiet();
    const [one, two] = ["did:web:one.example.org", "did:web:two.example.org"];
    await before.mutate(put("acme/held", { did: one }), put("acme/freed", { did: two }));
    before.stop();
    const [held, freed] = ["acme/held", "acme/freed"].map((name) => rowKey(OWN_CATALOGUE, "name", nameKey(name))) as [
      Uint8Array,
      Uint8Array,
    ];
    for (const row of [held, freed]) assert.ok(raw.flipBit(row, 3));
    const bench = new Bench({ store });
    await quiet();
    assert.equal((await bench.remove(two)).outcome, "deleted");
    await raw.batch([{ type: "put", key: freed, value: Buffer.from("rotten") }], { durable: true });
    const results = await bench.mutate(put("acme/other"), put("acme/held"), put("acme/freed", { did: one }), put("acme/freed"));
    assert.deepEqual(
      results.map((result) => (result.outcome === "refused" ? result.code : result.outcome)),
      ["created", "name_taken", "updated", "name_taken"],
    );
    assert.deepEqual(Buffer.from((await store.get(freed)) as Uint8Array), Buffer.from(keyOf(one)));
    assert.equal(await store.get(held), undefined);
    bench.stop();
  });

  it("a rotten record is reported when it is read, harms no other, and can be registered again", async () => {
    const { raw, store } = await filledStore();
    const lost = did("acme/299");
    assert.ok(raw.flipBit(rowKey(OWN_CATALOGUE, "record", keyOf(lost)), 99));
    const bench = new Bench({ store });
    await quiet();
    await assert.rejects(bench.get(lost), /fails its checksum/);
    assert.ok(bench.log.lines.some(({ message }) => message.startsWith("a stored record is damaged")));
    const [other, again] = await bench.mutate(put("acme/298", { name: "x" }), put("acme/299"));
    assert.deepEqual([other?.outcome, again?.outcome], ["updated", "created"]);
    const record = await bench.get(lost);
    assert.ok((record?.revision ?? 0) > 1, "above every revision that was ever signed");
    await assertWhole(store);
    const proof = await bench.ask<RecordProof | string>((reply) => ({ type: "prove", key: keyOf(lost), reply }));
    assert.ok(typeof proof !== "string");
    bench.stop();
  });
});
