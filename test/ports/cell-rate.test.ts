import assert from "node:assert/strict";
import { CellRate } from "../../src/ports/cell-rate.ts";

/** One cell each second, three at once. */
const PACE = { perMinute: 60, burst: 3 };

function takenAtOnce(rate: CellRate, key: string, nowMs: number, pace = PACE): number {
  let taken = 0;
  while (rate.take(key, nowMs, pace) === 0) taken += 1;
  return taken;
}

describe("the generic cell rate algorithm", () => {
  it("lets a burst through at once and then an even flow, and says how long to wait", () => {
    const rate = new CellRate(10);
    assert.equal(takenAtOnce(rate, "a", 0), 3);
    assert.equal(rate.waitMs("a", 0, PACE), 1_000);
    assert.equal(rate.waitMs("a", 400, PACE), 600);
    assert.equal(rate.take("a", 999, PACE), 1);
    assert.equal(takenAtOnce(rate, "a", 1_000), 1);
    assert.equal(takenAtOnce(rate, "a", 60_000), 3);
  });

  it("takes nothing when it refuses or only tells", () => {
    const rate = new CellRate(10);
    for (let i = 0; i < 5; i++) assert.equal(rate.waitMs("a", 0, PACE), 0);
    assert.equal(takenAtOnce(rate, "a", 0), 3);
    for (let i = 0; i < 5; i++) assert.equal(rate.take("a", 0, PACE), 1_000);
    assert.equal(rate.waitMs("a", 0, PACE), 1_000);
  });

  it("charges more than there was, and then waits for it", () => {
    const rate = new CellRate(10);
    for (let i = 0; i < 5; i++) rate.charge("a", 0, PACE);
    assert.equal(rate.waitMs("a", 0, PACE), 3_000);
    assert.equal(rate.take("a", 3_000, PACE), 0);
  });

  it("tells what is left, and when the whole burst is there again", () => {
    const rate = new CellRate(10);
    assert.deepEqual(rate.left("a", 0, PACE), { cells: 3, resetMs: 0 });
    rate.charge("a", 0, PACE);
    assert.deepEqual(rate.left("a", 0, PACE), { cells: 2, resetMs: 1_000 });
    for (let i = 0; i < 4; i++) rate.charge("a", 0, PACE);
    assert.deepEqual(rate.left("a", 0, PACE), { cells: 0, resetMs: 5_000 });
    assert.deepEqual(rate.left("a", 5_000, PACE), { cells: 3, resetMs: 0 });
  });

  it("follows a pace that changes", () => {
    const rate = new CellRate(10);
    assert.equal(takenAtOnce(rate, "a", 0), 3);
    assert.equal(rate.take("a", 1_000, { perMinute: 30, burst: 1 }), 2_000);
    assert.equal(rate.take("a", 1_000, PACE), 0);
  });

  it("keeps keys apart, and forgets the one that was quiet for longest beyond its bound", () => {
    const rate = new CellRate(2);
    for (const key of ["a", "b"]) assert.equal(takenAtOnce(rate, key, 0), 3);
    rate.charge("a", 0, PACE);
    rate.charge("c", 0, PACE);
    assert.equal(rate.waitMs("b", 0, PACE), 0);
    assert.equal(rate.waitMs("a", 0, PACE), 2_000);
  });
});
