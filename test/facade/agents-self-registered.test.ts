import assert from "node:assert/strict";
import { checksummed } from "../../src/adapters/checksum/store.ts";
import { MemoryStore } from "../../src/adapters/memory/store.ts";
import type { MutationResult } from "../../src/api.ts";
import {
  CREATIONS_PER_ADDRESS_BURST,
  CREATIONS_PER_DAY_MIN,
  RECOUNT_MS,
  SelfRegistered,
} from "../../src/facade/agents/self-registered.ts";
import { OWN_WRITES_BURST, OWN_WRITES_PER_MINUTE } from "../../src/facade/agents/own-writes.ts";
import { facadeKey, facadeRange } from "../../src/facade/rows.ts";
import type { FacadeContext } from "../../src/facade/context.ts";
import { StoreError, type Store } from "../../src/ports/store.ts";
import { silentLog } from "../admin/map-node.ts";
import { agent, World, type TestNode } from "../node/harness.ts";
import { Api, OPERATOR, Owner, pathOf, svidOf, WALL_MS, type Got, type Proofs } from "./agents-support.ts";
import { clock } from "./harness.ts";

const coded = ({ status, code }: Got): [number, string | undefined] => [status, code];
const FULL = [507, "registrations_full"];

interface Scene {
  readonly world: World;
  readonly node: TestNode;
  readonly store: MemoryStore;
  /** The routes as after a restart. */
  readonly open: (max: number, more?: Partial<FacadeContext>) => Api;
  readonly register: (api: Api, owner: Owner, revision?: number) => Promise<Got>;
  readonly remove: (api: Api, owner: Owner) => Promise<Got>;
}

function scene(name: string, script: (scene: Scene) => Promise<void>): Promise<void> {
  const world = new World(name);
  return world.run(async () => {
    const node = await world.start("home");
    const store = new MemoryStore();
    await script({
      ...{ world, node, store },
      open: (max, more = {}) => Api.over(world, node, { store, ...more }, { selfRegisteredAgentsMax: max }),
      register: (api, owner, revision = 1) => api.ask("POST", "/agents", { body: owner.signed(node.did, revision) }),
      remove: (api, owner) => api.ask("DELETE", pathOf(owner.did), { caller: { signedBy: owner.did } }),
    });
  });
}

async function rows(store: Store): Promise<number> {
  let count = 0;
  for await (const some of store.scan(facadeRange("selfRegistered"))) count += some.length;
  return count;
}

const HERE = { address: "192.0.2.1" };

function partsOf(store: Store): ConstructorParameters<typeof SelfRegistered>[0] {
  const publishes = (): Promise<boolean> => Promise.resolve(true);
  return { store, clock, log: silentLog, node: { publishes } };
}

const createdAt = (did: string) => (): Promise<MutationResult> => Promise.resolve({ outcome: "created", did, revision: 1 });

