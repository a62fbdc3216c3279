import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { SKEW_MS_MAX } from "../../protocols/http/request-fields.ts";
import { checksummed } from "../../src/adapters/checksum/store.ts";
import { MemoryStore } from "../../src/adapters/memory/store.ts";
import { CLOSED_RANGES_MAX } from "../../src/facade/closed-buckets.ts";
import {
  NONCES_MAX,
  NONCES_PER_SENDER_MAX,
  NONCES_RESERVED,
  OTHER_NONCES_MAX,
  OTHER_NONCES_RESERVED,
} from "../../src/facade/limits.ts";
import { Nonces, type NonceClaim, type NonceTable } from "../../src/facade/nonces.ts";
import { ProblemError } from "../../src/facade/problem.ts";
import { facadeRange, type FacadeTable } from "../../src/facade/rows.ts";
import type { Store } from "../../src/ports/store.ts";
import { silentLog } from "../admin/map-node.ts";
import { TestClock } from "./test-clock.ts";

describe("the facade: nonces", () => {
  let clock: TestClock;
  let store: MemoryStore;
  let nonces: Nonces;
  let warnings: string[];

  beforeEach(async () => {
    clock = new TestClock();
    store = new MemoryStore();
    warnings = [];
    nonces = await load();
  });

  const load = (from: Store = store, table: NonceTable = "registryNonces"): Promise<Nonces> =>
    Nonces.load({ store: from, clock, log: { ...silentLog, warn: (message) => void warnings.push(message) } }, table);
  const claim = (did: string, timestampMs: number = clock.now()): NonceClaim => ({ did, nonce: randomBytes(16), timestampMs });
  /** Also what is thrown at once is an answer. */
  const take = async (of: Nonces, what: NonceClaim): Promise<string> => {
    try {
      await of.take(what);
      return "taken";
    } catch (error) {
      assert.ok(error instanceof ProblemError);
      return error.code;
    }
  };
  const keys = async (table: FacadeTable): Promise<Uint8Array[]> => {
    const found: Uint8Array[] = [];
    for await (const chunk of store.scan(facadeRange(table))) for (const [key] of chunk) found.push(key);
    return found;
  };
  const rows = async (table: FacadeTable = "registryNonces"): Promise<number> => (await keys(table)).length;
  const rotFirst = async (table: FacadeTable): Promise<void> => {
    const [key] = await keys(table);
    assert.ok(key);
    await store.batch([{ type: "put", key, value: Buffer.from("rotten") }], { durable: true });
  };

  it("T11 a nonce counts once for each sender, over both ends of the skew and over restarts", async () => {
    const ahead = claim("did:a", clock.now() + SKEW_MS_MAX);
    assert.equal(await take(nonces, ahead), "taken");
    assert.equal(await take(nonces, { ...ahead, did: "did:b" }), "taken");
    clock.advance(2 * SKEW_MS_MAX - 1);
    assert.equal(await take(nonces, ahead), "replayed");
    const restarted = await load();
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
    assert.equal(await take(await load(), old), "replayed");
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

  it("T19 T25 strangers that stay within their limits leave room for the next, and a part for whom the operator named", async () => {
    const sizes = {
      registryNonces: [NONCES_MAX, NONCES_RESERVED],
      otherNonces: [OTHER_NONCES_MAX, OTHER_NONCES_RESERVED],
    } as const;
    for (const [table, [max, reserved]] of Object.entries(sizes)) {
      const pool = await load(store, table as NonceTable);
      for (let i = 0; i < 48; i++) {
        await Promise.all(Array.from({ length: NONCES_PER_SENDER_MAX }, () => take(pool, claim(`did:sybil:${i}`))));
      }
      assert.ok(pool.size < max - reserved, `${pool.size} of ${max}`);
      assert.equal(await take(pool, claim("did:newcomer")), "taken");
      const named = Array.from({ length: 512 }, () => take(pool, { ...claim("did:named"), reserved: true }));
      assert.deepEqual(new Set(await Promise.all(named)), new Set(["taken"]));
    }
  });

  it("T47 a clock that was ahead for a while closes nothing but what was served, and nothing replays", async () => {
    const before = claim("did:a");
    assert.equal(await take(nonces, before), "taken");
    clock.jump(10_800_000);
    const ahead = [claim("did:a"), claim("did:b")];
    for (const one of ahead) assert.equal(await take(nonces, one), "taken");
    clock.jump(-10_800_000);
    clock.advance(6_000);
    let restarted = await load();
    assert.equal(await take(restarted, claim("did:a")), "taken");
    assert.equal(restarted.size, 1, "what the clock was ahead for takes nobody's room");
    restarted = await load();
    assert.equal(await take(restarted, claim("did:b")), "taken");
    for (const one of [before, ...ahead]) assert.equal(await take(restarted, one), "replayed");
    clock.advance(10_800_000 - 6_000);
    for (const one of [before, ...ahead]) assert.equal(await take(restarted, one), "replayed");
    clock.advance(6_000);
    assert.equal(await take(restarted, claim("did:a")), "taken");
  });

  it("T47 what is closed stays small, and room for it is made in the past alone", async () => {
    const served: NonceClaim[] = [];
    clock.jump(86_400_000);
    for (let i = 0; i < 2; i++) {
      for (let j = 0; j < 2 * CLOSED_RANGES_MAX; j++) {
        const one = claim("did:a");
        assert.equal(await take(nonces, one), "taken");
        served.push(one);
        clock.advance(600_000);
      }
      clock.jump(-2 * 86_400_000);
    }
    assert.equal(await take(nonces, claim("did:a")), "taken");
    assert.ok((await rows("registryNoncesClosed")) <= CLOSED_RANGES_MAX);
    const restarted = await load();
    assert.equal(await take(restarted, claim("did:a")), "taken");
    for (const one of served) assert.equal(await take(restarted, one), "replayed");
  });

  it("T45 rot in a row closes the seconds that it is of, and nothing else", async () => {
    const sound = checksummed(store);
    const pool = await load(sound);
    const [first, second] = [claim("did:a"), claim("did:a", clock.now() + 20_000)];
    for (const one of [first, second]) assert.equal(await take(pool, one), "taken");
    await rotFirst("registryNonces");
    let restarted = await load(sound);
    assert.equal(await take(restarted, first), "replayed");
    assert.equal(await take(restarted, { ...claim("did:b"), timestampMs: first.timestampMs }), "replayed");
    assert.equal(await take(restarted, second), "replayed");
    assert.equal(await take(restarted, claim("did:a", clock.now() + 10_000)), "taken");
    assert.equal(warnings.length, 1);
    restarted = await load(sound);
    assert.equal(warnings.length, 1, "the row is gone");
    assert.equal(await take(restarted, first), "replayed");
  });

  it("T45 rot in the row of what is closed opens nothing", async () => {
    const sound = checksummed(store);
    const pool = await load(sound);
    const old = claim("did:a");
    assert.equal(await take(pool, old), "taken");
    clock.jump(600_000);
    assert.equal(await take(pool, claim("did:a")), "taken");
    await rotFirst("registryNoncesClosed");
    clock.jump(-600_000);
    assert.equal(await take(await load(sound), old), "replayed");
  });

  it("T19 what is over is forgotten, in memory and in the store", async () => {
    for (let i = 0; i < 5; i++) {
      assert.equal(await take(nonces, claim("did:a")), "taken");
      clock.advance(10_000);
    }
    clock.advance(2 * SKEW_MS_MAX);
    assert.equal(await take(nonces, claim("did:a")), "taken");
    assert.equal(nonces.size, 1);
    assert.equal(await rows(), 1);
  });

  it("T11 a nonce is taken only once it is durable; after a failed write it stays used up", async () => {
    let isFull = true;
    const failing = new MemoryStore({ beforeWrite: () => (isFull ? Promise.reject(new Error("no space left")) : undefined) });
    const strict = await load(failing);
    const first = claim("did:a");
    assert.equal(await take(strict, first), "storage");
    isFull = false;
    assert.equal(await take(strict, first), "replayed");
    assert.equal(await take(strict, claim("did:a")), "taken");
  });
});
