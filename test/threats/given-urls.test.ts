import assert from "node:assert/strict";
import type { LookupAddress } from "node:dns";
import { fetchJson } from "../../src/adapters/web/fetch-json.ts";
import { createNames, type NameLookup } from "../../src/adapters/names/names.ts";
import type { Guard } from "../../src/adapters/web/guard.ts";
import { systemClock } from "../../src/adapters/system/clock.ts";
import { publicCertificate, type PublicCertificate } from "../adapters/web/public-certificate.ts";
import { PeerServer, signal, webOf } from "../adapters/web/support.ts";

/** Gives one answer after the other, as a name does that is bound anew between check and use; the last one stays. */
function rebinding(...answers: readonly string[]): { lookup: NameLookup; count: () => number } {
  let count = 0;
  const lookup = async (): Promise<LookupAddress[]> => {
    const address = answers[Math.min(count++, answers.length - 1)] as string;
    return [{ address, family: 4 }];
  };
  return { lookup, count: () => count };
}

describe("threats: URLs that others gave", () => {
  let inside: PeerServer;
  let site: PublicCertificate;

  before(async () => {
    site = await publicCertificate(["localhost", "site.example", "127.0.0.1"]);
    inside = await PeerServer.start("inside");
    inside.webCertificate = site.leaf;
    inside.answer = () => ({ body: Buffer.from('{"secret":1}') });
  });

  beforeEach(() => {
    inside.handshakes = 0;
  });

  after(() => inside.close());

  const { given } = createNames({ clock: systemClock() });
  const fetched = (url: string, guard: Partial<Guard>): Promise<unknown> =>
    fetchJson(url, { clock: systemClock(), signal: signal(), roots: [site.root], allowPrivate: false, lookup: given, ...guard });

  it("T52 a private address is not fetched, however the URL spells or hides it", async () => {
    const spelt = ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]", "localhost"];
    for (const host of spelt) {
      const url = `https://${host}:${inside.port}/`;
      await assert.rejects(fetched(url, { allowPrivate: false }), { name: "WebError", code: "forbidden_address" }, host);
    }
    assert.equal(inside.handshakes, 0);
    assert.deepEqual(await fetched(`https://localhost:${inside.port}/`, { allowPrivate: true }), { secret: 1 });
    assert.equal(inside.handshakes, 1);
  });

  it("T52 a name is resolved once for each connection, and the connection is made to that address and no other", async () => {
    const url = `https://site.example:${inside.port}/`;
    const turned = rebinding("127.0.0.1", "198.51.100.1");
    assert.deepEqual(await fetched(url, { allowPrivate: true, lookup: turned.lookup }), { secret: 1 });
    assert.equal(turned.count(), 1);
    const hidden = rebinding("10.0.0.1", "127.0.0.1");
    await assert.rejects(fetched(url, { allowPrivate: false, lookup: hidden.lookup }), { code: "forbidden_address" });
    assert.equal(hidden.count(), 1);
    assert.equal(inside.handshakes, 1);
  });

  it("T52 the web faces that registries name of themselves are held to it, whatever is asked of them", async () => {
    const { web } = await webOf();
    const said = inside.peer({ named: false });
    const descriptor = inside.describe();
    const options = { signal: signal() };
    const asked = [
      web.introduction(said, options),
      web.announce(said, { descriptor }, options),
      web.head(said, options),
      web.catalogPage(said, { limit: 1, proofs: "none" }, options),
    ];
    for (const answer of asked) await assert.rejects(answer, { name: "WebError", code: "forbidden_address" });
    assert.equal(inside.handshakes, 0);
    await web.close();
  });
});
