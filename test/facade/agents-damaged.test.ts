import assert from "node:assert/strict";
import { mintDid } from "../../protocols/lib/did.ts";
import { keyOf } from "../../protocols/lib/hash.ts";
import { LIST_UNAVAILABLE_MAX, type UnavailableAgent } from "../../src/api.ts";
import { REPAIR_RETRY_MS, REPAIR_SOON_MS } from "../../src/catalog/repairs.ts";
import { OWN_CATALOGUE, rowKey } from "../../src/catalog/rows.ts";
import { agent, names, World, type TestNode } from "../node/harness.ts";
import { Api, OPERATOR, Owner, pathOf, svidOf } from "./agents-support.ts";

const A_BIT = 300;
const REPLICA = 1;

interface Page {
  readonly agents: readonly { readonly did: string; readonly name: string }[];
  readonly unavailable: readonly UnavailableAgent[];
  readonly cursor: string | null;
}

const minted = (home: TestNode, name: string): string => mintDid(home.identity.publicKey, `test/${name}`);
const hexKey = (did: string): string => Buffer.from(keyOf(did)).toString("hex");

function spoil(node: TestNode, did: string, catalogue: number = OWN_CATALOGUE): void {
  assert.ok(node.disk.flipBit(rowKey(catalogue, "record", keyOf(did)), A_BIT));
}

async function page(api: Api, query: Record<string, string> = {}): Promise<Page> {
  const { status, body, detail } = await api.ask("GET", "/agents", { query });
  assert.equal(status, 200, detail);
  return body as Page;
}

async function all(api: Api, query: Record<string, string> = {}): Promise<Page> {
  const [agents, unavailable]: [Page["agents"][number][], UnavailableAgent[]] = [[], []];
  for (let cursor: string | null = ""; cursor !== null;) {
    const one: Page = await page(api, { ...query, ...(cursor !== "" && { cursor }) });
    agents.push(...one.agents);
    unavailable.push(...one.unavailable);
    cursor = one.cursor;
  }
  return { agents, unavailable, cursor: null };
}

