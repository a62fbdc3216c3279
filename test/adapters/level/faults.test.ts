import assert from "node:assert/strict";
import { open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Key } from "interface-datastore";
import { checksummed } from "../../../src/adapters/checksum/store.ts";
import { NodeDatastore } from "../../../src/adapters/level/datastore.ts";
import { NODE_KEY_PREFIX } from "../../../src/adapters/level/keys.ts";
import { openLevelStore } from "../../../src/adapters/level/level-store.ts";
import { StoreError, type Store, type StoreEntry, type StoreRange } from "../../../src/ports/store.ts";
import { temporaryDirectory } from "./temporary.ts";

const put = (name: string, value: string) => ({ type: "put", key: Buffer.from(name), value: Buffer.from(value) }) as const;
const DURABLE = { durable: true } as const;
const EVERYTHING = { from: Buffer.of(0), to: Buffer.of(0xff, 0xff) };

async function all(store: Store, range: StoreRange = EVERYTHING): Promise<StoreEntry[]> {
  const out: StoreEntry[] = [];
  for await (const chunk of store.scan(range)) out.push(...chunk);
  return out;
}

describe("level: faults and sharing", () => {
  let directory: string;
  let remove: () => Promise<void>;

  beforeEach(async () => {
    const temporary = await temporaryDirectory();
    directory = join(temporary.path, "store");
    remove = temporary.remove;
  });
  afterEach(() => remove());

  /** A closed store whose `count` entries lie in table files and in a log. */
  async function filled(count: number): Promise<void> {
    const opened = await openLevelStore({ directory, tuning: { writeBufferSize: 65_536, compression: false } });
    const store = checksummed(opened.store);
    for (let i = 0; i < count; i++)
      await store.batch([put(`key/${String(i).padStart(5, "0")}`, `value ${i} `.repeat(40))], DURABLE);
    await store.close();
  }

  async function filesEndingIn(ending: string): Promise<string[]> {
    const names = await readdir(directory);
    return names.filter((name) => name.endsWith(ending)).map((name) => join(directory, name));
  }

  it("shares the engine with libp2p's datastore, and neither sees the other's keys", async () => {
    const { store, datastore } = await openLevelStore({ directory });
    await store.batch([put("/peers/a", "ours"), put("z", "ours")], DURABLE);
    await datastore.put(new Key("/peers/a"), Buffer.from("theirs"));
    const batch = datastore.batch();
    batch.put(new Key("/peers/b"), Buffer.from("theirs"));
    batch.put(new Key("/z\u00ff\uffff"), Buffer.from("theirs"));
    batch.delete(new Key("/peers/none"));
    await batch.commit();
    assert.deepEqual(
      (await all(store)).map(([key, value]) => `${key}=${value}`),
      ["/peers/a=ours", "z=ours"],
    );
    const found = async (query: object): Promise<string[]> => {
      const names: string[] = [];
      for await (const key of datastore.queryKeys(query)) names.push(key.toString());
      return names;
    };
    assert.deepEqual(await found({}), ["/peers/a", "/peers/b", "/z\u00ff\uffff"]);
    assert.deepEqual(await found({ prefix: "/peers" }), ["/peers/a", "/peers/b"]);
    await datastore.delete(new Key("/peers/a"));
    assert.equal(await datastore.has(new Key("/peers/a")), false);
    assert.equal(String(await store.get(Buffer.from("/peers/a"))), "ours");
    await store.close();
  });

  it("keeps its own keys behind a byte that no UTF-8 text holds", () => {
    for (let point = 0; point < 0x110000; point += 17)
      assert.ok(!Buffer.from(String.fromCodePoint(point)).includes(NODE_KEY_PREFIX));
    assert.throws(() => new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.of(NODE_KEY_PREFIX)));
  });

  it("takes back a batch whose sync failed after it was logged", async () => {
    const { store, datastore } = await openLevelStore({ directory });
    assert.ok(datastore instanceof NodeDatastore);
    await store.batch([put("kept", "old"), put("gone", "old")], DURABLE);
    // What LevelDB does then: the batch is in the log, not in memory, and shows up when the log is read again.
    const { db } = datastore;
    const realBatch = db.batch.bind(db) as (...given: unknown[]) => Promise<void>;
    const realClose = db.close.bind(db);
    let logged: readonly unknown[] | undefined;
    Object.assign(db, {
      batch: async (...given: unknown[]) => {
        logged = given;
        throw Object.assign(new Error("IO error: fdatasync: Input/output error"), { code: "LEVEL_IO_ERROR" });
      },
      close: async () => {
        Object.assign(db, { batch: realBatch, close: realClose });
        await realBatch(...(logged as readonly unknown[]));
        await realClose();
      },
    });
    const refused = [put("kept", "new"), put("fresh", "new"), { type: "del", key: Buffer.from("gone") }] as const;
    await assert.rejects(
      store.batch(refused, DURABLE),
      (error: unknown) => error instanceof StoreError && error.code === "write_failed",
    );
    const writing = store.batch([put("next", "1")], DURABLE);
    assert.equal(String(await store.get(Buffer.from("kept"))), "old", "a read meanwhile");
    await writing;
    assert.deepEqual(
      (await all(store)).map(([key, value]) => `${key}=${value}`),
      ["gone=old", "kept=old", "next=1"],
    );
    await store.close();
  });

  it("T45 finds every value whose bytes rotted in a table, by get, getMany and scan, and never returns one", async () => {
    await filled(600);
    const [table] = await filesEndingIn(".ldb");
    const bytes = await readFile(table as string);
    const at = bytes.indexOf("value 100 value 100 value");
    assert.ok(at > 0, "the value lies in the first table");
    bytes[at + 3] = (bytes[at + 3] as number) ^ 0x10;
    await writeFile(table as string, bytes);

    const store = checksummed((await openLevelStore({ directory })).store);
    const bad = Buffer.from("key/00100");
    const isBad = (error: unknown): boolean =>
      error instanceof StoreError &&
      error.code === "damaged" &&
      bad.equals(error.key as Uint8Array) &&
      error.message.includes(bad.toString("hex"));
    await assert.rejects(store.get(bad), isBad);
    await assert.rejects(store.getMany([Buffer.from("key/00099"), bad]), isBad);
    const before: StoreEntry[] = [];
    await assert.rejects(async () => {
      for await (const chunk of store.scan(EVERYTHING)) before.push(...chunk);
    }, isBad);
    assert.equal(before.length, 100, "all good entries before it were given");
    const behind = { from: Buffer.concat([bad, Buffer.of(0)]), to: EVERYTHING.to };
    assert.equal((await all(store, behind)).length, 499);
    await store.close();
  });

  it("T45 keeps what was written before a torn end of the log", async () => {
    const { store } = await openLevelStore({ directory });
    for (let i = 0; i < 20; i++) await store.batch([put(`key/${i}`, "v".repeat(500))], DURABLE);
    const [log] = await filesEndingIn(".log");
    const torn = Buffer.from(await readFile(log as string));
    await store.close();
    const file = await open(log as string, "w");
    await file.writeFile(torn.subarray(0, torn.length - 100));
    await file.close();
    const again = (await openLevelStore({ directory })).store;
    assert.equal((await all(again)).length, 19);
    await again.close();
  });

  for (const [what, harm] of [
    ["a missing table", async () => rm((await filesEndingIn(".ldb"))[0] as string)],
    ["a CURRENT that names nothing", async () => writeFile(join(directory, "CURRENT"), "nothing\n")],
    [
      "an emptied manifest",
      async () =>
        Promise.all(
          (await readdir(directory))
            .filter((name) => name.startsWith("MANIFEST"))
            .map((name) => writeFile(join(directory, name), "")),
        ),
    ],
  ] as const) {
    it(`T45 refuses to open with ${what}, and says what to do`, async () => {
      await filled(600);
      await harm();
      await assert.rejects(openLevelStore({ directory }), (error: unknown) => {
        assert.ok(error instanceof StoreError);
        assert.equal(error.code, "unavailable");
        assert.ok(error.message.includes(directory), error.message);
        assert.match(error.message, /damaged; restore|check that the directory/);
        return true;
      });
    });
  }

  it("refuses a directory that is a file", async () => {
    await writeFile(directory, "");
    await assert.rejects(
      openLevelStore({ directory }),
      (error: unknown) => error instanceof StoreError && error.code === "unavailable",
    );
  });
});
