import assert from "node:assert/strict";
import { CLOSED_RANGES_MAX, ClosedBuckets } from "../../src/facade/closed-buckets.ts";

describe("the facade: closed buckets", () => {
  it("T47 closes, for want of room, the least there is between two, but not where requests come from now", () => {
    const closed = new ClosedBuckets("registryNoncesClosed");
    const open = { from: 96, to: 104 };
    for (const bucket of [90, 110]) closed.add(bucket, open);
    for (let i = 0; i < CLOSED_RANGES_MAX - 1; i++) closed.add(10_000 + 100 * i, open);
    for (let bucket = open.from; bucket <= open.to; bucket++) assert.equal(closed.has(bucket), false, `${bucket}`);
    assert.ok(closed.has(90) && closed.has(110) && closed.has(10_050));
    assert.equal(closed.operations().length, CLOSED_RANGES_MAX);
    assert.equal(closed.operations().length, 0);
  });

  it("joins what touches, also after a restart with rows that overlap", () => {
    const closed = new ClosedBuckets("registryNoncesClosed");
    const open = { from: 0, to: 0 };
    const put = (): Uint8Array[] => closed.operations().flatMap((one) => (one.type === "put" ? [one.key] : []));
    closed.add(5, open);
    const rows = put();
    closed.add(6, open);
    rows.push(...put());
    const restarted = new ClosedBuckets("registryNoncesClosed");
    for (const row of rows) restarted.restore(row);
    assert.ok(restarted.has(5) && restarted.has(6) && !restarted.has(7) && !restarted.has(4));
    assert.deepEqual(
      restarted.operations().map(({ type }) => type),
      ["del"],
    );
  });
});