describe("facade: agents that their own keys register", () => {
  it("T25 bounds how often an agent changes itself, spends nothing of it on strangers' records, and leaves operators alone", () =>
    scene("own writes", async ({ node, open, register, remove }) => {
      let nowMs = 0;
      const api = open(10, { clock: { ...clock, now: () => WALL_MS, monotonic: () => nowMs } });
      const owner = new Owner("often");
      assert.equal((await register(api, owner)).status, 201);
      const put = (revision: number, caller?: Proofs, by: Owner = owner): Promise<Got> => {
        const { agent_signature } = by.signed(node.did, revision, { version: String(revision) });
        const body = { ...owner.signed(node.did, revision, { version: String(revision) }), agent_signature };
        return api.ask("PUT", pathOf(owner.did), { body, ...(caller && { caller }) });
      };
      for (let i = 0; i < 2 * OWN_WRITES_BURST; i++) {
        assert.deepEqual(coded(await put(2, undefined, new Owner("forger"))), [401, "bad_signature"]);
      }
      for (let revision = 2; revision <= OWN_WRITES_BURST; revision++) assert.equal((await put(revision)).status, 200);
      const next = OWN_WRITES_BURST + 1;
      const refused = await put(next);
      assert.deepEqual(coded(refused), [429, "too_many_requests"]);
      assert.match(refused.headers["retry-after"] ?? "", /^[1-9]/);
      assert.equal((await remove(api, owner)).status, 429);
      assert.equal((await register(api, new Owner("another"))).status, 201);
      assert.equal((await put(next, OPERATOR)).status, 200);
      nowMs += 60_000 / OWN_WRITES_PER_MINUTE;
      assert.equal((await put(next + 1)).status, 200);
    }));

  it("T56 takes them up to the bound, also after a restart; updates and deletes always work", () =>
    scene("bound", async ({ node, store, open, register, remove }) => {
      const first = open(2);
      const [a, b, c] = [new Owner("a"), new Owner("b"), new Owner("c")] as const;
      assert.equal((await register(first, a)).status, 201);
      assert.equal((await register(first, b)).status, 201);
      for (const api of [first, open(2)]) {
        const refused = await register(api, c);
        assert.deepEqual(coded(refused), FULL);
        assert.match(refused.detail, /2 agents .*operator/);
        const put = await api.ask("PUT", pathOf(c.did), { body: { ...agent("c"), did: c.did }, caller: { signedBy: c.did } });
        assert.deepEqual(coded(put), FULL, "whatever the method, and whatever the key has signed");
        assert.deepEqual(coded(await register(api, a, 2)), [409, "exists"]);
      }
      const api = open(2);
      const changed = await api.ask("PUT", pathOf(a.did), { body: a.signed(node.did, 2, { version: "2" }) });
      assert.deepEqual([changed.status, await rows(store)], [200, 2], changed.detail);
      assert.equal((await remove(api, b)).status, 204);
      assert.equal((await register(api, c)).status, 201, "there is room again");
      assert.deepEqual(coded(await register(api, b, 2)), FULL);
      assert.equal((await remove(open(0), c)).status, 204);
      assert.equal(await rows(store), 1);
    }));

  it("counts neither those of the operator nor those with a certificate, and closes at 0 for all others", () =>
    scene("closed", async ({ node, store, open, register }) => {
      const api = open(0);
      const [mine, certified, other] = [new Owner("mine"), new Owner("certified"), new Owner("other")] as const;
      const refused = await register(api, other);
      assert.deepEqual(coded(refused), [403, "registration_closed"]);
      assert.match(refused.detail, /operator/);
      const byOperator = { body: mine.signed(node.did, 1), caller: OPERATOR };
      assert.equal((await api.ask("POST", "/agents", byOperator)).status, 201);
      const svid = svidOf(node.identity, "/agent/test/certified");
      const byCertificate = { body: certified.signed(node.did, 1), caller: { svid } };
      assert.equal((await api.ask("POST", "/agents", byCertificate)).status, 201);
      const own = { body: mine.signed(node.did, 2, { version: "2" }) };
      assert.equal((await api.ask("PUT", pathOf(mine.did), own)).status, 200, "its own key may change it");
      assert.equal(await rows(store), 0);
    }));

  it("T56 is exact for those that come at once, and counts nothing that was refused", () =>
    scene("at once", async ({ store, open, register }) => {
      const api = open(5);
      const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => register(api, new Owner(`agent-${i}`))));
      assert.equal(answers.filter(({ status }) => status === 201).length, 5);
      assert.deepEqual(
        answers.filter(({ status }) => status !== 201).map(coded),
        Array.from({ length: 7 }, () => FULL),
      );
      const roomy = open(8);
      for (let i = 0; i < 6; i++) assert.deepEqual(coded(await register(roomy, new Owner("forged"), 7)), [401, "bad_signature"]);
      const same = new Owner("same");
      const twice = await Promise.all([register(roomy, same), register(roomy, same), register(roomy, same, 9)]);
      assert.equal(twice.filter(({ status }) => status === 201).length, 1);
      assert.equal(await rows(store), 6);
    }));

  it("T56 an agent that is registered while its removal ends stays counted", async () => {
    const store = new MemoryStore();
    const counted = new SelfRegistered(partsOf(store), 1);
    const { did } = new Owner("restless");
    const [removed, created] = [Promise.withResolvers<MutationResult>(), Promise.withResolvers<MutationResult>()] as const;
    await counted.register(did, HERE, createdAt(did));
    const removing = counted.remove(did, () => removed.promise);
    await counted.register(did, HERE, createdAt(did));
    removed.resolve({ outcome: "deleted", did, revision: 1 });
    await removing;
    assert.equal(await rows(store), 1, "it ended before the removal did");
    const registering = counted.register(did, HERE, () => created.promise);
    await counted.remove(did, () => Promise.resolve({ outcome: "deleted", did, revision: 2 }));
    created.resolve({ outcome: "created", did, revision: 3 });
    await registering;
    assert.equal(await rows(store), 1, "it began before the removal did");
    await counted.remove(did, () => Promise.resolve({ outcome: "deleted", did, revision: 3 }));
    assert.equal(await rows(store), 0);
  });

  it("T56 a change of an agent that is removed in this moment does not register it again", () =>
    scene("in this moment", async ({ node, store, open, register }) => {
      const owner = new Owner("restless");
      await register(open(1), owner);
      const mutate: FacadeContext["node"]["mutate"] = async (mutations) => {
        await node.remove(owner.did);
        return node.node.mutate(mutations);
      };
      const api = open(1, { node: { ...(node.node as FacadeContext["node"]), mutate } });
      const put = await api.ask("PUT", pathOf(owner.did), { body: owner.signed(node.did, 2, { version: "2" }) });
      assert.deepEqual(coded(put), [404, "not_found"]);
      assert.deepEqual([(await node.node.status()).catalog.agents, await rows(store)], [0, 1]);
    }));

  it("T44 T56 an agent that was counted and not registered, or that the operator removed, is let go", () =>
    scene("recount", async ({ world, node, store, open, register }) => {
      // The process died in between.
      const row = { type: "put", key: facadeKey("selfRegistered", Buffer.from(new Owner("lost").did)) } as const;
      await store.batch([{ ...row, value: new Uint8Array(0) }], { durable: true });
      const api = open(2);
      const [a, b, c] = [new Owner("a"), new Owner("b"), new Owner("c")] as const;
      assert.equal((await register(api, a)).status, 201);
      assert.equal((await register(api, b)).status, 201, "the lost one took no room");
      await node.remove(a.did);
      assert.deepEqual(coded(await register(api, c)), FULL, "not looked for at every request");
      await world.simulation.sleep(RECOUNT_MS);
      assert.equal((await register(api, c)).status, 201);
      assert.deepEqual([coded(await register(api, a, 2)), await rows(store)], [FULL, 2]);
    }));

  it("T25 limits how many one address registers", () =>
    scene("address", async ({ node, open }) => {
      const api = open(1_000);
      const from = (address: string, i: number): Promise<Got> =>
        api.ask("POST", "/agents", { body: new Owner(`${address}-${i}`).signed(node.did, 1), caller: { address } });
      const burst = Array.from({ length: CREATIONS_PER_ADDRESS_BURST + 1 }, (_, i) => i);
      const answers = await Promise.all(burst.map((i) => from("2001:db8::1", i)));
      const refused = answers.filter(({ status }) => status !== 201);
      assert.deepEqual(refused.map(coded), [[429, "too_many_requests"]]);
      assert.match(String(refused[0]?.headers["retry-after"]), /^[1-9]\d*$/);
      assert.equal((await from("2001:db8::2", 0)).status, 429, "the same /64");
      assert.equal((await from("198.51.100.7", 0)).status, 201);
    }));

  it("T56 limits how many register themselves in a day, however many of them leave again, and forgets none that was refused", async () => {
    const registered = new SelfRegistered(partsOf(new MemoryStore()), 1);
    const from = (i: number) => ({ address: `2001:db8:${i.toString(16)}::1` });
    const refuse = (): Promise<MutationResult> =>
      Promise.resolve({ outcome: "refused", did: "did:key:z", code: "schema", reason: "not an agent" });
    for (let i = 0; i < CREATIONS_PER_DAY_MIN; i++) {
      const did = `did:key:z${i}`;
      await registered.register(did, from(i), refuse);
      await registered.register(did, from(i), createdAt(did));
      await registered.remove(did, () => Promise.resolve({ outcome: "deleted", did, revision: 2 }));
    }
    const one = { did: "did:key:zOne", address: from(CREATIONS_PER_DAY_MIN) };
    const again = (): Promise<MutationResult> => registered.register(one.did, one.address, createdAt(one.did));
    await assert.rejects(again(), { status: 429, message: /last day/ });
  });

  it("T45 counts an agent whose row has rotted", async () => {
    const disk = new MemoryStore();
    const [one, two] = [new Owner("one"), new Owner("two")];
    const store = checksummed(disk);
    const before = new SelfRegistered(partsOf(store), 2);
    for (const { did } of [one, two]) await before.register(did, HERE, createdAt(did));
    await disk.batch([{ type: "put", key: facadeKey("selfRegistered", Buffer.from(one.did)), value: Buffer.of(1, 2, 3, 4) }], {
      durable: true,
    });
    await assert.rejects(rows(store), StoreError);
    const { did } = new Owner("three");
    await assert.rejects(new SelfRegistered(partsOf(store), 2).register(did, HERE, createdAt(did)), {
      code: "registrations_full",
    });
    const again = await new SelfRegistered(partsOf(store), 3).register(did, HERE, createdAt(did));
    assert.equal(again.outcome, "created");
  });

  it("registers nothing while the count cannot be written", () =>
    scene("no disk", async ({ store, open, register, node }) => {
      const broken = {
        scan: store.scan.bind(store),
        batch: () => Promise.reject(new StoreError("write_failed", "no space left")),
      } as unknown as Store;
      const owner = new Owner("one");
      assert.deepEqual(coded(await register(open(1, { store: broken }), owner)), [503, "storage"]);
      assert.equal((await node.node.status()).catalog.agents, 0);
      assert.equal((await register(open(1), owner)).status, 201);
    }));
});
