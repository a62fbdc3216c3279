import assert from "node:assert/strict";
import {
  KEY_BYTES_MAX,
  StoreError,
  type Store,
  type StoreEntry,
  type StoreRange,
  type StoreReader,
} from "../../src/ports/store.ts";

/** What the suite needs of an implementation: a fresh store, and the same one opened again after a clean close. */
export interface StoreUnderTest {
  readonly store: Store;
  reopen(): Promise<Store>;
  dispose(): Promise<void>;
}

const key = (text: string): Uint8Array => Buffer.from(text);
const put = (name: string, value: string) => ({ type: "put", key: key(name), value: key(value) }) as const;
const del = (name: string) => ({ type: "del", key: key(name) }) as const;
const DURABLE = { durable: true } as const;
const VOLATILE = { durable: false } as const;

async function text(reader: StoreReader, name: string): Promise<string | undefined> {
  const value = await reader.get(key(name));
  return value && Buffer.from(value).toString();
}

async function chunks(reader: StoreReader, range: StoreRange): Promise<StoreEntry[][]> {
  const out: StoreEntry[][] = [];
  for await (const chunk of reader.scan(range)) out.push(chunk);
  return out;
}

async function names(reader: StoreReader, from: string, to: string, more: Partial<StoreRange> = {}): Promise<string> {
  const found = await chunks(reader, { from: key(from), to: key(to), ...more });
  return found
    .flat()
    .map(([name]) => Buffer.from(name).toString())
    .join("");
}

const isClosed = (error: unknown): boolean => error instanceof StoreError && error.code === "closed";