describe("facade: agents whose stored bytes have rotted", () => {
  it("T45 a listing goes on without them, names their places, and has them brought back", async () => {
    const world = new World("rot listing");
    await world.run(async () => {
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      await a.add(...names("n", 12));
      await world.synced(b, a);
      const api = Api.over(world, a);
      const lost = ["n-3", "n-4", "n-9"].map((name) => minted(a, name));
      const expected = lost.map((did) => ({ registry: a.did, key: hexKey(did), reason: "damaged" as const }));
      const byKey = (list: readonly UnavailableAgent[]): UnavailableAgent[] => list.toSorted((p, q) => (p.key < q.key ? -1 : 1));
      for (const query of [{ limit: "100" }, { limit: "1" }, { limit: "2", capability: "translation" }]) {
        for (const did of lost) spoil(a, did);
        const { agents, unavailable } = await all(api, query);
        assert.deepEqual(byKey(unavailable), byKey(expected), JSON.stringify(query));
        assert.equal(agents.length, 9);
        assert.ok(agents.every(({ did }) => !lost.includes(did)));
        await world.until("all to be back", async () => (await all(api)).agents.length === 12);
      }
    });
  });

  it("T45 a page names a bounded number of them and ends there", async () => {
    const world = new World("rot many");
    await world.run(async () => {
      const a = await world.start("a");
      const some = names("n", LIST_UNAVAILABLE_MAX + 20);
      await a.add(...some);
      for (const name of some) spoil(a, minted(a, name));
      const api = Api.over(world, a);
      const first = await page(api, { limit: "1000" });
      assert.deepEqual([first.agents.length, first.unavailable.length], [0, LIST_UNAVAILABLE_MAX]);
      const second = await page(api, { limit: "1000", cursor: first.cursor ?? "" });
      assert.deepEqual([second.unavailable.length, second.cursor], [20, null]);
    });
  });

  it("T45 one alone is 503 with Retry-After until it is back, later where nobody has a copy", async () => {
    const world = new World("rot get");
    await world.run(async () => {
      const a = await world.start("a");
      await a.add("one", "two");
      const api = Api.over(world, a);
      const path = pathOf(minted(a, "one"));
      spoil(a, minted(a, "one"));
      const told = async (target: string): Promise<unknown> => {
        const { status, code, headers } = await api.ask("GET", target);
        return [status, code, headers["retry-after"]];
      };
      assert.deepEqual(await told(path), [503, "damaged", String(REPAIR_SOON_MS / 1_000)]);
      await world.until("peers to have been asked", () => a.logs(/no peer has a copy/).length > 0);
      for (const target of [path, `${path}/proof`]) {
        assert.deepEqual(await told(target), [503, "damaged", String(REPAIR_RETRY_MS / 1_000)]);
      }
      assert.equal((await api.ask("GET", pathOf(minted(a, "two")))).status, 200);
    });
  });

  it("T45 one of a replica is 503 too, and missing in listings, until its home gave it again", async () => {
    const world = new World("rot replica");
    await world.run(async () => {
      const a = await world.start("a");
      const b = await world.start("b", { peers: [a] });
      await a.add(...names("n", 8));
      await world.synced(b, a);
      const did = minted(a, "n-5");
      const api = Api.over(world, b);
      // Nobody is there to be asked: it stays away.
      const away = world.kill(a);
      spoil(b, did, REPLICA);
      const first = await all(api);
      assert.deepEqual(first.unavailable, [{ registry: a.did, key: hexKey(did), reason: "damaged" }]);
      await world.until("it to be taken out", () => b.logs(/damaged and is fetched again/).length > 0);
      for (let again = 0; again < 3; again++) {
        for (const target of [pathOf(did), `${pathOf(did)}/proof`]) {
          const { status, code } = await api.ask("GET", target);
          assert.deepEqual([status, code], [503, "damaged"], target);
        }
        const { agents, unavailable } = await all(api, { limit: "3" });
        assert.deepEqual([agents.length, unavailable], [7, first.unavailable]);
        await world.simulation.sleep(1_000);
      }
      const home = await world.restart(a, away);
      await world.synced(b, home);
      const whole = await all(api);
      assert.deepEqual([whole.agents.length, whole.unavailable.length, (await api.ask("GET", pathOf(did))).status], [8, 0, 200]);
      // Taken out at home, it is gone and nothing is missing.
      await home.remove(did);
      await world.synced(b, home);
      assert.equal((await api.ask("GET", pathOf(did))).status, 404);
      assert.deepEqual((await all(api)).unavailable, []);
    });
  });

  it("T45 one that is written anew is whole; what hangs on the lost one waits, and no certificate gains by it", async () => {
    const world = new World("rot write");
    await world.run(async () => {
      const a = await world.start("a");
      const api = Api.over(world, a);
      await a.add("one");
      const web = "did:web:agent.example";
      await a.node.mutate([{ op: "put", agent: agent("web", { did: web }) }]);
      const owner = new Owner("mine");
      assert.equal((await api.ask("POST", "/agents", { body: owner.signed(a.did, 1) })).status, 201);
      const did = minted(a, "one");
      const tag = (await api.ask("GET", pathOf(did))).headers["etag"] as string;
      for (const lost of [did, web, owner.did]) spoil(a, lost);
      const put = (more: object): ReturnType<Api["ask"]> =>
        api.ask("PUT", pathOf(did), { body: agent("one", { version: "2" }), caller: OPERATOR, ...more });
      assert.deepEqual((await put({ headers: { "if-match": tag } })).code, "damaged");
      assert.equal((await api.ask("DELETE", pathOf(did), { caller: OPERATOR })).code, "damaged");
      const named = { svid: svidOf(a.identity, "/agent/test/other") };
      const stolen = await api.ask("PUT", pathOf(web), { body: agent("other", { did: web }), caller: named });
      assert.deepEqual([stolen.status, stolen.code], [403, "authority_required"]);
      const again = await put({ caller: { svid: svidOf(a.identity, "/agent/test/one") } });
      assert.equal(again.status, 201, again.detail);
      assert.equal((await api.ask("GET", pathOf(did))).text, again.text);
      const told = await api.ask("PUT", pathOf(owner.did), { body: owner.signed(a.did, 2) });
      assert.equal(told.code, "bad_signature");
      const { next_revision: next } = told.body as { next_revision: number };
      const signed = await api.ask("PUT", pathOf(owner.did), { body: owner.signed(a.did, next) });
      assert.equal(signed.status, 201, signed.detail);
    });
  });
});
