import assert from "node:assert/strict";
import { WAIT_SECONDS_MAX } from "../../protocols/http/head-wait.ts";
import { COMMIT_INTERVAL_MS } from "../../src/catalog/actor.ts";
import { WEB_ANNOUNCEMENTS_MAX, WEB_CYCLE_MS, WEB_PAUSE_MS, WEB_POLL_MS } from "../../src/membership/web-contacts.ts";
import { names, World } from "../node/harness.ts";
import { WebFederation } from "./web-federation.ts";

const STALLED_MS = 100_000;
const QUIET_MS = 120_000;
const BUSY_MS = 60_000;
/** For a page to be asked for and taken: the harness looks every so often. */
const SOON_MS = 200;
/** Of a registry's budget of 100, what flows evenly. */
const STEADY_REQUESTS_PER_MINUTE = 80;

type Started = Awaited<ReturnType<WebFederation["start"]>>;

interface Script {
  readonly web: WebFederation;
  readonly world: World;
  /** It has a web face and no client for others'. */
  readonly home: Started;
  /** It follows the home, and has all of it. */
  readonly follower: Started;
  /** Resolves while the follower waits at the home for news. */
  readonly waiting: () => Promise<unknown>;
}

function following(seed: string, script: (script: Script) => Promise<void>): () => Promise<void> {
  return () => {
    const world = new World(seed);
    return world.run(async () => {
      const web = new WebFederation(world);
      const home = await web.start("home", { isPassive: true });
      const follower = await web.start("follower", { peers: [home.url] });
      await world.synced(follower, home);
      const waiting = async (): Promise<unknown> => {
        await world.simulation.sleep(WEB_CYCLE_MS);
        return world.until("the wait", () => web.held(home.url) === 1);
      };
      await script({ web, world, home, follower, waiting });
    });
  };
}

describe("news over the web", () => {
  it(
    "is seen at once by who waits for it, and quiet costs next to nothing",
    following("web news", async ({ web, world, home, follower, waiting }) => {
      for (const name of names("news", 5)) {
        await waiting();
        await home.add(name);
        await world.synced(follower, home, SOON_MS);
      }
      const before = web.count(`head ${home.url}`);
      await world.simulation.sleep(QUIET_MS);
      const asked = web.count(`head ${home.url}`) - before;
      assert.ok(asked > 0 && asked <= (2 * QUIET_MS) / (WAIT_SECONDS_MAX * 1_000), `${asked} requests in quiet`);
    }),
  );

  it(
    "of a busy catalogue comes together, within the budget of requests",
    following("web busy", async ({ web, world, home, follower }) => {
      const before = web.asked.length;
      const beganMs = world.simulation.nowMs;
      while (world.simulation.nowMs - beganMs < BUSY_MS) {
        await home.add(`at-${Math.floor(world.simulation.nowMs)}`);
        await world.simulation.sleep(COMMIT_INTERVAL_MS);
      }
      await world.synced(follower, home, WEB_CYCLE_MS + SOON_MS);
      const asked = web.asked.slice(before);
      const heads = asked.filter((one) => one === `head ${home.url}`).length;
      assert.ok(heads >= BUSY_MS / WEB_CYCLE_MS / 2, `only ${heads} requests for the head`);
      const perMinute = (asked.length * 60_000) / (world.simulation.nowMs - beganMs);
      assert.ok(perMinute <= STEADY_REQUESTS_PER_MINUTE, `${perMinute} requests a minute`);
    }),
  );

  it(
    "is asked for every few seconds where the other side knows nothing of waiting",
    following("web impatient", async ({ web, world, home, follower }) => {
      web.impatient.add(home.url);
      await world.simulation.sleep(WAIT_SECONDS_MAX * 1_000);
      const before = web.count(`head ${home.url}`);
      await world.simulation.sleep(QUIET_MS);
      const asked = web.count(`head ${home.url}`) - before;
      // Versions without a change are made each minute; after such news the next request comes sooner.
      const [least, most] = [(0.7 * QUIET_MS) / WEB_POLL_MS, (1.3 * QUIET_MS) / WEB_POLL_MS + 4];
      assert.ok(asked >= least && asked <= most, `${asked} requests`);
      await home.add("news");
      await world.synced(follower, home, 2 * WEB_POLL_MS);
    }),
  );

  it(
    "is asked for again soon after a wait that was cut, which is not taken for a loss",
    following("web cut", async ({ web, world, home, follower, waiting }) => {
      await waiting();
      const announcements = web.count(`announce ${home.url}`);
      web.cut(home.url);
      await world.simulation.sleep(1);
      web.down.delete(home.url);
      await home.add("news");
      await world.synced(follower, home, WEB_PAUSE_MS + SOON_MS);
      assert.equal((await follower.peer(home.did))?.connected, true);
      assert.equal(web.count(`announce ${home.url}`), announcements);
    }),
  );

  it(
    "T49 comes as soon although many others stall, and these are asked less often",
    following("web stalling", async ({ web, world, home, follower, waiting }) => {
      const stalling = await Promise.all(
        names("stalling", WEB_ANNOUNCEMENTS_MAX + 1).map((name) => web.start(name, { isPassive: true })),
      );
      for (const { url, node } of stalling) {
        web.stalled.add(url);
        await follower.node.announced(await world.until("a descriptor", () => node.introduction().catch(() => undefined)));
      }
      await world.until("all to be asked", () => stalling.every(({ url }) => web.count(`head ${url}`) > 0));
      const beganMs = world.simulation.nowMs;
      while (world.simulation.nowMs - beganMs < STALLED_MS) {
        await waiting();
        await home.add(`at-${Math.floor(world.simulation.nowMs)}`);
        await world.synced(follower, home, SOON_MS);
      }
      const asked = stalling.map(({ url }) => web.count(`head ${url}`));
      assert.ok(
        Math.max(...asked) <= STALLED_MS / (WAIT_SECONDS_MAX * 1_000),
        `${Math.max(...asked)} requests to one that stalls`,
      );
      assert.ok(Math.min(...asked) > 1, "who stalls is not given up");
    }),
  );
});
