import assert from "node:assert/strict";
import {
  GROUP_OPERATIONS_MAX,
  WAITING_BATCHES_MAX,
  WriteQueue,
  type EngineOperation,
} from "../../../src/adapters/level/write-queue.ts";
import { StoreError } from "../../../src/ports/store.ts";

const operation = (name: string): EngineOperation => ({ type: "del", key: Buffer.from(name) });

/** A queue whose writes end when the test says so. */
function heldQueue(): {
  queue: WriteQueue;
  groups: { names: string; durable: boolean }[];
  release: (error?: Error) => Promise<void>;
} {
  const groups: { names: string; durable: boolean }[] = [];
  let end: { resolve: () => void; reject: (error: Error) => void } | undefined;
  const queue = new WriteQueue((operations, durable) => {
    groups.push({ names: operations.map((one) => Buffer.from(one.key).toString()).join(""), durable });
    return new Promise<void>((resolve, reject) => (end = { resolve, reject }));
  });
  const release = async (error?: Error): Promise<void> => {
    if (error === undefined) end?.resolve();
    else end?.reject(error);
    await new Promise(setImmediate);
  };
  return { queue, groups, release };
}

describe("level: write queue", () => {
  it("writes one group at a time; what arrives meanwhile forms the next, durable when one of them is", async () => {
    const { queue, groups, release } = heldQueue();
    const written = [
      queue.submit([operation("a")], false),
      queue.submit([operation("b"), operation("c")], false),
      queue.submit([operation("d")], true),
    ];
    assert.deepEqual(groups, [{ names: "a", durable: false }]);
    await release();
    await written[0];
    assert.deepEqual(groups[1], { names: "bcd", durable: true });
    await release();
    await Promise.all(written);
    await queue.idle();
    assert.equal(groups.length, 2);
  });

  it("keeps groups at GROUP_OPERATIONS_MAX, yet writes a larger batch whole", async () => {
    const { queue, groups, release } = heldQueue();
    const many = (count: number): EngineOperation[] => Array.from({ length: count }, () => operation("x"));
    const written = [1, GROUP_OPERATIONS_MAX + 5, GROUP_OPERATIONS_MAX - 1, 1, 1].map((count) =>
      queue.submit(many(count), false),
    );
    for (let i = 0; i < 4; i++) await release();
    await Promise.all(written);
    assert.deepEqual(
      groups.map((group) => group.names.length),
      [1, GROUP_OPERATIONS_MAX + 5, GROUP_OPERATIONS_MAX, 1],
    );
  });

  it("fails every batch of a group that failed, and goes on with the next", async () => {
    const { queue, release } = heldQueue();
    const first = queue.submit([operation("a")], false);
    const failing = [queue.submit([operation("b")], false), queue.submit([operation("c")], true)];
    const outcomes = Promise.allSettled([first, ...failing]);
    await release();
    await release(new Error("full"));
    assert.deepEqual(
      (await outcomes).map((one) => one.status),
      ["fulfilled", "rejected", "rejected"],
    );
    const next = queue.submit([operation("d")], false);
    await release();
    await next;
  });

  it("T56 refuses more than WAITING_BATCHES_MAX waiting batches", async () => {
    const { queue, release } = heldQueue();
    const written = Array.from({ length: WAITING_BATCHES_MAX + 1 }, () => queue.submit([operation("a")], false));
    await assert.rejects(
      queue.submit([operation("b")], false),
      (error: unknown) => error instanceof StoreError && error.code === "unavailable",
    );
    for (let i = 0; i <= Math.ceil(WAITING_BATCHES_MAX / GROUP_OPERATIONS_MAX); i++) await release();
    await Promise.all(written);
  });
});
