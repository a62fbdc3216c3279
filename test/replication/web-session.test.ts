import assert from "node:assert/strict";
import { PAGE_CHANGES_MAX } from "../../protocols/http/catalog-page.ts";
import { mintDid } from "../../protocols/lib/did.ts";
import { WebError } from "../../src/ports/web.ts";
import { MemoryStore } from "../../src/adapters/memory/store.ts";
import { PASSES_MAX, RENEWALS_MAX } from "../../src/replication/web-session.ts";
import { SMALL_CHANGES_MAX } from "../../src/replication/session.ts";
import { agent, names, World } from "../node/harness.ts";
import { Follower, Home, recordsOf, WebTwin, type FollowerOptions } from "./web-twin.ts";

interface Scene {
  readonly world: World;
  readonly home: Home;
  readonly web: WebTwin;
  readonly follow: (options?: FollowerOptions) => Follower;
}

function scene(name: string, script: (scene: Scene) => Promise<void>): Promise<void> {
  const world = new World(name);
  return world.run(async () => {
    const home = new Home(world, "home");
    const web = new WebTwin((request) => home.page(request));
    await script({ world, home, web, follow: (options) => new Follower(world, home, web, options) });
  });
}

/** The replica is complete, and its rows are the home's. */
async function assertSame(follower: Follower, home: Home): Promise<void> {
  const status = await follower.status();
  assert.equal(status.syncedRoot, home.newest.mapRoot, status.lastError ?? "");
  assert.equal(status.agents, home.newest.agents);
  assert.deepEqual(await follower.records(), await recordsOf(home.store, 0));
}

const didOf = (home: Home, name: string): string => mintDid(home.identity.publicKey, `test/${name}`);
const update = (name: string, version: string): { op: "put"; agent: ReturnType<typeof agent> } => ({
  op: "put",
  agent: agent(name, { version }),
});

