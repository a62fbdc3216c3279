import assert from "node:assert/strict";
import { Attempts, NEXT_SOURCE_MS, RETRY_MS_MAX, RETRY_MS_MIN } from "../../src/replication/attempts.ts";

const FAILED = { kind: "failed" } as const;
const NOT_FOLDABLE = { kind: "not_foldable" } as const;

function attempts(...sources: readonly string[]): Attempts {
  const made = new Attempts();
  made.setSources(sources);
  return made;
}

describe("whom a replica asks next", () => {
  it("asks each source once a round, and pauses longer after each round, up to the bound", () => {
    const tried = attempts("home", "other");
    const waits: number[] = [];
    const asked: (string | undefined)[] = [];
    for (let i = 0; i < 40; i++) {
      asked.push(tried.source);
      waits.push(tried.setback(FAILED).delayMs);
    }
    assert.deepEqual(asked.slice(0, 4), ["home", "other", "home", "other"]);
    assert.deepEqual(waits.slice(0, 6), [
      ...[NEXT_SOURCE_MS, RETRY_MS_MIN, NEXT_SOURCE_MS],
      ...[2 * RETRY_MS_MIN, NEXT_SOURCE_MS, 4 * RETRY_MS_MIN],
    ]);
    assert.equal(Math.max(...waits), RETRY_MS_MAX);
  });

  it("begins with the best source again after a success", () => {
    const tried = attempts("home", "other");
    tried.setback(FAILED);
    assert.equal(tried.source, "other");
    tried.succeeded();
    assert.equal(tried.source, "home");
    assert.equal(tried.exhausted, false);
  });

  it("compares with short hints, then with whole hashes, then asks another source", () => {
    const tried = attempts("home", "other");
    assert.equal(tried.descend, undefined);
    assert.deepEqual(tried.setback(NOT_FOLDABLE), { delayMs: 0, firm: false });
    assert.equal(tried.descend, "short");
    tried.setback(NOT_FOLDABLE);
    assert.equal(tried.descend, "full");
    assert.equal(tried.source, "home");
    tried.setback(NOT_FOLDABLE);
    assert.equal(tried.source, "other");
    assert.equal(tried.descend, undefined);
  });

  it("gives a throttled peer its time once, and believes no more than the bound", () => {
    const tried = attempts("home", "other");
    assert.deepEqual(tried.setback({ kind: "throttled", retryAfterMs: 4_000 }), { delayMs: 4_000, firm: true });
    assert.equal(tried.source, "home");
    assert.equal(tried.setback({ kind: "throttled", retryAfterMs: 4_000 }).firm, false);
    assert.equal(tried.source, "other");
    const patient = attempts("home");
    assert.equal(patient.setback({ kind: "throttled", retryAfterMs: 2 ** 32 }).delayMs, RETRY_MS_MAX);
  });

  it("does not go back to a bad source because peers come and go", () => {
    const tried = attempts("bad", "good");
    tried.setback(FAILED);
    tried.setSources(["bad", "new", "good"]);
    assert.equal(tried.source, "good");
    tried.setSources([]);
    assert.equal(tried.source, undefined);
    assert.ok(tried.setback(FAILED).delayMs > 0);
  });

  it("says when all have failed since somebody asked", () => {
    const tried = attempts("home", "other");
    tried.setback(FAILED);
    assert.equal(tried.exhausted, false);
    tried.setback(FAILED);
    assert.equal(tried.exhausted, true);
    tried.restart();
    assert.equal(tried.exhausted, false);
  });
});
