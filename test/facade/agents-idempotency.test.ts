import assert from "node:assert/strict";
import { checksummed } from "../../src/adapters/checksum/store.ts";
import { MemoryStore } from "../../src/adapters/memory/store.ts";
import {
  Idempotency,
  IDEMPOTENCY_BYTES_MAX,
  IDEMPOTENCY_KEYS_MAX,
  IDEMPOTENCY_MS_MAX,
  type KeyedCall,
  type Outcome,
} from "../../src/facade/agents/idempotency.ts";
import { facadeRange } from "../../src/facade/rows.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Store } from "../../src/ports/store.ts";
import { silentLog } from "../admin/map-node.ts";
import { agent, World } from "../node/harness.ts";
import { Api, OPERATOR, Owner, pathOf, type Got } from "./agents-support.ts";

const withKey = (key: string): { headers: Record<string, string> } => ({ headers: { "idempotency-key": key } });
const coded = ({ status, code }: Got): [number, string | undefined] => [status, code];

describe("facade: Idempotency-Key", () => {
  it("answers a repeated write as the first time, also after a restart, and does it once", async () => {
    const world = new World("repeat");
    await world.run(async () => {
      const node = await world.start("home");
      const store = new MemoryStore();
      const api = Api.over(world, node, { store });
      const create = { body: agent("one"), caller: OPERATOR, ...withKey('"k-1"') };
      const first = await api.ask("POST", "/agents", create);
      assert.equal(first.status, 201, first.detail);
      const did = (first.body as { did: string }).did;
      await api.ask("PUT", pathOf(did), { body: agent("one", { version: "2" }), caller: OPERATOR });
      for (const again of [api, Api.over(world, node, { store })]) {
        const repeated = await again.ask("POST", "/agents", create);
        assert.deepEqual([repeated.status, repeated.text, repeated.headers], [201, first.text, first.headers]);
      }
      const restarted = Api.over(world, node, { store });
      assert.deepEqual(coded(await restarted.ask("POST", "/agents", { ...create, body: agent("two") })), [
        422,
        "idempotency_key_reused",
      ]);
      assert.deepEqual(coded(await restarted.ask("PUT", pathOf(did), { ...create, body: agent("one") })), [
        422,
        "idempotency_key_reused",
      ]);
      const remove = { caller: OPERATOR, ...withKey("delete") };
      assert.equal((await restarted.ask("DELETE", pathOf(did), remove)).status, 204);
      assert.equal((await restarted.ask("DELETE", pathOf(did), remove)).status, 204);
      assert.equal((await restarted.ask("DELETE", pathOf(did), { caller: OPERATOR })).status, 404);
    });
  });

  it("keeps callers apart, and keeps no refusal", async () => {
    const world = new World("apart");
    await world.run(async () => {
      const node = await world.start("home");
      const api = Api.over(world, node);
      const [one, two] = [new Owner("one"), new Owner("two")];
      for (const owner of [one, two]) {
        const answer = await api.ask("POST", "/agents", { body: owner.signed(node.did, 1), ...withKey("same") });
        assert.equal(answer.status, 201, answer.detail);
      }
      const wrong = { body: agent("late", { version: "x".repeat(100) }), caller: OPERATOR, ...withKey("retry") };
      assert.equal((await api.ask("POST", "/agents", wrong)).status, 400);
      assert.equal((await api.ask("POST", "/agents", { ...wrong, body: agent("late") })).status, 201, "it may be corrected");
      // A copy of a public record proves nothing: it takes no key away from its owner.
      const copy = (await api.ask("GET", pathOf(one.did))).body;
      assert.equal((await api.ask("PUT", pathOf(one.did), { body: copy, ...withKey("next") })).status, 200);
      const next = await api.ask("PUT", pathOf(one.did), { body: one.signed(node.did, 2, { version: "2" }), ...withKey("next") });
      assert.equal(next.status, 200, next.detail);
    });
  });

  it("says that the first request is still running", async () => {
    const world = new World("running");
    await world.run(async () => {
      const node = await world.start("home");
      const api = Api.over(world, node);
      const create = { body: agent("one"), caller: OPERATOR, ...withKey("k") };
      const answers = await Promise.all([
        api.ask("POST", "/agents", create),
        api.ask("POST", "/agents", create),
        api.ask("POST", "/agents", { ...create, body: agent("two") }),
      ]);
      assert.deepEqual(
        answers.map(({ status }) => status),
        [201, 409, 422],
      );
      assert.equal(answers[1]?.code, "still_running");
      assert.equal((await api.ask("POST", "/agents", create)).status, 201);
    });
  });

  it("T51 refuses keys that are none", async () => {
    const world = new World("keys");
    await world.run(async () => {
      const node = await world.start("home");
      const api = Api.over(world, node);
      for (const key of ["", "a b", "a".repeat(256), "é", "a\u007f"]) {
        const answer = await api.ask("POST", "/agents", { body: agent("one"), caller: OPERATOR, ...withKey(key) });
        assert.deepEqual(coded(answer), [400, "bad_idempotency_key"], JSON.stringify(key));
      }
      assert.equal(
        (await api.ask("POST", "/agents", { body: agent("one"), caller: OPERATOR, ...withKey("~".repeat(255)) })).status,
        201,
      );
    });
  });
});

