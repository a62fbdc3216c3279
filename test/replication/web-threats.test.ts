import assert from "node:assert/strict";
import type { SignedHead } from "../../protocols/checkpoint/head.ts";
import type { Descriptor } from "../../protocols/descriptor/descriptor.ts";
import { mapReader } from "../../src/catalog/tree/reader.ts";
import { proveMany } from "../../protocols/checkpoint/map-multiproof.ts";
import type { CatalogPage, PageChange, PageRequest } from "../../protocols/http/catalog-page.ts";
import { keyOf } from "../../protocols/lib/hash.ts";
import { WebError } from "../../src/ports/web.ts";
import { RETRY_MS_MAX } from "../../src/replication/attempts.ts";
import { SMALL_CHANGES_MAX } from "../../src/replication/session.ts";
import { SESSION_MS_MAX } from "../../src/replication/stream.ts";
import { PAGE_MS_MAX } from "../../src/replication/web-pages.ts";
import { names, World } from "../node/harness.ts";
import { Impostor } from "../node/impostor.ts";
import { Follower, pagesOf, WebTwin, type FollowerOptions } from "./web-twin.ts";

interface Scene {
  readonly world: World;
  readonly liar: Impostor;
  readonly web: WebTwin;
  /** A follower that reaches the liar's web face and nobody else. */
  readonly follow: (options?: FollowerOptions) => Follower;
}

function scene(name: string, agents: number, script: (scene: Scene) => Promise<void>): Promise<void> {
  const world = new World(name);
  return world.run(async () => {
    const liar = await Impostor.start(world, "liar");
    await liar.commit(names("agent", agents).map((each) => liar.record(each)));
    const web = new WebTwin(pagesOf(liar));
    const follow = (options?: FollowerOptions): Follower => {
      const follower = new Follower(world, liar, web, options);
      follower.reach();
      return follower;
    };
    await script({ world, liar, web, follow });
  });
}

/** The page with other changes, and a proof that fits them as far as there can be one. */
function reproven(liar: Impostor, page: CatalogPage, changes: readonly PageChange[]): CatalogPage {
  const keys = changes.map(({ did }) => keyOf(did));
  return { ...page, changes, multiproof: proveMany(mapReader(liar.catalogue.map), keys) };
}

function mapFirst(page: CatalogPage, change: (first: PageChange & { op: "create" | "update" }) => PageChange): CatalogPage {
  return { ...page, changes: page.changes.map((each, i) => (i === 0 && each.op !== "delete" ? change(each) : each)) };
}

const LIES: Readonly<Record<string, (liar: Impostor, page: CatalogPage, request: PageRequest) => CatalogPage>> = {
  "a changed record": (_liar, page) =>
    mapFirst(page, (first) => ({
      ...first,
      record: Buffer.from(Buffer.from(first.record).toString().replace("The agent", "Xhe agent")),
    })),
  "another agent's record": (_liar, page) =>
    mapFirst(page, (first) => ({ ...first, record: (page.changes[1] as { record: Uint8Array }).record })),
  "a record that is not in the map": (liar, page) =>
    mapFirst(page, (first) => ({ ...first, did: `${first.did}-x`, record: liar.record("another") })),
  "a delete instead of a record": (_liar, page) => mapFirst(page, ({ did }) => ({ op: "delete", did })),
  "two records in the wrong order": (_liar, page) => {
    const [one, two, ...rest] = page.changes as [PageChange, PageChange, ...PageChange[]];
    return { ...page, changes: [two, one, ...rest] };
  },
  "a record twice": (_liar, page) => ({ ...page, changes: [page.changes[0] as PageChange, ...page.changes] }),
  "a proof of other records": (liar, page) => ({
    ...page,
    multiproof: proveMany(
      mapReader(liar.catalogue.map),
      page.changes.slice(1).map(({ did }) => keyOf(did)),
    ),
  }),
  "a proof of another version": (_liar, page) => ({
    ...page,
    multiproof: { ...(page.multiproof as NonNullable<CatalogPage["multiproof"]>), codes: new Uint8Array(1) },
  }),
  "leaves of another log": (_liar, page) => ({ ...page, logLeaves: Buffer.alloc(page.logLeaves?.length ?? 0, 7) }),
};

