import assert from "node:assert/strict";
import { DIALS_MAX } from "../../src/membership/dialler.ts";
import { WEB_ANNOUNCEMENTS_MAX } from "../../src/membership/web-contacts.ts";
import { names, World } from "../node/harness.ts";
import { WebFederation } from "./web-federation.ts";

/** Well below what one attempt may take. */
const SOON_MS = 2_000;

function inWorld(seed: string, script: (web: WebFederation, world: World) => Promise<void>): () => Promise<void> {
  return () => {
    const world = new World(seed);
    return world.run(() => script(new WebFederation(world), world));
  };
}

describe("whom the operator named", () => {
  it(
    "T49 is dialled at once, although all dials to others stall",
    inWorld("lanes dials", async (web, world) => {
      const follower = await web.start("follower", { listen: ["/memory/follower"] });
      const stalling = await Promise.all(
        names("stalling", 3 * DIALS_MAX).map((name) => web.start(name, { isPassive: true, listen: [`/memory/${name}`] })),
      );
      const mute = new Set(stalling.map(({ identity }) => identity.peerId));
      const dialled = new Set<string>();
      world.link.ordered = (from, to) => {
        if (mute.has(to)) dialled.add(to);
        return mute.has(to) || mute.has(from) ? undefined : 0;
      };
      for (const { node } of stalling) {
        await follower.node.announced(await world.until("a descriptor", () => node.introduction().catch(() => undefined)));
      }
      await world.until("the dials to stall", () => dialled.size >= DIALS_MAX);
      assert.equal(dialled.size, DIALS_MAX);
      const home = await web.start("home", { listen: ["/memory/home"], offWeb: true });
      const beganMs = world.simulation.nowMs;
      assert.equal((await follower.node.addPeer(home.address)).outcome, "met");
      assert.ok(world.simulation.nowMs - beganMs < SOON_MS, `${world.simulation.nowMs - beganMs} ms`);
    }),
  );

  it(
    "T49 is told over the web at once, although all announcements to others stall",
    inWorld("lanes announcements", async (web, world) => {
      const follower = await web.start("follower");
      const stalling = await Promise.all(
        names("stalling", 3 * WEB_ANNOUNCEMENTS_MAX).map((name) => web.start(name, { isPassive: true })),
      );
      for (const { url, node } of stalling) {
        web.mute.add(url);
        await follower.node.announced(await world.until("a descriptor", () => node.introduction().catch(() => undefined)));
      }
      const told = (): number => stalling.filter(({ url }) => web.count(`announce ${url}`) > 0).length;
      await world.until("the announcements to stall", () => told() >= WEB_ANNOUNCEMENTS_MAX);
      assert.equal(told(), WEB_ANNOUNCEMENTS_MAX);
      const home = await web.start("home");
      await world.until("a descriptor", () => home.node.introduction().catch(() => undefined));
      const beganMs = world.simulation.nowMs;
      await follower.node.addPeer(home.url);
      await world.until("contact", async () => (await home.peer(follower.did)) !== undefined, SOON_MS);
      await world.until("contact", async () => (await follower.peer(home.did))?.connected, SOON_MS);
      assert.ok(world.simulation.nowMs - beganMs < SOON_MS, `${world.simulation.nowMs - beganMs} ms`);
    }),
  );
});
