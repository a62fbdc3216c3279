import assert from "node:assert/strict";
import type { RunningNode } from "../../src/federation-api.ts";
import { REINTRODUCE_MS } from "../../src/membership/introductions.ts";
import { WAIT_SECONDS_MAX } from "../../protocols/http/head-wait.ts";
import { WEB_ANNOUNCE_MS, WEB_CYCLE_MS, WEB_POLL_MS } from "../../src/membership/web-contacts.ts";
import { WebError } from "../../src/ports/web.ts";
import { names, World, type TestNode } from "../node/harness.ts";
import { WebFederation } from "./web-federation.ts";

function inWorld(seed: string, script: (web: WebFederation, world: World) => Promise<void>): () => Promise<void> {
  return () => {
    const world = new World(seed);
    return world.run(() => script(new WebFederation(world), world));
  };
}

describe("meeting registries over the web", () => {
  it(
    "joins by a URL alone, and follows whoever has no libp2p address",
    inWorld("web join", async (web, world) => {
      const a = await web.start("a");
      await a.add(...names("agent", 20));
      const b = await web.start("b", { peers: [a.url] });
      await b.add("of-b");
      await world.synced(b, a);
      const peer = await b.peer(a.did);
      assert.deepEqual([peer?.connected, peer?.configured, peer?.state], [true, true, "alive"]);
      assert.ok(peer?.rttMs !== null);
      // It was told who we are, so it follows us as well.
      await world.synced(a, b);
      await a.add("news");
      await world.synced(b, a, 2 * WEB_CYCLE_MS);
      assert.equal((await a.peer(b.did))?.configured, false);
    }),
  );

  it(
    "prefers libp2p where it leads, and needs the web only until then",
    inWorld("web and dials", async (web, world) => {
      const direct = world.link.ordered;
      world.link.ordered = () => undefined;
      const gossip = world.link.gossip;
      world.link.gossip = () => [];
      const a = await web.start("a", { listen: ["/memory/a"] });
      await a.add("one");
      const b = await web.start("b", { listen: ["/memory/b"], peers: [a.url] });
      await world.synced(b, a);
      assert.ok(web.count(`announce ${a.url}`) > 0);
      assert.deepEqual(b.network.connected(), []);
      Object.assign(world.link, { ordered: direct, gossip });
      await world.until("libp2p to win", () => b.network.connected().includes(a.identity.peerId));
      await world.simulation.sleep(1_000);
      const polls = web.count(`head ${a.url}`);
      await a.add("two");
      await world.synced(b, a);
      await world.simulation.sleep(3 * WEB_POLL_MS);
      assert.equal(web.count(`head ${a.url}`), polls);
    }),
  );

  it(
    "counts who no longer answers as out of contact, and comes back",
    inWorld("web down", async (web, world) => {
      const a = await web.start("a");
      const b = await web.start("b", { peers: [a.url] });
      const connected = async (): Promise<boolean> => (await b.peer(a.did))?.connected === true;
      await world.until("contact", connected);
      web.cut(a.url);
      await world.until("the loss", async () => !(await connected()), 2 * WEB_POLL_MS);
      web.down.delete(a.url);
      await world.until("contact again", connected);
    }),
  );

  it(
    "heeds who asks for patience, without losing contact",
    inWorld("web throttled", async (web, world) => {
      const a = await web.start("a");
      const b = await web.start("b", { peers: [a.url] });
      await world.until("contact", async () => (await b.peer(a.did))?.connected);
      web.refusals.set(a.url, new WebError("throttled", "too many", { retryAfterMs: 60_000 }));
      await world.simulation.sleep(WAIT_SECONDS_MAX * 1_000 + WEB_POLL_MS);
      const before = web.count(`head ${a.url}`);
      await world.simulation.sleep(WEB_ANNOUNCE_MS / 2);
      assert.equal(web.count(`head ${a.url}`), before);
      assert.equal((await b.peer(a.did))?.connected, true);
    }),
  );

  it(
    "learns a new trust bundle from the registry itself when it holds an old one",
    inWorld("web bundle", async (web, world) => {
      const a = await web.start("a");
      const b = await web.start("b", { peers: [a.url] });
      await world.until("contact", async () => (await b.peer(a.did))?.connected);
      web.cut(a.url);
      await world.until("the loss", async () => (await b.peer(a.did))?.connected === false);
      web.bundles.set(a.url, "another bundle of a");
      a.node.facadeChanged();
      web.down.delete(a.url);
      await world.until("contact again", async () => (await b.peer(a.did))?.connected);
      assert.equal((await b.node.knownRegistry(a.did))?.bundle, "another bundle of a");
      assert.equal((await b.node.knownRegistry(a.did))?.url, a.url);
    }),
  );

  it(
    "renews its own descriptor when its URLs or its bundle change",
    inWorld("web facts", async (web, world) => {
      const a = await web.start("a");
      const before = await world.until("a descriptor", () => a.node.introduction().catch(() => undefined));
      a.node.facadeChanged();
      await world.simulation.sleep(100);
      assert.deepEqual((await a.node.introduction()).descriptor, before.descriptor);
      web.bundles.set(a.url, "another");
      a.node.facadeChanged();
      const after = await world.until("another descriptor", async () => {
        const { descriptor } = await a.node.introduction();
        return Buffer.compare(descriptor, before.descriptor) !== 0 && descriptor;
      });
      const { facade, bundle } = JSON.parse(Buffer.from(after).toString()) as Record<string, unknown>;
      assert.deepEqual([facade, bundle], [{ urls: [a.url] }, "another"]);
    }),
  );
});

