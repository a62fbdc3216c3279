import assert from "node:assert/strict";
import { verifyHead } from "../../protocols/checkpoint/head.ts";
import { EMPTY } from "../../protocols/checkpoint/map.ts";
import { verifyMultiproof, type Claim } from "../../protocols/checkpoint/map-multiproof.ts";
import { verifyAbsence, verifyInclusion } from "../../protocols/checkpoint/map-proof.ts";
import {
  PAGE_CURSOR_LENGTH_MAX,
  PAGE_RECORD_BYTES_MAX,
  type CatalogPage,
  type PageRefusal,
  type PageRequest,
} from "../../protocols/http/catalog-page.ts";
import { compare, equal, hex } from "../../protocols/lib/bytes.ts";
import { mintDid } from "../../protocols/lib/did.ts";
import { keyOf, valueOf } from "../../protocols/lib/hash.ts";
import { MemoryStore } from "../../src/adapters/memory/store.ts";
import { ChangeIndex } from "../../src/catalog/change-index.ts";
import { HEARTBEAT_MS } from "../../src/catalog/actor.ts";
import { CHANGES_KEPT_MS } from "../../src/catalog/prune.ts";
import { OWN_CATALOGUE, rowKey, tableRange, u48 } from "../../src/catalog/rows.ts";
import { checksummed } from "../../src/adapters/checksum/store.ts";
import { ACME, commit, publish } from "../protocols/checkpoint/support.ts";
import { Bench, put, quiet } from "./support.ts";

const did = (name: string): string => mintDid(ACME.publicKey, name);
const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `acme/${prefix}-${i}`);

async function open(store = new MemoryStore()): Promise<Bench> {
  const bench = new Bench({ store });
  await quiet();
  return bench;
}

function ask(bench: Bench, request: Partial<PageRequest> = {}): Promise<CatalogPage | PageRefusal> {
  const whole: PageRequest = { limit: 1_000, proofs: "multi", ...request };
  return bench.ask((reply) => ({ type: "page", request: whole, reply }));
}

async function page(bench: Bench, request: Partial<PageRequest> = {}): Promise<CatalogPage> {
  const answer = await ask(bench, request);
  if (typeof answer === "string") assert.fail(`refused: ${answer}`);
  check(answer);
  return answer;
}

/** Every change is proven in the page's own version, and the keys ascend. */
function check({ head, changes, multiproof }: CatalogPage): void {
  const root = Buffer.from(verifyHead(head).commit.roots.map, "hex");
  const claims = changes.map((change): Claim => [keyOf(change.did), change.op === "delete" ? undefined : valueOf(change.record)]);
  if (multiproof !== undefined) verifyMultiproof(root, claims, multiproof);
  claims.forEach(([key, value], i) => {
    const { proof } = changes[i] as CatalogPage["changes"][number];
    if (proof !== undefined && value !== undefined) verifyInclusion(root, key, value, proof);
    else if (proof !== undefined) verifyAbsence(root, key, proof);
    if (i > 0) assert.ok(compare((claims[i - 1] as Claim)[0], key) < 0, "keys ascend");
  });
}

async function walk(bench: Bench, request: Partial<PageRequest> = {}): Promise<CatalogPage[]> {
  const pages = [await page(bench, request)];
  for (let { nextCursor } = pages[0] as CatalogPage; nextCursor !== undefined;) {
    const next = await page(bench, { ...request, cursor: nextCursor });
    pages.push(next);
    nextCursor = next.nextCursor;
  }
  return pages;
}

const root = (bench: Bench): Buffer => Buffer.from(bench.published.at(-1)?.mapRoot ?? "", "hex");
const ops = (pages: readonly CatalogPage[]): string[] =>
  pages.flatMap(({ changes }) => changes.map((change) => `${change.op} ${change.did}`)).sort();

