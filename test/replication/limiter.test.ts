import assert from "node:assert/strict";
import fc from "fast-check";
import { LIMITED_PEERS_MAX, RequestLimiter } from "../../src/replication/limiter.ts";

const MINUTE_MS = 60_000;

describe("the limit of requests", () => {
  it("never lets more than the limit through in any 60 s, whatever the pace", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.array(fc.oneof(fc.constant(0), fc.nat(50), fc.nat(5_000), fc.nat(60_000)), { minLength: 1, maxLength: 800 }),
        (limit, pauses) => {
          const limiter = new RequestLimiter(limit);
          const served: number[] = [];
          let now = 0;
          for (const pause of pauses) {
            now += pause;
            const waitMs = limiter.retryAfterMs("peer", now);
            if (waitMs === 0) served.push(now);
            assert.ok(waitMs >= 0 && waitMs <= MINUTE_MS);
            const inWindow = served.filter((at) => at > now - MINUTE_MS).length;
            assert.ok(inWindow <= limit, `${inWindow} of ${limit}`);
          }
        },
      ),
      { seed: 7, numRuns: 300 },
    );
  });

  it("serves a request that waited as long as it was told", () => {
    const limiter = new RequestLimiter(12);
    let now = 0;
    let served = 0;
    while (now < 10 * MINUTE_MS) {
      const waitMs = limiter.retryAfterMs("peer", now);
      if (waitMs === 0) served += 1;
      else {
        now += waitMs;
        assert.equal(limiter.retryAfterMs("peer", now), 0);
        served += 1;
      }
    }
    assert.ok(served >= 90, `${served} in ten minutes`);
  });

  it("keeps peers apart, and remembers a bounded number of them", () => {
    const limiter = new RequestLimiter(1);
    assert.equal(limiter.retryAfterMs("one", 0), 0);
    assert.ok(limiter.retryAfterMs("one", 1) > 0);
    assert.equal(limiter.retryAfterMs("two", 1), 0);
    for (let i = 0; i < LIMITED_PEERS_MAX; i++) limiter.retryAfterMs(`peer ${i}`, 2);
    assert.equal(limiter.retryAfterMs("one", 3), 0);
  });
});