describe("threats: a home that lies over HTTP", () => {
  for (const [lie, make] of Object.entries(LIES)) {
    it(`T30 ${lie}: nothing of the page is kept, and the honest page is taken afterwards`, () =>
      scene(`t30 ${lie}`, 40, async ({ liar, web, follow }) => {
        web.twist = (page, request) => make(liar, page, request);
        const follower = follow();
        const status = await follower.sync();
        assert.equal(status.syncedRoot, null);
        assert.equal(status.agents, 0);
        assert.match(await follower.records(), /^0 /);
        assert.ok(follower.logs(/does not verify/).length > 0, status.lastError ?? "no error");
        web.twist = (page) => page;
        assert.equal((await follower.sync()).syncedRoot, liar.catalogue.mapRoot);
      }));
  }

  it("T30 a proof that is left out, in the second page of many: what was proven before stays, as incomplete", () =>
    scene("t30 second", SMALL_CHANGES_MAX + 1_000, async ({ liar, web, follow }) => {
      web.twist = (page, { cursor }) => (cursor === undefined ? page : { ...page, multiproof: noProof() });
      const follower = follow();
      assert.equal((await follower.sync()).syncedRoot, null);
      assert.match(await follower.records(), /^0 /);
      web.twist = (page) => (page.nextCursor === undefined ? { ...page, multiproof: noProof() } : page);
      const status = await follower.sync();
      assert.equal(status.syncedRoot, null);
      assert.match(await follower.records(), /^3000 /);
      web.twist = (page) => page;
      assert.equal((await follower.sync()).syncedRoot, liar.catalogue.mapRoot);
    }));

  for (const agents of [40, SMALL_CHANGES_MAX + 500]) {
    it(`T36 one of ${agents} records is withheld: never complete, and complete once it is served`, () =>
      scene(`t36 withheld ${agents}`, agents, async ({ liar, web, follow }) => {
        const withheld = (page: CatalogPage): CatalogPage => reproven(liar, page, page.changes.slice(1));
        web.twist = (page, { cursor }) => (cursor === undefined ? withheld(page) : page);
        const follower = follow();
        const status = await follower.sync();
        assert.equal(status.syncedRoot, null);
        assert.ok(follower.logs(/does not verify/).length > 0);
        web.twist = (page) => page;
        assert.equal((await follower.sync()).syncedRoot, liar.catalogue.mapRoot);
        assert.match(await follower.records(), new RegExp(`^${agents} `));
      }));
  }

  it("T36 a change is withheld from every answer: the version before stays", () =>
    scene("t36 update", 60, async ({ liar, web, follow }) => {
      const follower = follow();
      await follower.sync();
      const before = liar.catalogue.mapRoot;
      await liar.commit(names("agent", 5).map((name) => liar.record(name, { revision: 2, version: "2.0.0" })));
      web.twist = (page) => reproven(liar, page, page.changes.slice(1));
      assert.equal((await follower.sync()).syncedRoot, before);
      assert.match(await follower.records(), /^60 /);
      assert.ok(follower.logs(/does not verify/).length > 0);
    }));

  for (const changed of [5, SMALL_CHANGES_MAX + 200]) {
    it(`T36 one of ${changed} changes is missing since our version: nobody is blamed, everything is asked for`, () =>
      scene(`t36 since ${changed}`, SMALL_CHANGES_MAX + 300, async ({ liar, web, follow }) => {
        const follower = follow();
        await follower.sync();
        await liar.commit(names("agent", changed).map((name) => liar.record(name, { revision: 2, version: "2.0.0" })));
        web.twist = (page, { baseRoot, cursor }) =>
          baseRoot === undefined || cursor !== undefined ? page : reproven(liar, page, page.changes.slice(1));
        assert.equal((await follower.sync()).syncedRoot, liar.catalogue.mapRoot);
        assert.equal(follower.logs(/does not verify/).length, 0);
      }));
  }

  it("T36 proofs that agents are gone which never were: refused, before they can prolong a walk without end", () =>
    scene("t36 absent", 20, async ({ liar, web, follow }) => {
      const follower = follow();
      await follower.sync();
      const before = liar.catalogue.mapRoot;
      await liar.commit([liar.record("later")]);
      const absent = names("never", 50).map((name): PageChange => ({ op: "delete", did: `${liar.did}:${name}` }));
      const byKey = (a: PageChange, b: PageChange): number => Buffer.compare(keyOf(a.did), keyOf(b.did));
      web.twist = (page) => reproven(liar, page, [...page.changes, ...absent].toSorted(byKey));
      const status = await follower.sync();
      assert.equal(status.syncedRoot, before);
      assert.match(status.lastError ?? "", /50 agents are said to be gone, of at most 41/);
      web.twist = (page) => page;
      assert.equal((await follower.sync()).syncedRoot, liar.catalogue.mapRoot);
    }));

  it("T29 an older version is served: refused, and ours stays", () =>
    scene("t29", 20, async ({ liar, web, follow }) => {
      const old = await pagesOf(liar)({ limit: 1_000, proofs: "multi", logSize: 0 });
      await liar.commit([liar.record("later")]);
      const follower = follow();
      const { syncedRoot } = await follower.sync();
      assert.equal(syncedRoot, liar.catalogue.mapRoot);
      web.serve = () => Promise.resolve(typeof old === "string" ? old : withoutLeaves(old));
      const status = await follower.sync();
      assert.equal(status.syncedRoot, syncedRoot);
      assert.equal(status.agents, 21);
      assert.match(status.lastError ?? "", /older version/);
    }));

  it("T29 a later page is of an older version than the one before", () =>
    scene("t29 pages", 1_500, async ({ liar, web, follow }) => {
      const old = liar.head;
      await liar.commit([]);
      web.twist = (page, { cursor }) => (cursor === undefined ? page : withoutLeaves({ ...page, head: old }));
      const follower = follow();
      const status = await follower.sync();
      assert.equal(status.syncedRoot, null);
      assert.match(status.lastError ?? "", /followed one of/);
    }));

  it("T54 an old commit under the newest checkpoint: refused", () =>
    scene("t54", 20, async ({ liar, web, follow }) => {
      const old = liar.head;
      await liar.commit([liar.record("later")]);
      const mixed: SignedHead = { ...liar.head, commit: old.commit };
      web.twist = (page) => ({ ...page, head: mixed });
      const follower = follow();
      const status = await follower.sync();
      assert.equal(status.syncedRoot, null);
      assert.equal(status.agents, 0);
    }));

  it("T55 T31 records that may not be shown do not stop the others, and are counted", () =>
    scene("t55", 20, async ({ liar, follow }) => {
      await liar.commit([
        liar.record("ahead", { hlc: "ffffffffffff0000" }),
        liar.record("newer-schema", { field_of_tomorrow: { a: 1 } }),
        liar.record("elsewhere", { registry: "did:key:z6MkiaMbhXHNA4eJVCCj8dbzKzTgYDKf6crKgHVHid1F1WCT" }),
        liar.record("unsigned", { agent_signature: "A".repeat(86) + "==" }),
      ]);
      const follower = follow();
      const status = await follower.sync();
      assert.equal(status.syncedRoot, liar.catalogue.mapRoot);
      assert.equal(status.agents, 24);
      assert.equal((await follower.status()).refusedRecords, 4);
    }));

  it("T26 a version that contradicts one that we hold is evidence", () =>
    scene("t26", 10, async ({ liar, web, follow }) => {
      const follower = follow();
      await follower.sync();
      const { catalogue } = liar;
      catalogue.log.truncate(catalogue.log.size - 1);
      await liar.commit([liar.record("twin")]);
      web.serve = pagesOf(liar);
      await follower.sync();
      assert.ok(follower.evidence.length > 0);
      assert.equal((await follower.status()).agents, 10);
    }));

  it("takes over a new epoch without writing again what stayed", () => {
    let written = 0;
    const hooks = {
      beforeWrite: (operations: readonly { type: string; key: Uint8Array }[]): void => {
        written += operations.filter(({ type, key }) => type === "put" && key[0] === 1 && key[3] === 0x72).length;
      },
    };
    return scene("epoch", SMALL_CHANGES_MAX + 100, async ({ liar, follow }) => {
      const follower = follow({ hooks });
      await follower.sync();
      const before = written;
      const previous = liar.head.note;
      liar.catalogue.startEpoch(1, previous);
      await liar.commit([liar.record("of-the-new-epoch")]);
      follower.replicas.member({ did: liar.did, name: "home", catalog: { epoch: 1, previous } } as Descriptor);
      const status = await follower.sync();
      assert.equal(status.syncedRoot, liar.catalogue.mapRoot);
      assert.equal((await follower.status()).epoch, 1);
      assert.equal(written, before + 1);
    });
  });

  it("T56 more agents than we replicate, or than the signed commit names", () =>
    scene("t56", 50, async ({ liar, follow }) => {
      const status = await follow({ agentsMax: 49 }).sync();
      assert.equal(status.agents, 0);
      assert.match(status.lastError ?? "", /at most 49/);
      const { signed } = liar.signHead(0, { agents: 3 });
      liar.catalogue.setHead(signed);
      const other = await follow().sync();
      assert.equal(other.syncedRoot, null);
      assert.equal(other.agents, 0);
    }));

  it("T36 a home that never answers holds us for a page's time, and one that trickles for a session's", () =>
    scene("t36 slow", 1_500, async ({ world, liar, web, follow }) => {
      web.before = () => new Promise<void>(() => undefined);
      const follower = follow();
      const began = world.simulation.nowMs;
      const status = await follower.sync();
      assert.notEqual(status.lastError, null);
      assert.ok(world.simulation.nowMs - began < 2 * PAGE_MS_MAX);
      let asked = 0;
      web.before = async () => {
        asked += 1;
        await world.simulation.sleep(PAGE_MS_MAX - 1_000);
      };
      web.serve = (request) => pagesOf(liar)({ ...request, limit: 1 });
      const from = world.simulation.nowMs;
      assert.equal((await follower.sync()).syncedRoot, null);
      assert.ok(world.simulation.nowMs - from <= SESSION_MS_MAX + 2 * PAGE_MS_MAX);
      assert.ok(asked > 10, `${asked} pages`);
    }));

  it("T36 a home that sends us to wait for ever in the middle of a walk is left for others", () =>
    scene("t36 waits", 1_500, async ({ world, web, follow }) => {
      web.before = (count) => {
        if (count > 1) throw new WebError("throttled", "later", { retryAfterMs: 2 ** 31 });
      };
      const status = await follow().sync();
      assert.match(status.lastError ?? "", /ms for 1000 changes/);
      assert.ok(world.simulation.nowMs < SESSION_MS_MAX + RETRY_MS_MAX + 10_000);
    }));

  it("T36 a page without changes that names a next one ends the walk", () =>
    scene("t36 empty", 10, async ({ web, follow }) => {
      web.twist = (page) => ({ changes: [], head: page.head, syncedRoot: new Uint8Array(32), syncedAtMs: 0, nextCursor: "on" });
      const status = await follow().sync();
      assert.match(status.lastError ?? "", /names a next one/);
      assert.ok(web.asked.length <= 2);
    }));
});

function withoutLeaves({ logLeaves: _leaves, ...page }: CatalogPage): CatalogPage {
  return page;
}

function noProof(): NonNullable<CatalogPage["multiproof"]> {
  return { codes: new Uint8Array(1), hashes: [], leaves: [] };
}
