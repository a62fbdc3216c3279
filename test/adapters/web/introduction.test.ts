import assert from "node:assert/strict";
import { openDescriptor, signDescriptor } from "../../../protocols/descriptor/codec.ts";
import { commit, publish } from "../../protocols/checkpoint/support.ts";
import { decodeIntroduction, encodeIntroduction } from "../../../protocols/http/introduction-documents.ts";
import { createNames } from "../../../src/adapters/names/names.ts";
import { fetchJson } from "../../../src/adapters/web/fetch-json.ts";
import { systemClock } from "../../../src/adapters/system/clock.ts";
import { createRegistryIdentity } from "../../../src/identity/registry-identity.ts";
import type { Web } from "../../../src/ports/web.ts";
import { hurried, leafOf, newAuthority, PeerServer, signal, webOf } from "./support.ts";
import { publicCertificate, type PublicCertificate } from "./public-certificate.ts";

describe("who answers at a URL", () => {
  let peer: PeerServer;
  let web: Web;
  let site: PublicCertificate;

  before(async () => {
    site = await publicCertificate(["localhost", "127.0.0.1"]);
  });

  beforeEach(async () => {
    peer = await PeerServer.start("asked");
    peer.answer = ({ path, method }) => {
      assert.deepEqual([method, path], ["GET", "/federation/public"]);
      return { body: peer.introduction() };
    };
    ({ web } = await webOf({ roots: [site.root] }));
  });

  afterEach(async () => {
    await web.close();
    await peer.close();
  });

  const ask = (url = peer.url, named = true): ReturnType<Web["introduction"]> =>
    web.introduction({ url, named }, { signal: signal() });

  it("is told by its descriptor, and proved by an SVID of that registry", async () => {
    const { head } = publish([commit()]);
    peer.answer = () => ({ body: encodeIntroduction({ descriptor: peer.describe(), head }) });
    const introduction = await ask();
    assert.equal(openDescriptor(introduction.descriptor, Date.now()).did, peer.identity.did);
    assert.equal(introduction.head?.note, head.note);
    // A stranger is not shown who asks.
    assert.equal(peer.calls[0]?.client, undefined);
  });

  it("is proved by a certificate of the public web for its host, and by no other", async () => {
    peer.webCertificate = site.leaf;
    const { descriptor } = await ask(`https://localhost:${peer.port}`);
    assert.equal(openDescriptor(descriptor, Date.now()).did, peer.identity.did);
    peer.webCertificate = (await publicCertificate(["elsewhere.example"], site)).leaf;
    await assert.rejects(ask(`https://localhost:${peer.port}`), { code: "wrong_identity" });
    peer.webCertificate = (await publicCertificate(["localhost"])).leaf;
    await assert.rejects(ask(`https://localhost:${peer.port}`), { code: "wrong_identity" });
  });

  it("T1 is refused when the certificate is another registry's, or of an authority that the descriptor does not name", async () => {
    const other = await webOf();
    const theirs = createRegistryIdentity(Buffer.alloc(32, 9), "asked");
    const { did, name, peerId, spiffeId } = theirs;
    // A descriptor of its own key that points to the bundle of the server: the key of the trust domain decides.
    const now = Date.now();
    const fields = { did, name, peerId, spiffeId, multiaddrs: [], sequence: 1, issuedAt: now, expiresAt: now + 60_000 };
    const stolen = signDescriptor({ ...fields, catalog: { epoch: 0 }, bundle: peer.credentials.bundle() }, (bytes) =>
      theirs.sign(bytes),
    );
    peer.answer = () => ({ body: encodeIntroduction({ descriptor: stolen }) });
    await assert.rejects(ask(), { code: "wrong_identity" });
    peer.answer = () => ({ body: peer.introduction({ bundle: other.credentials.bundle() }) });
    await assert.rejects(ask(), { code: "wrong_identity" });
    peer.answer = () => ({ body: peer.introduction() });
    peer.impostor = await leafOf(peer.identity, await newAuthority(peer.identity), "asked");
    await assert.rejects(ask(`https://localhost:${peer.port}`), { code: "wrong_identity" });
    await other.web.close();
  });

  it("T51 is refused for a descriptor that does not hold, and for what is none", async () => {
    const past = Date.now() - 10 * 86_400_000;
    peer.answer = () => ({ body: peer.introduction({ issuedAt: past, expiresAt: past + 1_000 }) });
    await assert.rejects(ask(), { name: "ProtocolError", code: "expired" });
    peer.answer = () => ({ body: Buffer.from('{"descriptor":{}}') });
    await assert.rejects(ask(), { name: "ProtocolError", code: "schema" });
    peer.answer = () => ({ body: Buffer.alloc(4_000_000, 0x20) });
    await assert.rejects(ask(), { code: "too_large" });
    peer.answer = () => ({ status: 503, headers: { "retry-after": "2" } });
    await assert.rejects(ask(), { code: "throttled", retryAfterMs: 2_000 });
    const { descriptor } = decodeIntroduction(peer.introduction());
    const { signature: _, ...unsigned } = JSON.parse(Buffer.from(descriptor).toString()) as Record<string, unknown>;
    peer.answer = () => ({
      body: Buffer.from(JSON.stringify({ descriptor: { ...unsigned, signature: "A".repeat(86) + "==" } })),
    });
    await assert.rejects(ask(), { name: "ProtocolError", code: "bad_signature" });
  });

  it("T52 is not asked at an address inside unless the operator named it", async () => {
    await assert.rejects(ask(peer.url, false), { code: "forbidden_address" });
    await assert.rejects(ask(`https://localhost:${peer.port}`, false), { code: "forbidden_address" });
    assert.equal(peer.handshakes, 0);
    await assert.rejects(ask("https://127.0.0.1:1"), { code: "unreachable" });
  });
});

