import assert from "node:assert/strict";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import type { PeerContact, RegistryNode } from "../../src/api.ts";
import { problemOf } from "../../src/membership/contact-problem.ts";
import { ADD_TIMEOUT_MS, PEER_URLS_MAX } from "../../src/membership/introductions.ts";
import { WebError, type WebErrorCode } from "../../src/ports/web.ts";
import { World } from "../node/harness.ts";
import { WebFederation } from "./web-federation.ts";

function inWorld(seed: string, script: (web: WebFederation, world: World) => Promise<void>): () => Promise<void> {
  return () => {
    const world = new World(seed);
    return world.run(() => script(new WebFederation(world), world));
  };
}

async function contact({ node }: { readonly node: RegistryNode }, address: string): Promise<PeerContact | undefined> {
  return (await node.status()).contacts.find((one) => one.address === address);
}

describe("what came of joining", () => {
  it(
    "T43 a wrong pin in the settings shows, with who answered and what to do; it is said once, and tried again",
    inWorld("join wrong pin", async (web, world) => {
      const [a, c] = [await web.start("a"), world.identity("c")];
      const b = await web.start("b", { peers: [`${a.url}#${c.did}`] });
      const seen = await world.until("the refusal", async () => {
        const one = await contact(b, a.url);
        return one?.state === "refused" && one;
      });
      assert.deepEqual([seen.problem?.code, seen.pin, seen.did], ["wrong_pin", c.did, c.did]);
      assert.match(seen.problem?.reason ?? "", new RegExp(`there is ${a.did}, but its pin is ${c.did}`));
      assert.match(seen.problem?.fix ?? "", /correct the pin/);
      const asked = web.count(`introduction ${a.url}`);
      await world.until("another attempt", () => web.count(`introduction ${a.url}`) >= asked + 2);
      assert.ok((await contact(b, a.url))?.nextAttempt !== null || (await contact(b, a.url))?.lastAttempt !== null);
      assert.equal(b.logs(/left out/).length, 1);
      const check = (await b.node.diagnose()).checks.find(({ name }) => name === `contact ${a.url}`);
      assert.equal(check?.state, "warning");
      assert.match(check?.found ?? "", /but its pin is .*tried at 20/);
    }),
  );

  it(
    "a URL that nobody answers is kept without a pin, too, shows why, and is met when it answers, also after a restart",
    inWorld("join later", async (web, world) => {
      const b = await web.start("b");
      const address = "https://later.example";
      const kept = await b.node.addPeer(address);
      assert.ok(kept.outcome === "kept");
      assert.deepEqual([kept.did, kept.problem.code], [null, "unreachable"]);
      const seen = await contact(b, address);
      assert.deepEqual([seen?.state, seen?.did, seen?.problem?.code], ["unreachable", null, "unreachable"]);
      const waitMs = Date.parse(seen?.nextAttempt ?? "") - Date.parse(seen?.lastAttempt ?? "");
      assert.ok(waitMs > 0 && waitMs <= kept.retryMsMax, `${waitMs} ms`);
      const again = await web.start("b", { disk: world.kill(b) });
      await world.until("the attempt", async () => (await contact(again, address))?.state === "unreachable");
      const later = await web.start("later");
      await world.until("contact", async () => (await again.peer(later.did))?.connected);
      const met = await contact(again, address);
      assert.deepEqual([met?.state, met?.did, met?.problem, met?.nextAttempt], ["met", later.did, null, null]);
    }),
  );

  it(
    "says whom it met",
    inWorld("join met", async (web, world) => {
      const [a, b] = [await web.start("a"), await web.start("b")];
      await world.until("a descriptor", () => a.node.introduction().catch(() => undefined));
      assert.deepEqual(await b.node.addPeer(a.url), { outcome: "met", did: a.did, name: "a" });
    }),
  );

  it(
    "T49 who stalls keeps the operator waiting for a bounded time",
    inWorld("join stalled", async (web, world) => {
      const [a, b] = [await web.start("a"), await web.start("b")];
      web.stalled.add(a.url);
      const fromMs = world.simulation.nowMs;
      const kept = await b.node.addPeer(a.url);
      assert.ok(kept.outcome === "kept" && kept.problem.code === "timeout");
      assert.ok(world.simulation.nowMs - fromMs <= ADD_TIMEOUT_MS + 100);
    }),
  );

  it(
    "T1 what somebody answers who proves nothing is refused and not kept",
    inWorld("join untrusted", async (web, world) => {
      const [a, b] = [await web.start("a"), await web.start("b")];
      web.refusals.set(a.url, new WebError("wrong_identity", "the certificate is nobody's"));
      await assert.rejects(b.node.addPeer(a.url), {
        code: "refused",
        message: /a\.example.*nobody's; find out who answers there/,
      });
      assert.equal(await contact(b, a.url), undefined);
      const again = await web.start("b", { disk: world.kill(b) });
      assert.deepEqual((await again.node.status()).contacts, []);
    }),
  );

  it(
    "a URL that is added once more with another pin counts with that one alone",
    inWorld("join repinned", async (web, world) => {
      const [a, b, c] = [await web.start("a"), await web.start("b"), world.identity("c")];
      web.down.add(a.url);
      await b.node.addPeer(`${a.url}#${c.did}`);
      await b.node.addPeer(a.url);
      web.down.delete(a.url);
      const again = await web.start("b", { disk: world.kill(b) });
      await world.until("contact", async () => (await again.peer(a.did))?.connected);
      assert.deepEqual(
        (await again.node.status()).contacts.map(({ address, pin }) => [address, pin]),
        [[a.url, null]],
      );
    }),
  );

  it(
    "a registry without the HTTPS interface shows that it cannot ask",
    inWorld("join off web", async (web) => {
      const b = await web.start("b", { offWeb: true, peers: ["https://a.example"] });
      const seen = await contact(b, "https://a.example");
      assert.deepEqual([seen?.state, seen?.problem?.code, seen?.nextAttempt], ["refused", "no_https", null]);
      assert.equal(b.logs(/left out/).length, 1);
    }),
  );

  it(
    "holds no more URLs than its bound",
    inWorld("join many", async (web) => {
      const peers = Array.from({ length: PEER_URLS_MAX + 1 }, (_, i) => `https://r${i}.example`);
      const b = await web.start("b", { peers });
      assert.equal((await b.node.status()).contacts.length, PEER_URLS_MAX);
      await assert.rejects(b.node.addPeer("https://one-more.example"), { code: "overloaded" });
    }),
  );

  it(
    "a registry that says who it is, and does not take us, shows so",
    inWorld("join refused", async (web, world) => {
      const [a, b] = [await web.start("a"), await web.start("b", { peers: ["https://a.example"] })];
      await world.until("contact", async () => (await a.peer(b.did))?.connected);
      await a.node.removePeer(b.did);
      const seen = await world.until("the refusal", async () => {
        const one = await contact(b, a.url);
        return one?.state === "refused" && one;
      });
      assert.equal(seen.problem?.code, "refused_by_peer");
      assert.match(seen.problem?.reason ?? "", /operator of this registry removed yours/);
      await a.node.addPeer(b.url);
      await world.until("contact again", async () => (await contact(b, a.url))?.problem === null);
    }),
  );

  describe("by multiaddr", () => {
    it(
      "says whom it met, or why not yet, and refuses another key",
      inWorld("join dialled", async (_web, world) => {
        const [a, b] = [await world.start("a"), await world.start("b")];
        const c = world.identity("c");
        const nowhere = `/memory/c/p2p/${c.peerId}`;
        const kept = await b.node.addPeer(nowhere);
        assert.ok(kept.outcome === "kept");
        assert.deepEqual([kept.did, kept.problem.code], [c.did, "unreachable"]);
        const seen = await contact(b, nowhere);
        assert.deepEqual([seen?.state, seen?.did, seen?.problem?.code], ["unreachable", c.did, "unreachable"]);
        const wrong = a.address.replace(a.identity.peerId, world.identity("d").peerId);
        await assert.rejects(b.node.addPeer(wrong), { code: "refused", message: /correct the peer id/ });
        assert.equal(await b.peer(world.identity("d").did), undefined);
        assert.deepEqual(await b.node.addPeer(a.address), { outcome: "met", did: a.did, name: "a" });
        assert.equal((await contact(b, a.address))?.state, "met");
        const again = await world.restart(b, world.kill(b));
        const addresses = (await again.node.status()).contacts.map(({ address }) => address);
        assert.deepEqual(addresses.sort(), [a.address, nowhere].sort());
      }),
    );

    it(
      "T43 tries the address itself of a registry that is met already by another, and refuses one where somebody else answers",
      inWorld("join strayed", async (_web, world) => {
        const [a, b, c] = [await world.start("a"), await world.start("b"), await world.start("c")];
        assert.equal((await b.node.addPeer(a.address)).outcome, "met");
        const nowhere = `/memory/nobody/p2p/${a.identity.peerId}`;
        const kept = await b.node.addPeer(nowhere);
        assert.ok(kept.outcome === "kept");
        assert.deepEqual([kept.did, kept.problem.code], [a.did, "unreachable"]);
        assert.match(kept.problem.reason, /nobody answers .* it is met already, by another way/);
        const states = async (): Promise<unknown[]> =>
          Promise.all([a.address, nowhere].map(async (address) => (await contact(b, address))?.state));
        assert.deepEqual(await states(), ["met", "unreachable"]);
        const elsewhere = c.address.replace(c.identity.peerId, a.identity.peerId);
        await assert.rejects(b.node.addPeer(elsewhere), { code: "refused", message: /correct the peer id/ });
        assert.equal(await contact(b, elsewhere), undefined);
        assert.equal((await b.peer(a.did))?.connected, true);
        const first = (await contact(b, nowhere))?.lastAttempt;
        await world.until("another attempt", async () => (await contact(b, nowhere))?.lastAttempt !== first);
        assert.deepEqual(await states(), ["met", "unreachable"]);
      }),
    );
  });
});