describe("facade: what is kept of idempotent writes", () => {
  let nowMs = 1_000_000_000_000;
  const clock: Clock = { now: () => nowMs, monotonic: () => 0, after: () => () => {} };
  const keyed = (key: string): KeyedCall => ({
    ...{ caller: "operator", method: "POST" },
    call: { headers: { "idempotency-key": key }, target: "/agents", rawBody: new Uint8Array(0) },
  });
  const done =
    (body: Uint8Array = new Uint8Array(0)) =>
    (): Promise<Outcome> =>
      Promise.resolve({ answer: { status: 201, body }, wrote: true });
  const never = (): Promise<Outcome> => Promise.reject(new Error("done again"));
  const isKept = (idempotency: Idempotency, key: string): Promise<boolean> =>
    idempotency.once(keyed(key), never).then(
      () => true,
      () => false,
    );

  async function rows(store: Store): Promise<number> {
    let count = 0;
    for await (const chunk of store.scan(facadeRange("idempotency"))) count += chunk.length;
    return count;
  }

  it("forgets after 24 hours, whichever way the clock goes", async () => {
    const store = new MemoryStore();
    const idempotency = new Idempotency({ store, clock, log: silentLog });
    await idempotency.once(keyed("old"), done());
    nowMs += IDEMPOTENCY_MS_MAX - 1;
    assert.equal(await isKept(idempotency, "old"), true);
    nowMs += 1;
    assert.equal(await isKept(idempotency, "old"), false);
    await idempotency.once(keyed("new"), done());
    assert.equal(await rows(store), 1, "the old one is gone from the disk too");
    nowMs -= IDEMPOTENCY_MS_MAX;
    assert.equal(await isKept(idempotency, "new"), false);
    assert.equal(await isKept(new Idempotency({ store, clock, log: silentLog }), "new"), false);
  });

  it("keeps a bounded number of answers, and lets the oldest go", async function () {
    this.timeout(60_000);
    const store = new MemoryStore();
    const idempotency = new Idempotency({ store, clock, log: silentLog });
    for (let i = 0; i <= IDEMPOTENCY_KEYS_MAX; i++) {
      nowMs += 1;
      await idempotency.once(keyed(`k${i}`), done());
    }
    assert.equal(await rows(store), IDEMPOTENCY_KEYS_MAX);
    for (const one of [idempotency, new Idempotency({ store, clock, log: silentLog })]) {
      assert.deepEqual([await isKept(one, "k0"), await isKept(one, "k1")], [false, true]);
    }
  });

  it("T45 counts an answer that has rotted as absent, and the others stay", async () => {
    const disk = new MemoryStore();
    const warnings: string[] = [];
    const log = { ...silentLog, warn: (message: string) => void warnings.push(message) };
    const open = (): Idempotency => new Idempotency({ store: checksummed(disk), clock, log });
    const rot = async (body: string): Promise<void> => {
      for await (const chunk of disk.scan(facadeRange("idempotency"))) {
        const [key] = chunk.find(([, value]) => Buffer.from(value).includes(Buffer.from(body).toString("base64"))) ?? [];
        if (key !== undefined) await disk.batch([{ type: "put", key, value: Buffer.from("rotten") }], { durable: true });
      }
    };
    const running = open();
    for (const key of ["one", "two", "six"]) await running.once(keyed(key), done(Buffer.from(key)));
    await rot("one");
    assert.equal(await isKept(running, "one"), false, "found when it is read");
    assert.equal(await rows(disk), 2);
    await rot("two");
    const restarted = open();
    assert.deepEqual([await isKept(restarted, "two"), await isKept(restarted, "six")], [false, true]);
    assert.equal(await rows(disk), 1);
    assert.equal(warnings.length, 2);
    await restarted.once(keyed("two"), done(Buffer.from("two")));
    assert.equal(await isKept(open(), "two"), true);
  });

  it("keeps a bounded number of bytes", async () => {
    const store = new MemoryStore();
    const idempotency = new Idempotency({ store, clock, log: silentLog });
    const body = new Uint8Array(IDEMPOTENCY_BYTES_MAX / 4);
    for (const key of ["a", "b", "c"]) {
      nowMs += 1;
      await idempotency.once(keyed(key), done(body));
    }
    assert.deepEqual(
      [await isKept(idempotency, "a"), await isKept(idempotency, "b"), await isKept(idempotency, "c")],
      [false, true, true],
    );
    assert.equal(await rows(store), 2);
  });
});
