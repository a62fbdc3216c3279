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

  it("tells a peer what is left, and lets exactly that many through at once", () => {
    const limiter = new RequestLimiter(100);
    const { limit, remaining, resetMs } = limiter.take("peer", 0);
    assert.deepEqual({ limit, remaining, resetMs }, { limit: 100, remaining: 19, resetMs: 750 });
    let served = 0;
    while (limiter.take("peer", 0).retryAfterMs === 0) served += 1;
    assert.equal(served, 19);
    const refused = limiter.take("peer", 0);
    assert.equal(refused.remaining, 0);
    assert.equal(limiter.take("peer", refused.retryAfterMs).retryAfterMs, 0);
  });

  it("shrinks every rate under pressure, never below a tenth, and grows back", () => {
    const limiter = new RequestLimiter(100);
    for (let second = 0; second < 20; second++) limiter.adapt(1.5);
    assert.equal(limiter.rate, 0.1);
    let served = 0;
    for (let now = 20_000; now < 20_000 + MINUTE_MS; now += 100) if (limiter.take("peer", now).retryAfterMs === 0) served += 1;
    assert.ok(served <= 29, `${served} in a minute at a tenth of the rate, with the burst`);
    for (let second = 0; second < 20; second++) limiter.adapt(0.4);
    assert.equal(limiter.rate, 1);
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
