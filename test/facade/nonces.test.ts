import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { SKEW_MS_MAX } from "../../protocols/http/request-fields.ts";
import { MemoryStore } from "../../src/adapters/memory/store.ts";
import { Nonces, NONCES_MAX, NONCES_PER_SENDER_MAX } from "../../src/facade/nonces.ts";
import { ProblemError } from "../../src/facade/problem.ts";
import { facadeRange } from "../../src/facade/rows.ts";
import { TestClock } from "./test-clock.ts";

describe("the facade: nonces", () => {
  let clock: TestClock;
  let store: MemoryStore;
  let nonces: Nonces;

  beforeEach(async () => {
    clock = new TestClock();
    store = new MemoryStore();
    nonces = await Nonces.load(store, clock, "registryNonces");
  });

  const claim = (did: string, timestampMs: number = clock.now()) => ({ did, nonce: randomBytes(16), timestampMs });
  /** Also what is thrown at once is an answer. */
  const take = async (of: Nonces, what: ReturnType<typeof claim>): Promise<string> => {
    try {
      await of.take(what);
      return "taken";
    } catch (error) {
      assert.ok(error instanceof ProblemError);
      return error.code;
    }
  };
  const rows = async (): Promise<number> => {
    let count = 0;
    for await (const chunk of store.scan(facadeRange("registryNonces"))) count += chunk.length;
    return count;
  };

  it("T11 a nonce counts once for each sender, over both ends of the skew and over restarts", async () => {
    const ahead = claim("did:a", clock.now() + SKEW_MS_MAX);
    assert.equal(await take(nonces, ahead), "taken");
    assert.equal(await take(nonces, { ...ahead, did: "did:b" }), "taken");
    clock.advance(2 * SKEW_MS_MAX - 1);
    assert.equal(await take(nonces, ahead), "replayed");
    const restarted = await Nonces.load(store, clock, "registryNonces");
    assert.equal(restarted.size, 2);
    assert.equal(await take(restarted, ahead), "replayed");
    assert.equal(await take(restarted, claim("did:a")), "taken");
  });

  it("T11 T47 a clock that goes back does not open what was forgotten, not even after a restart", async () => {
    const old = claim("did:a");
    assert.equal(await take(nonces, old), "taken");
    clock.jump(600_000);
    assert.equal(await take(nonces, claim("did:a")), "taken");
    clock.jump(-600_000);
    assert.equal(await take(nonces, old), "replayed");
    assert.equal(await take(await Nonces.load(store, clock, "registryNonces"), old), "replayed");
    clock.advance(6_000);
    assert.equal(await take(nonces, claim("did:a")), "taken", "new requests are served at once");
  });

  it("T19 a flood of one sender is bounded and leaves the others alone", async () => {
    const outcomes = await Promise.all(
      Array.from({ length: NONCES_PER_SENDER_MAX + 50 }, () => take(nonces, claim("did:flood"))),
    );
    assert.equal(outcomes.filter((outcome) => outcome === "too_many_nonces").length, 50);
    assert.equal(await take(nonces, claim("did:honest")), "taken");
    assert.ok(nonces.size <= NONCES_PER_SENDER_MAX + 1 && nonces.size < NONCES_MAX);
    assert.ok((await rows()) < 10, "they are written in groups");
  });

  it("T19 what is over is forgotten, in memory and in the store", async () => {
    for (let i = 0; i < 5; i++) {
      assert.equal(await take(nonces, claim("did:a")), "taken");
      clock.advance(10_000);
    }
    clock.advance(2 * SKEW_MS_MAX);
    assert.equal(await take(nonces, claim("did:a")), "taken");
    assert.equal(nonces.size, 1);
    assert.equal(await rows(), 2, "one row, and the time up to which all is forgotten");
  });

  it("T11 a nonce is taken only once it is durable; after a failed write it stays used up", async () => {
    let isFull = true;
    const failing = new MemoryStore({ beforeWrite: () => (isFull ? Promise.reject(new Error("no space left")) : undefined) });
    const strict = await Nonces.load(failing, clock, "registryNonces");
    const first = claim("did:a");
    assert.equal(await take(strict, first), "storage");
    isFull = false;
    assert.equal(await take(strict, first), "replayed");
    assert.equal(await take(strict, claim("did:a")), "taken");
  });
});