describe("peers that the operator names by URL", () => {
  it(
    "T43 are taken only with the DID of their pin, and refused with what was wrong",
    inWorld("web pins", async (web, world) => {
      const [a, c] = [await web.start("a"), await web.start("c")];
      const b = await web.start("b", { peers: [`${a.url}#${c.did}`] });
      await world.until("the refusal to be told", () => b.logs(/left out/).length > 0);
      assert.equal((await b.peer(a.did))?.configured ?? false, false);
      const refused = (address: string, code: string, message: RegExp): Promise<void> =>
        assert.rejects(b.node.addPeer(address), { name: "NodeError", code, message });
      await refused(`${a.url}#${c.did}`, "refused", new RegExp(`is ${a.did}, but its pin is ${c.did}`));
      await refused(b.url, "invalid", /our own address/);
      await refused("http://a.example", "invalid", /must begin with https/);
      await refused("https://me:you@a.example", "invalid", /user or password/);
      await refused("https://a.example/?x=1", "invalid", /query/);
      await refused(`${a.url}#nobody`, "invalid", /pin that is not the DID/);
      await refused(`https://${"a".repeat(300)}.example`, "invalid", /longer than/);
      await b.node.addPeer(`${a.url}/#${a.did}`);
      await world.until("contact", async () => (await b.peer(a.did))?.connected);
      assert.equal((await b.peer(a.did))?.configured, true);
      const offWeb = await web.start("d", { offWeb: true });
      await assert.rejects(offWeb.node.addPeer(a.url), { code: "invalid", message: /no web client/ });
    }),
  );

  it(
    "are asked again until they answer, also after a restart, also who is added while nobody answers yet",
    inWorld("web late", async (web, world) => {
      const a = await web.start("a");
      web.down.add(a.url);
      const b = await web.start("b", { peers: [a.url] });
      const later = world.identity("later");
      const kept = await b.node.addPeer(`https://later.example#${later.did}`);
      assert.deepEqual([kept.outcome, kept.did], ["kept", later.did]);
      assert.deepEqual([(await b.peer(later.did))?.configured, (await b.peer(later.did))?.state], [true, "new"]);
      await world.simulation.sleep(20_000);
      web.down.delete(a.url);
      await world.until("contact", async () => (await b.peer(a.did))?.connected);
      const again = await web.start("b", { disk: world.kill(b) });
      await web.start("later");
      await world.until("the added one", async () => (await again.peer(later.did))?.connected, 2 * REINTRODUCE_MS);
    }),
  );

  it(
    "are forgotten by URL or DID, and do not come back",
    inWorld("web remove", async (web, world) => {
      const a = await web.start("a");
      const b = await web.start("b");
      const met = async (one: TestNode & { node: RunningNode }): Promise<boolean> => (await one.peer(a.did))?.connected === true;
      await b.node.addPeer(a.url);
      await world.until("contact", () => met(b));
      await b.node.removePeer(`${a.url}/`);
      assert.equal(await b.peer(a.did), undefined);
      const theirs = await a.node.introduction();
      await assert.rejects(b.node.announced(theirs), { name: "NodeError", code: "refused" });
      assert.equal((await b.node.knownRegistry(a.did))?.isolated, true);
      await world.simulation.sleep(3 * REINTRODUCE_MS);
      assert.equal(await b.peer(a.did), undefined);
      const again = await web.start("b", { disk: world.kill(b) });
      await world.simulation.sleep(3 * REINTRODUCE_MS);
      assert.equal(await again.peer(a.did), undefined);
      await again.node.addPeer(a.url);
      await world.until("contact", () => met(again));
      await assert.rejects(again.node.removePeer("https://unknown.example"), { code: "not_found" });
    }),
  );
});