describe("following over HTTP", () => {
  it("brings a small catalogue, then what changed and what went, each in one request", () =>
    scene("small", async ({ home, web, follow }) => {
      await home.put(...names("agent", 40));
      const follower = follow();
      follower.reach();
      await follower.sync();
      await assertSame(follower, home);
      assert.equal(web.asked.length, 1);
      await home.mutate(update("agent-3", "2.0.0"), { op: "delete", did: didOf(home, "agent-7") });
      follower.hear(home.newest.head);
      await follower.sync();
      await assertSame(follower, home);
      assert.equal(web.asked.length, 2);
      assert.ok(web.asked[1]?.baseRoot !== undefined);
    }));

  it("learns of news through heads, and asks nothing while there are none", () =>
    scene("news", async ({ world, home, web, follow }) => {
      await home.put("a");
      const follower = follow();
      follower.reach();
      follower.hear(home.newest.head);
      await world.until("the first sync", async () => (await follower.status()).syncedRoot === home.newest.mapRoot);
      const asked = web.asked.length;
      await world.simulation.sleep(30_000);
      assert.equal(web.asked.length, asked);
      await home.put("b");
      follower.hear(home.newest.head);
      await world.until("the news", async () => (await follower.status()).syncedRoot === home.newest.mapRoot);
    }));

  it("brings 10,000 records page by page, and keeps them over a restart", () =>
    scene("ten thousand", async ({ home, web, follow }) => {
      await home.put(...names("agent", 10_000));
      const follower = follow();
      follower.reach();
      await follower.sync();
      await assertSame(follower, home);
      assert.equal(web.asked.length, 10_000 / PAGE_CHANGES_MAX);
      follower.stop();
      const again = follow({ store: follower.store });
      await assertSame(again, home);
    }));

  it("goes over to the newest version when the catalogue moves between its pages", () =>
    scene("moved", async ({ home, web, follow }) => {
      for (const agents of [1_500, 6_000]) {
        await home.put(...names(`agent-${agents}`, agents));
        let moves = 0;
        web.before = async (count) => {
          if (count === 1) return;
          if (moves++ >= 3) return;
          await home.mutate(
            ...names(`agent-${agents}`, 20).map((name) => update(name, `${moves}.0.0`)),
            { op: "delete", did: didOf(home, `agent-${agents}-${100 + moves}`) },
            { op: "put", agent: agent(`new-${agents}-${moves}`) },
          );
        };
        const follower = follow();
        follower.reach();
        await follower.sync();
        await assertSame(follower, home);
        web.asked.length = 0;
      }
    }));

  it("gives up a catalogue that never rests, shows nothing as complete, and has it once it rests", () =>
    scene("restless", async ({ home, web, follow }) => {
      await home.put(...names("agent", 1_500));
      let round = 0;
      web.before = async () => {
        round += 1;
        await home.mutate(...names("agent", 1_200).map((name) => update(name, `${round}.0.0`)));
      };
      const follower = follow();
      follower.reach();
      const status = await follower.sync();
      assert.equal(status.syncedRoot, null);
      assert.match(status.lastError ?? "", /busy/);
      assert.ok(web.asked.length <= PASSES_MAX * 2 + 1, `${web.asked.length} requests`);
      web.before = () => undefined;
      await follower.sync();
      await assertSame(follower, home);
    }));

  it("goes on after a cut without writing again what it has, also when the process ended", () =>
    scene("cut", async ({ home, web, follow }) => {
      await home.put(...names("agent", 6_000));
      let written = 0;
      const hooks = {
        beforeWrite: (operations: readonly { type: string; key: Uint8Array }[]): void => {
          written += operations.filter(({ type, key }) => type === "put" && key[0] === 1 && key[3] === 0x72).length;
        },
      };
      const store = new MemoryStore(hooks);
      web.before = (count) => {
        if (count === 5) throw new WebError("unreachable", "cut");
      };
      const cut = follow({ store });
      cut.reach();
      const status = await cut.sync();
      assert.equal(status.syncedRoot, null);
      assert.equal(written, 4_000);
      cut.stop();
      await home.put("one-more");
      const again = follow({ store });
      again.reach();
      await again.sync();
      await assertSame(again, home);
      assert.ok(written <= 6_001, `${written} records were written`);
    }));

  it("drops what the home no longer has when it begins again, in small and in large", () =>
    scene("again", async ({ home, web, follow }) => {
      for (const agents of [50, SMALL_CHANGES_MAX + 500]) {
        await home.put(...names(`agent-${agents}`, agents));
        const follower = follow();
        follower.reach();
        await follower.sync();
        await home.mutate(...names(`agent-${agents}`, 20).map((name) => ({ op: "delete" as const, did: didOf(home, name) })), {
          op: "put",
          agent: agent(`new-${agents}`),
        });
        const from = web.asked.length;
        const { serve } = web;
        web.serve = (request) => (request.baseRoot === undefined ? serve(request) : Promise.resolve("unknown_base"));
        await follower.sync();
        await assertSame(follower, home);
        assert.ok(web.asked.slice(from + 1).every(({ baseRoot }) => baseRoot === undefined));
        web.serve = serve;
      }
    }));

  for (const [at, what] of [
    [2, "few"],
    [4, "many"],
  ] as const)
    for (const base of ["the beginning", "its version"])
      it(`begins anew from ${base} where its cursor is refused when ${what} changes had come`, () =>
        scene(`refused at ${at} from ${base}`, async ({ home, web, follow }) => {
          await home.put(...names("agent", 4_500));
          const follower = follow();
          follower.reach();
          if (base === "its version") {
            await follower.sync();
            await home.mutate(...names("agent", 4_500).map((name) => update(name, "2.0.0")));
          }
          const from = web.asked.length;
          web.before = async (count) => {
            if (count !== from + at) return;
            await home.mutate(...names("agent", 50).map((name) => ({ op: "delete" as const, did: didOf(home, name) })));
            const { serve } = web;
            web.serve = () => {
              web.serve = serve;
              return Promise.resolve("bad_cursor");
            };
          };
          await follower.sync();
          await assertSame(follower, home);
          const [first, refused, renewed] = [0, at - 1, at].map((i) => web.asked[from + i]);
          assert.notEqual(refused?.cursor, undefined);
          assert.deepEqual([renewed?.cursor, renewed?.baseRoot], [undefined, first?.baseRoot]);
          assert.equal(web.asked.length, from + at + 5);
        }));

  it("goes on where it stands after the home was started again", () =>
    scene("restarted", async ({ home, web, follow }) => {
      await home.put(...names("agent", 4_500));
      const follower = follow();
      follower.reach();
      web.before = async (count) => {
        if (count === 3) await home.restart();
      };
      await follower.sync();
      await assertSame(follower, home);
      assert.deepEqual(
        web.asked.map(({ cursor }) => cursor !== undefined),
        [false, true, true, true, true],
      );
    }));

  it("begins anew a few times only where every cursor is refused", () =>
    scene("forgetful", async ({ home, web, follow }) => {
      await home.put(...names("agent", 2_500));
      const { serve } = web;
      web.serve = (request) => (request.cursor === undefined ? serve(request) : Promise.resolve("bad_cursor"));
      const follower = follow();
      follower.reach();
      const status = await follower.sync();
      assert.match(status.lastError ?? "", /bad_request/);
      assert.equal(web.asked.length, 2 * (1 + RENEWALS_MAX));
    }));

  it("blames nobody for agents that came and went since its version, although they are more than there ever were at a time", () =>
    scene("came and went", async ({ home, follow }) => {
      await home.put("stays");
      const follower = follow();
      follower.reach();
      await follower.sync();
      await home.put("new", ...names("passing", 6));
      await home.mutate(...names("passing", 6).map((name) => ({ op: "delete" as const, did: didOf(home, name) })));
      await follower.sync();
      await assertSame(follower, home);
      assert.deepEqual(follower.logs(/does not verify/), []);
    }));

  it("asks for the leaves of the log that no page brought", () =>
    scene("leaves", async ({ home, web, follow }) => {
      for (const name of names("agent", 5)) await home.put(name);
      web.twist = (page, { logSize, cursor }) => {
        if (page.logLeaves === undefined || logSize === undefined || cursor !== undefined) return page;
        return { ...page, logLeaves: page.logLeaves.subarray(0, 64) };
      };
      const follower = follow();
      follower.reach();
      await follower.sync();
      await assertSame(follower, home);
      assert.equal(web.asked.length, 3);
    }));

  it("waits as long as it is told in the middle of a walk, and asks nobody in a busy loop at its beginning", () =>
    scene("throttled", async ({ world, home, web, follow }) => {
      await home.put(...names("agent", 2_500));
      let begun = 0;
      web.before = (count) => {
        if (count !== 2) return;
        begun = world.simulation.nowMs;
        throw new WebError("throttled", "later", { retryAfterMs: 7_000 });
      };
      const follower = follow();
      follower.reach();
      await follower.sync();
      await assertSame(follower, home);
      assert.equal(web.asked.length, 4);
      assert.ok(world.simulation.nowMs - begun >= 7_000);
      web.before = () => {
        throw new WebError("throttled", "later", { retryAfterMs: 5_000 });
      };
      await home.put("later");
      web.asked.length = 0;
      follower.hear(home.newest.head);
      await world.simulation.sleep(60_000);
      assert.ok(web.asked.length > 1 && web.asked.length < 20, `${web.asked.length} requests in a minute`);
    }));

  it("takes the stream again when there is one, and the web face when it is gone", () =>
    scene("both", async ({ world, home, web, follow }) => {
      await home.listen();
      await home.put("a");
      const follower = follow();
      follower.reach();
      await follower.sync();
      const asked = web.asked.length;
      assert.ok(asked > 0);
      await follower.connect(home);
      await home.put("b");
      follower.hear(home.newest.head);
      await follower.sync();
      await assertSame(follower, home);
      assert.equal(web.asked.length, asked);
      follower.replicas.connected([]);
      await home.put("c");
      follower.hear(home.newest.head);
      await follower.sync();
      await assertSame(follower, home);
      assert.ok(web.asked.length > asked);
      follower.reach(false);
      await home.put("d");
      follower.hear(home.newest.head);
      await world.simulation.sleep(5_000);
      assert.notEqual((await follower.status()).syncedRoot, home.newest.mapRoot);
    }));
});