describe("why a URL leads nowhere", () => {
  const said = (error: Error): string[] => {
    const { code, reason, fix } = problemOf("https://a.example", error);
    return [code, reason, fix];
  };
  const failed = (code: string): WebError => new WebError("unreachable", code, { cause: Object.assign(new Error(), { code }) });
  const causes: [what: string, error: Error, code: string, fix: RegExp][] = [
    ["a closed port", failed("ECONNREFUSED"), "unreachable", /check the port, or have that registry started/],
    ["an unknown name", failed("ENOTFOUND"), "unreachable", /check the name/],
    ["a port without TLS", failed("EPROTO"), "no_tls", /port of its HTTPS interface/],
    ["another port without TLS", failed("ERR_SSL_WRONG_VERSION_NUMBER"), "no_tls", /port of its HTTPS interface/],
    ["a port that cuts", failed("ECONNRESET"), "unreachable", /port of its HTTPS interface/],
    ["a lost host", failed("EHOSTUNREACH"), "unreachable", /firewall/],
    ["a clock far away", new ProtocolError("expired", "expired"), "clock", /NTP/],
    ["another document", new ProtocolError("schema", "no descriptor"), "no_registry", /a\.example\/federation\/public/],
    ...(
      [
        ["timeout", "timeout", /firewall/],
        ["throttled", "throttled", /patience/],
        ["wrong_identity", "untrusted", /find out who answers/],
        ["forbidden_address", "redirected", /URL under which the registry itself/],
        ["refused", "no_registry", /check host, port and path/],
        ["too_large", "no_registry", /check host, port and path/],
      ] as [WebErrorCode, string, RegExp][]
    ).map(([code, problem, fix]): [string, Error, string, RegExp] => [code, new WebError(code, code), problem, fix]),
  ];
  for (const [what, error, code, fix] of causes) {
    it(`says what to do about ${what}`, () => {
      const [found, reason, advice] = said(error);
      assert.equal(found, code);
      assert.ok(reason !== "");
      assert.match(advice ?? "", fix);
    });
  }

  it("T51 cuts what others say of themselves", () => {
    assert.ok((said(new WebError("refused", "x".repeat(100_000)))[1] ?? "").length < 500);
  });
});
