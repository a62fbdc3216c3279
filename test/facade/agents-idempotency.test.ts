import assert from "node:assert/strict";
import { checksummed } from "../../src/adapters/checksum/store.ts";
import { MemoryStore } from "../../src/adapters/memory/store.ts";
import { Idempotency, IDEMPOTENCY_MS_MAX, type KeyedCall, type Outcome } from "../../src/facade/agents/idempotency.ts";
import { SHARES } from "../../src/facade/agents/kept-answers.ts";
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

  it("tells nobody of another's requests before it is known whose they are", async () => {
    const world = new World("others");
    await world.run(async () => {
      const node = await world.start("home");
      const api = Api.over(world, node);
      const owner = new Owner("mine");
      const path = pathOf(owner.did);
      const create = { body: owner.signed(node.did, 1), ...withKey("k") };
      const forged = { body: { ...new Owner("mine").signed(node.did, 1, { version: "x" }), did: owner.did }, ...withKey("k") };
      // At once: the first is still being done when the second comes.
      const [refused, created] = await Promise.all([api.ask("POST", "/agents", forged), api.ask("POST", "/agents", create)]);
      assert.deepEqual([coded(refused), created.status], [[401, "bad_signature"], 201]);
      assert.deepEqual(coded(await api.ask("PUT", path, forged)), [401, "bad_signature"]);
      assert.deepEqual(coded(await api.ask("POST", "/agents", forged)), [409, "exists"], "as without a key");
      const changed = await api.ask("PUT", path, { body: owner.signed(node.did, 2, { version: "2" }), ...withKey("put") });
      assert.equal(changed.status, 200, changed.detail);
      const copy = await api.ask("PUT", path, { body: changed.body, ...withKey("k") });
      assert.equal(copy.status, 200, "a public record proves nothing, and changes nothing");
      const anew = { body: owner.signed(node.did, 3, { version: "3" }), ...withKey("k") };
      assert.deepEqual(coded(await api.ask("PUT", path, anew)), [422, "idempotency_key_reused"], "its owner is told");
      assert.equal((await api.ask("POST", "/agents", create)).text, created.text);
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
  const keyed = (key: string, caller: Partial<KeyedCall> = {}): KeyedCall => ({
    ...{ caller: "operator", kind: "operator", isProven: true, method: "POST", ...caller },
    call: { headers: { "idempotency-key": key }, target: "/agents", rawBody: new Uint8Array(0) },
  });
  const done =
    (body: Uint8Array = new Uint8Array(0)) =>
    (): Promise<Outcome> =>
      Promise.resolve({ answer: { status: 201, body }, wrote: true });
  const never = (): Promise<Outcome> => Promise.reject(new Error("done again"));
  const isKept = (idempotency: Idempotency, key: string, caller: Partial<KeyedCall> = {}): Promise<boolean> =>
    idempotency.once(keyed(key, caller), never).then(
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

  const agentNo = (n: number): Partial<KeyedCall> => ({ caller: `did:key:${n}`, kind: "own_key" });

  it("T25 keeps so many answers of each kind of callers, the oldest go, and strangers move nobody else's out", async function () {
    this.timeout(60_000);
    const store = new MemoryStore();
    const idempotency = new Idempotency({ store, clock, log: silentLog });
    await idempotency.once(keyed("operator's"), done());
    const { keysMax, callerKeysMax } = SHARES.own_key;
    const callers = keysMax / callerKeysMax;
    for (let i = 0; i <= keysMax; i++) {
      nowMs += 1;
      await idempotency.once(keyed(`k${i}`, agentNo(i % callers)), done());
    }
    assert.equal(await rows(store), keysMax + 1);
    for (const one of [idempotency, new Idempotency({ store, clock, log: silentLog })]) {
      assert.deepEqual([await isKept(one, "k0", agentNo(0)), await isKept(one, "k1", agentNo(1))], [false, true]);
      assert.equal(await isKept(one, "operator's"), true);
    }
  });

  it("keeps so many answers and bytes of one caller, whose oldest go first", async () => {
    const store = new MemoryStore();
    const idempotency = new Idempotency({ store, clock, log: silentLog });
    const { callerKeysMax, callerBytesMax } = SHARES.own_key;
    await idempotency.once(keyed("other's", agentNo(2)), done());
    for (let i = 0; i <= callerKeysMax; i++) {
      nowMs += 1;
      await idempotency.once(keyed(`k${i}`, agentNo(1)), done());
    }
    const open = new Idempotency({ store, clock, log: silentLog });
    assert.deepEqual([await isKept(open, "k0", agentNo(1)), await isKept(open, "k1", agentNo(1))], [false, true]);
    for (let i = 0; i < 4; i++) await open.once(keyed(`large${i}`, agentNo(1)), done(new Uint8Array(callerBytesMax / 5)));
    assert.deepEqual([await isKept(open, "large0", agentNo(1)), await isKept(open, "large1", agentNo(1))], [false, true]);
    assert.equal(await isKept(open, "other's", agentNo(2)), true);
    assert.equal(await rows(store), 4);
  });

  it("T25 lets so many writes of each kind run at once", async () => {
    const idempotency = new Idempotency({ store: new MemoryStore(), clock, log: silentLog });
    const end = Promise.withResolvers<Outcome>();
    const running = Array.from({ length: SHARES.own_key.runningMax }, (_, i) =>
      idempotency.once(keyed(`k${i}`, agentNo(i)), () => end.promise),
    );
    await assert.rejects(idempotency.once(keyed("more", agentNo(0)), done()), { code: "busy", status: 503 });
    assert.equal((await idempotency.once(keyed("operator's"), done())).status, 201);
    end.resolve(await done()());
    await Promise.all(running);
  });

  it("reads the rows of an earlier version of the program", async () => {
    const store = new MemoryStore();
    await new Idempotency({ store, clock, log: silentLog }).once(keyed("k", agentNo(1)), done());
    for await (const [[key, value] = assert.fail()] of store.scan(facadeRange("idempotency"))) {
      const { kind: _kind, caller: _caller, ...earlier } = JSON.parse(Buffer.from(value).toString()) as Record<string, unknown>;
      await store.batch([{ type: "put", key, value: Buffer.from(JSON.stringify(earlier)) }], { durable: true });
    }
    assert.equal(await isKept(new Idempotency({ store, clock, log: silentLog }), "k", agentNo(1)), true);
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
    const body = new Uint8Array(SHARES.operator.bytesMax / 4);
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