describe("JSON from a URL that somebody gave", () => {
  let peer: PeerServer;
  let site: PublicCertificate;

  before(async () => {
    site = await publicCertificate(["localhost"]);
    peer = await PeerServer.start("site");
    peer.webCertificate = site.leaf;
  });

  after(() => peer.close());

  const get = (path: string, more = {}): ReturnType<typeof fetchJson> =>
    fetchJson(`https://localhost:${peer.port}${path}`, {
      ...{ clock: systemClock(), signal: signal(), allowPrivate: true, roots: [site.root] },
      lookup: createNames({ clock: systemClock() }).named,
      ...more,
    });

  it("is fetched whole, and only as JSON", async () => {
    peer.answer = ({ path }) => ({ body: Buffer.from(JSON.stringify({ path })) });
    assert.deepEqual(await get("/.well-known/did.json?x=1"), { path: "/.well-known/did.json?x=1" });
    peer.answer = () => ({ body: Buffer.from('{"a":1,"a":2}') });
    await assert.rejects(get("/"), { name: "ProtocolError", code: "duplicate_key" });
    peer.answer = () => ({ status: 404 });
    await assert.rejects(get("/"), { code: "refused" });
  });

  it("T52 is not fetched from inside, by redirect, without end, or from who cannot prove its name", async () => {
    peer.answer = () => ({ body: Buffer.from("{}") });
    const { handshakes } = peer;
    await assert.rejects(get("/", { allowPrivate: false }), { code: "forbidden_address" });
    assert.equal(peer.handshakes, handshakes);
    await assert.rejects(get("/", { roots: undefined }), { code: "wrong_identity" });
    peer.answer = () => ({ status: 302, headers: { location: "https://169.254.169.254/" } });
    await assert.rejects(get("/"), { code: "forbidden_address" });
    peer.answer = () => ({ body: Buffer.alloc(100_000, 0x20) });
    await assert.rejects(get("/"), { code: "too_large" });
    peer.answer = () => undefined;
    await assert.rejects(get("/", { clock: hurried() }), { code: "timeout" });
  });
});