/** The contract of `src/ports/store.ts`, run over every implementation. */
export function describeStore(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`store contract: ${name}`, () => {
    let subject: StoreUnderTest;
    let store: Store;

    beforeEach(async () => {
      subject = await open();
      store = subject.store;
    });
    afterEach(() => subject.dispose());

    it("gives back what was put, and nothing where there is nothing", async () => {
      await store.batch([put("a", "1"), put("empty", "")], VOLATILE);
      assert.equal(await text(store, "a"), "1");
      assert.equal((await store.get(key("empty")))?.length, 0);
      assert.equal(await store.get(key("b")), undefined);
    });

    it("gives many values in the order of their keys", async () => {
      await store.batch([put("a", "1"), put("c", "3")], DURABLE);
      const values = await store.getMany([key("c"), key("b"), key("a"), key("c")]);
      assert.deepEqual(
        values.map((value) => value && Buffer.from(value).toString()),
        ["3", undefined, "1", "3"],
      );
      assert.deepEqual(await store.getMany([]), []);
    });

    it("lets later operations of a batch win over earlier ones on the same key", async () => {
      await store.batch(
        [put("a", "1"), del("a"), put("b", "1"), put("b", "2"), put("c", "1"), del("c"), put("c", "3")],
        VOLATILE,
      );
      assert.equal(await text(store, "a"), undefined);
      assert.equal(await text(store, "b"), "2");
      assert.equal(await text(store, "c"), "3");
    });

    it("takes an empty batch and a delete of a missing key", async () => {
      await store.batch([], DURABLE);
      await store.batch([del("a")], DURABLE);
      assert.equal(await store.get(key("a")), undefined);
    });

    it("applies batches in the order in which they were submitted, none awaited", async () => {
      const written: Promise<void>[] = [];
      for (let i = 0; i < 500; i++) {
        written.push(store.batch([put("last", String(i)), put(`n${i}`, String(i))], i % 7 === 0 ? DURABLE : VOLATILE));
      }
      const seen: number[] = [];
      await Promise.all(written.map((one, i) => one.then(() => seen.push(i))));
      assert.equal(await text(store, "last"), "499");
      assert.deepEqual(
        seen,
        seen.toSorted((a, b) => a - b),
      );
    });

    it("shows a batch wholly or not at all to a reader beside it", async () => {
      await store.batch([put("a", "0"), put("b", "0"), put("c", "0")], VOLATILE);
      const writing = (async () => {
        for (let i = 1; i <= 200; i++) await store.batch([put("a", `${i}`), put("b", `${i}`), put("c", `${i}`)], VOLATILE);
      })();
      for (let i = 0; i < 50; i++) {
        const values = await store.getMany([key("a"), key("b"), key("c")]);
        assert.equal(new Set(values.map(String)).size, 1);
      }
      await writing;
    });

    it("scans from ≤ key < to, ascending and descending, with a limit", async () => {
      await store.batch(
        [..."gdbfaceh"].map((name) => put(name, name.toUpperCase())),
        VOLATILE,
      );
      assert.equal(await names(store, "b", "f"), "bcde");
      assert.equal(await names(store, "b", "f", { reverse: true }), "edcb");
      assert.equal(await names(store, "b", "z", { limit: 3 }), "bcd");
      assert.equal(await names(store, "a", "z", { limit: 3, reverse: true }), "hgf");
      assert.equal(await names(store, "b", "b"), "");
      assert.equal(await names(store, "f", "b"), "");
      assert.equal(await names(store, "x", "z"), "");
      assert.equal(await names(store, "", "b"), "a");
    });

    it("orders keys as unsigned bytes, shorter first", async () => {
      const keys = ["00", "0000", "00ff", "01", "2f", "2f61", "7f", "80", "ff", "ff00", "ffff"].map((hex) =>
        Buffer.from(hex, "hex"),
      );
      await store.batch(
        keys.toReversed().map((one) => ({ type: "put", key: one, value: one }) as const),
        VOLATILE,
      );
      const to = Buffer.alloc(KEY_BYTES_MAX, 0xff);
      const found = (await chunks(store, { from: Buffer.of(0), to })).flat();
      assert.deepEqual(
        found.map(([one]) => Buffer.from(one).toString("hex")),
        keys.map((one) => one.toString("hex")),
      );
    });

    it("scans in chunks of at most chunkEntries that together miss and repeat nothing", async () => {
      const all = Array.from({ length: 1_000 }, (_, i) => String(i).padStart(4, "0"));
      await store.batch(
        all.map((name) => put(name, name.repeat(200))),
        VOLATILE,
      );
      for (const reverse of [false, true]) {
        const found = await chunks(store, { from: key("0"), to: key("9"), chunkEntries: 64, reverse });
        assert.ok(found.every((chunk) => chunk.length > 0 && chunk.length <= 64));
        const wanted = all.filter((name) => name < "9");
        assert.deepEqual(
          found.flat().map(([name]) => Buffer.from(name).toString()),
          reverse ? wanted.toReversed() : wanted,
        );
      }
    });

    it("lets a reader leave a scan early", async () => {
      await store.batch(
        [..."abcdef"].map((name) => put(name, "")),
        VOLATILE,
      );
      for await (const chunk of store.scan({ from: key("a"), to: key("z"), chunkEntries: 2 })) {
        assert.equal(chunk.length, 2);
        break;
      }
      await store.close();
    });

    it("keeps a snapshot as it was, for every kind of read", async () => {
      await store.batch([put("a", "1"), put("b", "1")], VOLATILE);
      const snapshot = store.snapshot();
      await store.batch([put("a", "2"), del("b"), put("c", "2")], DURABLE);
      assert.equal(await text(snapshot, "a"), "1");
      assert.deepEqual((await snapshot.getMany([key("b"), key("c")])).map(String), ["1", "undefined"]);
      assert.equal(await names(snapshot, "a", "z"), "ab");
      assert.equal(await names(store, "a", "z"), "ac");
      await snapshot.close();
      await snapshot.close();
      await assert.rejects(snapshot.get(key("a")), isClosed);
    });

    it("does not share bytes with its callers", async () => {
      const value = Buffer.from("before");
      await store.batch([{ type: "put", key: key("a"), value }], VOLATILE);
      value.fill(0);
      const read = (await store.get(key("a"))) as Uint8Array;
      assert.equal(Buffer.from(read).toString(), "before");
      read.fill(0);
      assert.equal(await text(store, "a"), "before");
    });

    it("takes keys of 1 to KEY_BYTES_MAX bytes and no others", async () => {
      const longest = Buffer.alloc(KEY_BYTES_MAX, 0xff);
      await store.batch([{ type: "put", key: longest, value: key("x") }], VOLATILE);
      assert.ok(await store.get(longest));
      for (const bad of [Buffer.alloc(0), Buffer.alloc(KEY_BYTES_MAX + 1)]) {
        await assert.rejects(store.batch([put("b", "1"), { type: "put", key: bad, value: key("x") }], VOLATILE), RangeError);
        await assert.rejects(store.get(bad), RangeError);
        await assert.rejects(store.getMany([bad]), RangeError);
      }
      assert.equal(await store.get(key("b")), undefined);
    });

    it("keeps values of every size", async () => {
      for (const size of [1, 4_096, 131_072, 2_097_152]) {
        const value = Buffer.alloc(size, size & 0xff);
        await store.batch([{ type: "put", key: key("v"), value }], DURABLE);
        assert.ok(value.equals((await store.get(key("v"))) as Uint8Array));
      }
    });

    it("T44 keeps everything over a clean close, and finishes what was submitted before it", async () => {
      void store.batch([put("a", "1")], VOLATILE);
      void store.batch([put("b", "1")], DURABLE);
      await store.close();
      const again = await subject.reopen();
      assert.equal(await names(again, "a", "z"), "ab");
    });

    it("refuses everything once closed, and closes twice", async () => {
      const snapshot = store.snapshot();
      await store.close();
      await store.close();
      await assert.rejects(store.get(key("a")), isClosed);
      await assert.rejects(store.getMany([key("a")]), isClosed);
      await assert.rejects(store.batch([put("a", "1")], VOLATILE), isClosed);
      await assert.rejects(chunks(store, { from: key("a"), to: key("b") }), isClosed);
      await assert.rejects(snapshot.get(key("a")), isClosed);
      assert.throws(() => store.snapshot(), isClosed);
    });
  });
}