describe("catalogue: pages", () => {
  it("brings everything from the beginning, page by page, in the order of the keys", async () => {
    const bench = await open();
    await bench.mutate(...names("agent", 25).map((name) => put(name)));
    const pages = await walk(bench, { limit: 10 });
    assert.deepEqual(
      pages.map(({ changes }) => changes.length),
      [10, 10, 5],
    );
    assert.deepEqual(
      ops(pages),
      names("agent", 25)
        .map((name) => `create ${did(name)}`)
        .sort(),
    );
    const keys = pages.flatMap(({ changes }) => changes.map((change) => hex(keyOf(change.did))));
    assert.deepEqual(keys, keys.toSorted());
    for (const { syncedRoot, syncedAtMs } of pages.slice(0, -1)) assert.deepEqual([hex(syncedRoot), syncedAtMs], [hex(EMPTY), 0]);
    assert.equal(hex(pages.at(-1)?.syncedRoot as Uint8Array), hex(root(bench)));
  });

  it("ends exactly: a last page that is full names no next one, and an empty catalogue is one empty page", async () => {
    const bench = await open();
    const empty = await page(bench);
    assert.deepEqual([empty.changes.length, empty.multiproof, empty.nextCursor], [0, undefined, undefined]);
    await bench.mutate(...names("agent", 20).map((name) => put(name)));
    assert.equal((await walk(bench, { limit: 10 })).length, 2);
    assert.equal((await page(bench, { limit: 0 })).changes.length, 1);
  });

  for (const proofs of ["multi", "change", "none"] as const) {
    it(`brings what changed since a map root, with proofs "${proofs}"`, async () => {
      const bench = await open();
      await bench.mutate(put("acme/a"), put("acme/b"), put("acme/c"));
      const base = root(bench);
      await bench.mutate(put("acme/b", { version: "2.0.0" }), put("acme/d"));
      await bench.mutate({ op: "delete", did: did("acme/a") });
      const answer = await page(bench, { baseRoot: base, proofs });
      assert.deepEqual(ops([answer]), [`create ${did("acme/d")}`, `delete ${did("acme/a")}`, `update ${did("acme/b")}`]);
      assert.equal(answer.multiproof !== undefined, proofs === "multi");
      for (const { proof } of answer.changes) assert.equal(proof !== undefined, proofs === "change");
      assert.equal(hex(answer.syncedRoot), hex(root(bench)));
      assert.deepEqual((await page(bench, { baseRoot: root(bench) })).changes, []);
      assert.equal((await page(bench, { baseRoot: EMPTY })).changes.length, 3);
    });
  }

  it("finds the base by time: the last commit at or before it", async () => {
    const bench = await open();
    const times: number[] = [];
    for (const name of names("agent", 6)) {
      bench.clock.advance(1_000);
      await bench.mutate(put(name));
      times.push(verifyHead(bench.published.at(-1)?.head as never).commit.time);
    }
    const changed = async (lastSyncMs: number): Promise<number> => (await page(bench, { lastSyncMs })).changes.length;
    assert.equal(await changed(times[2] as number), 3);
    assert.equal(await changed((times[2] as number) - 1), 4);
    assert.equal(await changed((times[2] as number) + 1), 3);
    assert.equal(await changed(0), 6);
    assert.equal(await changed(Number.MAX_SAFE_INTEGER), 0);
    const first = await page(bench, { lastSyncMs: (times[2] as number) + 7, limit: 1 });
    assert.equal(first.syncedAtMs, (times[2] as number) + 7, "not the last page: the asker has completed what it named");
  });

  it("goes on with a cursor after a restart, and from a base that only the disk remembers", async () => {
    const store = new MemoryStore();
    const before = await open(store);
    await before.mutate(...names("old", 30).map((name) => put(name)));
    const base = root(before);
    await before.mutate(...names("new", 30).map((name) => put(name)), { op: "delete", did: did("acme/old-3") });
    const first = await page(before, { baseRoot: base, limit: 10 });
    before.stop();
    const after = await open(store);
    const rest = await walk(after, { baseRoot: base, limit: 10, cursor: first.nextCursor as string });
    assert.deepEqual(
      ops([first, ...rest]),
      [...names("new", 30).map((name) => `create ${did(name)}`), `delete ${did("acme/old-3")}`].sort(),
    );
  });

  it("T25 reads the change log once for all walks from bases beyond memory, and follows the commits since", async () => {
    const store = new MemoryStore();
    const before = await open(store);
    const bases: Buffer[] = [];
    for (const name of names("agent", 12)) {
      await before.mutate(put(name));
      bases.push(root(before));
    }
    before.stop();
    const after = await open(store);
    const [from] = [tableRange(OWN_CATALOGUE, "change").from];
    let scans = 0;
    const scan = store.scan.bind(store);
    store.scan = (range) => {
      if (equal(range.from.subarray(0, from.length), from)) scans += 1;
      return scan(range);
    };
    const walks = bases.slice(0, -1).map((baseRoot) => walk(after, { baseRoot, limit: 1 }));
    const pages = await Promise.all(walks);
    assert.deepEqual(
      pages.map((each) => ops(each).length),
      Array.from({ length: 11 }, (_, i) => 11 - i),
    );
    assert.equal(scans, 1);
    await after.mutate(put("acme/later"), put("acme/agent-3", { version: "2.0.0" }));
    const later = ops(await walk(after, { baseRoot: bases[5] as Buffer, limit: 2 }));
    assert.equal(later.length, 8);
    assert.ok(later.includes(`update ${did("acme/agent-3")}`));
    assert.equal(scans, 1);
  });

  it("reaches back to the versions whose changes are all among the newest rows of the log", async () => {
    const store = new MemoryStore();
    const keys = [9, 3, 7, 3, 1, 200].map((byte) => Buffer.alloc(32, byte));
    const sequences = [1, 2, 2, 3, 4, 5];
    const puts = keys.map((key, i) => ({
      ...({ type: "put", value: new Uint8Array(0) } as const),
      key: rowKey(OWN_CATALOGUE, "change", u48(sequences[i] as number), key),
    }));
    await store.batch(puts, { durable: true });
    const { signal } = new AbortController();
    const first = (index: ChangeIndex, base: number, after?: number, count = 9): number[] =>
      index.first(base, after === undefined ? undefined : Buffer.alloc(32, after), count).map((key) => key[0] as number);
    const whole = await ChangeIndex.read(store, OWN_CATALOGUE, 4, 5, signal);
    assert.deepEqual([whole.since, whole.upTo], [0, 4]);
    assert.deepEqual([first(whole, 0), first(whole, 1, 1, 2), first(whole, 3)], [[1, 3, 7, 9], [3, 7], [1]]);
    const cut = await ChangeIndex.read(store, OWN_CATALOGUE, 5, 4, signal);
    assert.equal(cut.since, 2, "of version 2 one row is missing");
    assert.deepEqual(first(cut, 2), [1, 3, 200]);
  });

  it("names the version of the first page when commits came between, and the rest is asked for from there", async () => {
    const bench = await open();
    await bench.mutate(...names("agent", 30).map((name) => put(name)));
    const [first, firstRoot] = [await page(bench, { limit: 10 }), root(bench)];
    const passed = first.changes[0]?.did as string;
    const name = names("agent", 30).find((each) => did(each) === passed) as string;
    await bench.mutate(put(name, { version: "9.0.0" }));
    const rest = await walk(bench, { limit: 10, cursor: first.nextCursor as string });
    const last = rest.at(-1) as CatalogPage;
    assert.equal(hex(last.syncedRoot), hex(firstRoot));
    assert.ok(!equal(last.syncedRoot, root(bench)));
    assert.deepEqual(ops([await page(bench, { baseRoot: last.syncedRoot })]), [`update ${passed}`]);
  });

  it("refuses what is not the form of a cursor, and versions that it never had", async () => {
    const bench = await open();
    await bench.mutate(...names("agent", 5).map((name) => put(name)));
    const { nextCursor } = await page(bench, { limit: 2 });
    const cursor = nextCursor as string;
    const refused = async (text: string): Promise<void> =>
      assert.equal(await ask(bench, { limit: 2, cursor: text }), "bad_cursor");
    await refused(`${cursor}A`);
    await refused("");
    await refused("!".repeat(PAGE_CURSOR_LENGTH_MAX));
    const other = Buffer.from(cursor, "base64url");
    other.writeUIntBE(2 ** 40, 1 + 6, 6);
    await refused(other.toString("base64url"));
  });

  it("refuses a base that it never had, that is older than its change log, or whose deletes it cannot name", async () => {
    const store = new MemoryStore();
    const bench = await open(store);
    await bench.mutate(put("acme/a"), put("acme/b"));
    const base = root(bench);
    assert.equal(await ask(bench, { baseRoot: Buffer.alloc(32, 7) }), "unknown_base");
    await bench.mutate({ op: "delete", did: did("acme/a") });
    assert.deepEqual(ops([await page(bench, { baseRoot: base })]), [`delete ${did("acme/a")}`]);
    const row = rowKey(OWN_CATALOGUE, "tombstone", keyOf(did("acme/a")));
    const named = (await store.get(row)) as Uint8Array;
    await store.batch([{ type: "put", key: row, value: named.slice(0, 12) }], { durable: true });
    assert.equal(await ask(bench, { baseRoot: base }), "unknown_base", "written by an earlier version of the program");
    await store.batch([{ type: "put", key: row, value: named }], { durable: true });
    bench.clock.advance(CHANGES_KEPT_MS + 1_000);
    await bench.mutate(put("acme/c"));
    bench.clock.advance(HEARTBEAT_MS);
    await quiet();
    assert.equal(await ask(bench, { baseRoot: base }), "unknown_base");
    const left: number[] = [];
    for await (const rows of store.scan(tableRange(OWN_CATALOGUE, "root"))) left.push(rows.length);
    assert.ok(left.reduce((sum, count) => sum + count, 0) <= 3, "the roots went with the change log");
  });

  it("begins a walk anew after its epoch was raised, and still knows the roots that its change log reaches", async () => {
    const bench = await open();
    await bench.mutate(...names("agent", 20).map((name) => put(name)));
    const base = root(bench);
    const { nextCursor } = await page(bench, { limit: 5 });
    const foreign = Array.from({ length: 9 }, (_, seq) => commit({ seq }));
    bench.actor.tell({ type: "own_head", head: publish(foreign).head });
    await quiet();
    assert.equal(bench.published.at(-1)?.epoch, 1);
    assert.equal(await ask(bench, { limit: 5, cursor: nextCursor as string }), "unknown_base");
    await bench.mutate(put("acme/later"));
    const answer = await page(bench, { baseRoot: base, logSize: 0 });
    assert.deepEqual(ops([answer]), [`create ${did("acme/later")}`]);
    assert.equal(verifyHead(answer.head).checkpoint.epoch, 1);
    assert.equal(await ask(bench, { lastSyncMs: 0 }), "unknown_base", "of the epoch before no times are kept");
  });

  it("T45 reports a record whose stored bytes are damaged, and brings the pages without it", async () => {
    const disk = new MemoryStore();
    const bench = new Bench({ store: checksummed(disk) });
    await quiet();
    await bench.mutate(...names("agent", 6).map((name) => put(name)));
    const rotten = (await page(bench, { limit: 6 })).changes[3]?.did as string;
    assert.ok(disk.flipBit(rowKey(OWN_CATALOGUE, "record", keyOf(rotten)), 300));
    assert.equal((await page(bench, { limit: 3 })).changes.length, 3);
    await assert.rejects(ask(bench, { limit: 4 }), { code: "damaged" });
    assert.ok(bench.log.lines.some(({ message }) => message.includes("damaged")));
  });

  it("cuts a page by its bytes, takes one record however large, and brings all of them", async () => {
    const bench = await open();
    const original = { media_type: "text/plain", document: "x".repeat(120_000) };
    const count = Math.ceil((2.5 * PAGE_RECORD_BYTES_MAX) / 120_000);
    await bench.mutate(...names("large", count).map((name) => put(name, { original })));
    const pages = await walk(bench);
    assert.ok(pages.length >= 3, `${pages.length} pages`);
    for (const { changes } of pages) {
      const bytes = changes.reduce((sum, change) => sum + (change.op === "delete" ? 0 : change.record.length), 0);
      assert.ok(bytes <= PAGE_RECORD_BYTES_MAX, `${bytes} bytes`);
    }
    assert.equal(ops(pages).length, count);
  });

  it("adds the leaves of the log that the asker lacks", async () => {
    const bench = await open();
    for (const name of names("agent", 4)) await bench.mutate(put(name));
    const size = bench.published.length;
    assert.equal((await page(bench)).logLeaves, undefined);
    assert.equal((await page(bench, { logSize: 0 })).logLeaves?.length, size * 32);
    assert.equal((await page(bench, { logSize: size - 1 })).logLeaves?.length, 32);
    assert.equal((await page(bench, { logSize: size + 5 })).logLeaves, undefined);
  });

  it("takes the newest version that had the asker's root, also when only the disk remembers it", async () => {
    const store = new MemoryStore();
    const before = await open(store);
    await before.mutate(put("acme/a"));
    const base = root(before);
    await before.mutate(put("acme/b"));
    await before.mutate({ op: "delete", did: did("acme/b") });
    assert.equal(hex(root(before)), hex(base));
    before.stop();
    const after = await open(store);
    await after.mutate(put("acme/c"));
    assert.deepEqual(ops([await page(after, { baseRoot: base })]), [`create ${did("acme/c")}`]);
  });

  it("T45 asks for a new beginning where the name of a deleted agent has rotted", async () => {
    const disk = new MemoryStore();
    const bench = new Bench({ store: checksummed(disk) });
    await quiet();
    await bench.mutate(put("acme/a"), put("acme/b"), put("acme/c"));
    const baseRoot = root(bench);
    await bench.mutate({ op: "delete", did: did("acme/a") }, { op: "delete", did: did("acme/b") });
    assert.ok(disk.flipBit(rowKey(OWN_CATALOGUE, "tombstone", keyOf(did("acme/b"))), 40));
    assert.equal(await ask(bench, { baseRoot }), "unknown_base");
    assert.deepEqual(ops(await walk(bench)), [`create ${did("acme/c")}`]);
    bench.stop();
  });
});
