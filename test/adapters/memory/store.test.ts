import assert from "node:assert/strict";
import { checksummed } from "../../../src/adapters/checksum/store.ts";
import { MemoryStore, WRITTEN_BACK_AFTER_BATCHES } from "../../../src/adapters/memory/store.ts";
import { StoreError, type Store } from "../../../src/ports/store.ts";

const put = (name: string, value: string) => ({ type: "put", key: Buffer.from(name), value: Buffer.from(value) }) as const;
const DURABLE = { durable: true } as const;
const VOLATILE = { durable: false } as const;

const hasCode = (code: string) => (error: unknown) => error instanceof StoreError && error.code === code;

async function content(store: Store): Promise<string> {
  const out: string[] = [];
  for await (const chunk of store.scan({ from: Buffer.of(0), to: Buffer.of(255) })) {
    out.push(...chunk.map(([key, value]) => `${Buffer.from(key)}${Buffer.from(value)}`));
  }
  return out.join(" ");
}

describe("memory store: faults", () => {
  it("T44 keeps what was durable over a power cut, and a prefix of the rest, whole batches in order", async () => {
    const wanted = ["a1 b1", "a1 b1 c1 d1", "a2 b1 c1 d1", "a2 b1 c1 d1 e1"];
    for (const [survivors, expected] of wanted.entries()) {
      const store = new MemoryStore();
      await store.batch([put("a", "1")], VOLATILE);
      await store.batch([put("b", "1")], DURABLE);
      await store.batch([put("c", "1"), put("d", "1")], VOLATILE);
      await store.batch([put("a", "2")], VOLATILE);
      void store.batch([put("e", "1")], DURABLE).catch(() => undefined);
      assert.equal(store.pendingBatches, 3);
      assert.equal(await content(store.crash(survivors)), expected);
    }
  });

  it("closes the old handle on a power cut: its snapshots, its writes under way, its reads", async () => {
    const store = new MemoryStore();
    await store.batch([put("a", "1")], DURABLE);
    const snapshot = store.snapshot();
    const writing = store.batch([put("a", "2")], DURABLE);
    const reopened = store.crash();
    await assert.rejects(writing, hasCode("closed"));
    await assert.rejects(store.get(Buffer.from("a")), hasCode("closed"));
    await assert.rejects(snapshot.get(Buffer.from("a")), hasCode("closed"));
    assert.equal(await content(reopened), "a1");
  });

  it("T44 can crash in the middle of any write", async () => {
    for (const survives of [0, 1]) {
      let reopened: MemoryStore | undefined;
      const store: MemoryStore = new MemoryStore({
        beforeWrite: ([first]) => {
          if (first?.key.toString() === "b") reopened = store.crash(survives);
        },
      });
      await store.batch([put("a", "1")], DURABLE);
      await assert.rejects(store.batch([put("b", "1")], DURABLE), hasCode("closed"));
      assert.equal(await content(reopened as MemoryStore), survives === 0 ? "a1" : "a1 b1");
    }
  });

  it("restarts after a clean close with everything", async () => {
    const store = new MemoryStore();
    await store.batch([put("a", "1")], VOLATILE);
    await store.close();
    assert.equal(await content(store.crash(store.pendingBatches)), "a1");
  });

  it("fails the write that its hook refuses, applies nothing of it, and goes on", async () => {
    let refuse = false;
    const store = new MemoryStore({
      beforeWrite: () => {
        if (refuse) throw new Error("no space");
      },
    });
    await store.batch([put("a", "1")], VOLATILE);
    refuse = true;
    await assert.rejects(store.batch([put("a", "2"), put("b", "2")], DURABLE), hasCode("write_failed"));
    assert.equal(store.pendingBatches, 1);
    refuse = false;
    await store.batch([put("c", "1")], DURABLE);
    assert.equal(await content(store), "a1 c1");
  });

  it("keeps the order of batches when its hook delays one", async () => {
    let release: (() => void) | undefined;
    const store = new MemoryStore({
      beforeWrite: ([first]) =>
        first?.key.toString() === "slow" ? new Promise<void>((resolve) => (release = resolve)) : undefined,
    });
    const order: string[] = [];
    const slow = store.batch([put("slow", "1")], VOLATILE).then(() => order.push("slow"));
    const fast = store.batch([put("fast", "1")], VOLATILE).then(() => order.push("fast"));
    await new Promise(setImmediate);
    assert.deepEqual(order, []);
    release?.();
    await Promise.all([slow, fast]);
    assert.deepEqual(order, ["slow", "fast"]);
  });

  it("T45 flips a bit of a stored value, which a checksum finds, also after a restart", async () => {
    const store = new MemoryStore();
    const checked = checksummed(store);
    await checked.batch([put("a", "1"), put("b", "1")], DURABLE);
    assert.equal(store.flipBit(Buffer.from("a"), 39), true);
    assert.equal(store.flipBit(Buffer.from("a"), 40), false);
    assert.equal(store.flipBit(Buffer.from("none"), 0), false);
    await assert.rejects(checked.get(Buffer.from("a")), hasCode("damaged"));
    assert.equal(String(await checked.get(Buffer.from("b"))), "1");
    await assert.rejects(checksummed(store.crash()).get(Buffer.from("a")), hasCode("damaged"));
  });

  it("holds a bounded number of batches that are not durable", async () => {
    const store = new MemoryStore();
    for (let i = 0; i < WRITTEN_BACK_AFTER_BATCHES + 10; i++) await store.batch([put(`k${i}`, "v")], VOLATILE);
    assert.equal(store.pendingBatches, WRITTEN_BACK_AFTER_BATCHES);
    const reopened = store.crash();
    assert.equal(String(await reopened.get(Buffer.from("k9"))), "v");
    assert.equal(await reopened.get(Buffer.from("k10")), undefined);
  });

  it("waits for microtasks alone", async () => {
    const store = new MemoryStore();
    let turned = false;
    setImmediate(() => (turned = true));
    for (let i = 0; i < 100; i++) await store.batch([put(`k${i}`, "v")], DURABLE);
    await content(store);
    await store.close();
    assert.equal(turned, false);
  });
});
