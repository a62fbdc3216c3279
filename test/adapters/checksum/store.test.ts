import assert from "node:assert/strict";
import { CHECKSUM_BYTES, checksummed } from "../../../src/adapters/checksum/store.ts";
import { MemoryStore } from "../../../src/adapters/memory/store.ts";
import { StoreError, type Store, type StoreReader } from "../../../src/ports/store.ts";

const VOLATILE = { durable: false } as const;
const bytes = (text: string): Uint8Array => Buffer.from(text);

const isDamaged = (name: string) => (error: unknown) =>
  error instanceof StoreError &&
  error.code === "damaged" &&
  error.key !== undefined &&
  Buffer.from(error.key).equals(bytes(name));

async function scanAll(reader: StoreReader): Promise<string[]> {
  const out: string[] = [];
  for await (const chunk of reader.scan({ from: bytes("a"), to: bytes("z") })) out.push(...chunk.map(([key]) => String(key)));
  return out;
}

describe("checksummed store", () => {
  let plain: MemoryStore;
  let store: Store;

  beforeEach(() => {
    plain = new MemoryStore();
    store = checksummed(plain);
  });

  it("puts CRC32C before the value, over key and value (RFC 3720 section B.4)", async () => {
    // The check value of CRC-32C is that of "123456789"; here it is spread over key and value.
    await store.batch([{ type: "put", key: bytes("1234"), value: bytes("56789") }], VOLATILE);
    assert.equal(
      Buffer.from((await plain.get(bytes("1234"))) as Uint8Array).toString("hex"),
      "e3069283" + Buffer.from("56789").toString("hex"),
    );
  });

  it("T45 finds every flipped bit of a stored value, by every kind of read", async () => {
    const value = bytes("the record");
    await store.batch([{ type: "put", key: bytes("k"), value }], VOLATILE);
    for (let bit = 0; bit < (CHECKSUM_BYTES + value.length) * 8; bit++) {
      plain.flipBit(bytes("k"), bit);
      const snapshot = store.snapshot();
      for (const reader of [store, snapshot]) {
        await assert.rejects(reader.get(bytes("k")), isDamaged("k"));
        await assert.rejects(reader.getMany([bytes("none"), bytes("k")]), isDamaged("k"));
        await assert.rejects(scanAll(reader), isDamaged("k"));
      }
      await snapshot.close();
      plain.flipBit(bytes("k"), bit);
    }
    assert.deepEqual(await store.get(bytes("k")), value);
  });

  it("T45 finds a truncated, an emptied and a misplaced value", async () => {
    await store.batch([{ type: "put", key: bytes("k"), value: bytes("value") }], VOLATILE);
    const stored = (await plain.get(bytes("k"))) as Uint8Array;
    for (const bad of [stored.subarray(0, -1), stored.subarray(0, 3), new Uint8Array(0), Buffer.concat([stored, bytes("x")])]) {
      await plain.batch([{ type: "put", key: bytes("k"), value: bad }], VOLATILE);
      await assert.rejects(store.get(bytes("k")), isDamaged("k"));
    }
    await plain.batch([{ type: "put", key: bytes("other"), value: stored }], VOLATILE);
    await assert.rejects(store.get(bytes("other")), isDamaged("other"));
  });

  it("gives the good entries before a damaged one, so that a scrub can go on behind it", async () => {
    await store.batch(
      [..."bcdef"].map((name) => ({ type: "put" as const, key: bytes(name), value: bytes(name) })),
      VOLATILE,
    );
    plain.flipBit(bytes("d"), 5);
    const seen: string[] = [];
    await assert.rejects(async () => {
      for await (const chunk of store.scan({ from: bytes("a"), to: bytes("z") })) seen.push(...chunk.map(([key]) => String(key)));
    }, isDamaged("d"));
    assert.deepEqual(seen, ["b", "c"]);
  });
});
