import assert from "node:assert/strict";
import fc from "fast-check";
import { mintDid } from "../../protocols/lib/did.ts";
import type { Mutation } from "../../src/api.ts";
import { WebError } from "../../src/ports/web.ts";
import { agent, World } from "../node/harness.ts";
import { Follower, Home, recordsOf, WebTwin } from "./web-twin.ts";

/** Names are few, so that histories come back to what they left. */
const NAMES = 12;
const RUNS = 40;

const change = fc.record({ name: fc.nat(NAMES - 1), version: fc.nat(2), isDelete: fc.boolean() });
const changes = fc.array(change, { maxLength: 8 });
const step = fc.record({
  /** Committed before the followers ask. */
  before: fc.array(changes, { maxLength: 3 }),
  /** Committed while they ask, before the page of this number. */
  during: fc.array(fc.record({ page: fc.integer({ min: 1, max: 6 }), changes }), { maxLength: 2 }),
  /** Changes that one page brings. */
  limit: fc.integer({ min: 1, max: 6 }),
  /** The request that fails. */
  cut: fc.integer({ min: 1, max: 12 }),
  /** The home is started again before they ask. */
  restart: fc.boolean(),
  /** The home is started again before the page of this number. */
  restartAt: fc.option(fc.integer({ min: 2, max: 6 })),
});

describe("property: following over HTTP", () => {
  it("leads to the same catalogue as following over a stream, whatever the history, the pages and what comes between them", async function () {
    this.timeout(120_000);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 4 }), async (steps) => {
        const world = new World("property");
        await world.run(async () => {
          const home = new Home(world, "home");
          await home.listen();
          const web = new WebTwin((request) => home.page(request));
          const [paged, streamed] = [new Follower(world, home, web), new Follower(world, home, web)];
          paged.reach();
          await streamed.connect(home);
          // Knows the home only through the one that follows it over HTTP.
          const third = new Follower(world, home, web);
          await paged.listen();
          await third.connect(paged);
          for (const { before, during, limit, cut, restart, restartAt } of steps) {
            for (const each of before) await commit(home, each);
            if (restart) await home.restart();
            let pages = 0;
            web.serve = (request) => home.page({ ...request, limit: Math.min(limit, request.limit) });
            web.before = async () => {
              pages += 1;
              if (pages === restartAt) await home.restart();
              if (pages === cut) throw new WebError("unreachable", "cut");
              for (const { page, changes: each } of during) if (page === pages) await commit(home, each);
            };
            await paged.sync();
            web.before = () => undefined;
            const root = (await paged.sync()).syncedRoot;
            assert.equal(root, home.newest.mapRoot);
            assert.equal((await streamed.sync()).syncedRoot, root);
            const records = await recordsOf(home.store, 0);
            assert.equal(await paged.records(), records);
            assert.equal(await streamed.records(), records);
            assert.equal((await third.sync()).syncedRoot, root);
            assert.equal(await third.records(), records);
          }
          for (const follower of [paged, streamed, third]) assert.deepEqual(follower.logs(/does not verify|crashed/), []);
        });
      }),
      { numRuns: RUNS },
    );
  });
});

/** One commit, of the last change of each name. */
async function commit(home: Home, all: readonly { name: number; version: number; isDelete: boolean }[]): Promise<void> {
  const mutations = new Map<number, Mutation>();
  for (const { name, version, isDelete } of all) {
    const did = mintDid(home.identity.publicKey, `test/agent-${name}`);
    const put: Mutation = { op: "put", agent: agent(`agent-${name}`, { version: `${version}.0.0` }) };
    mutations.set(name, isDelete ? { op: "delete", did } : put);
  }
  await home.mutate(...mutations.values());
}
