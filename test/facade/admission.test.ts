import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { rawHeadersOf } from "../../protocols/http/header-fields.ts";
import { verifyResponse } from "../../protocols/http/signed-response.ts";
import { fromBase64 } from "../../protocols/lib/bytes.ts";
import { CHECKPOINT_PATH } from "../../protocols/http/head-document.ts";
import { CATALOG_SYNC_PATH } from "../../protocols/http/catalog-page.ts";
import { didKey } from "../../protocols/lib/did.ts";
import { MemoryStore } from "../../src/adapters/memory/store.ts";
import { NONCES_MAX, NONCES_RESERVED, OTHER_NONCES_MAX, OTHER_NONCES_RESERVED } from "../../src/facade/limits.ts";
import type { NonceTable } from "../../src/facade/nonces.ts";
import { facadeKey } from "../../src/facade/rows.ts";
import { clock, send, ServedRegistry, signed, TestRegistry, type Received, type Sending } from "./harness.ts";

/** What the fake node answers when admission has let a request through. */
const SERVED = "empty";

/** The neutral element, as a public key: one signature fits many messages. */
const SMALL_ORDER = Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 1 : 0));

describe("the facade: admission of registries", () => {
  let server: ServedRegistry;
  let peer: TestRegistry;

  beforeEach(async () => {
    peer = await TestRegistry.create("peer");
    server = await ServedRegistry.start({ requestsPerMinute: 100 });
    server.node.knows(peer);
  });
  afterEach(() => server.stop());

  const path = CATALOG_SYNC_PATH;
  const ask = (request: Sending, as: TestRegistry | undefined = peer): Promise<Received> => send(server.connect(as), request);

  /** @throws ProtocolError unless `answer` is signed as the one to `request` */
  function verify(request: Sending, { status, body, headers }: Received): void {
    const requestSignature = fromBase64(request.headers?.["x-registry-signature"] as string);
    verifyResponse({ status, body, requestSignature }, rawHeadersOf(headers as never), server.registry.did);
  }

  function changed(request: Required<Sending>, headers: Sending["headers"], body?: Uint8Array): Sending {
    return { ...request, headers: { ...request.headers, ...headers }, ...(body && { body }) };
  }

  it("serves a signed request, signs the answer and says what is left of the budget", async () => {
    const request = signed(peer, server, { path });
    const answer = await ask(request);
    assert.equal(answer.problem?.code, SERVED);
    verify(request, answer);
    assert.match(String(answer.headers["ratelimit"]), /^"registry";r=\d+;t=\d+$/);
    assert.match(String(answer.headers["ratelimit-policy"]), /^"registry";q=100;w=60$/);
  });

  it("T4 no client certificate: refused where identity is required", async () => {
    const answer = await send(server.connect(), signed(peer, server, { path }));
    assert.deepEqual([answer.status, answer.problem?.code], [401, "certificate_required"]);
    const stranger = await TestRegistry.create("stranger");
    const unknown = await send(server.connect(), signed(stranger, server, { path }));
    assert.equal(unknown.problem?.code, "certificate_required");
  });

  it("T4 TLS 1.2: refused where identity is required, and nowhere else", async () => {
    const session = server.connect(peer, { maxVersion: "TLSv1.2" });
    const refused = await send(session, signed(peer, server, { path }));
    assert.deepEqual([refused.status, refused.problem?.code], [403, "tls_too_old"]);
    assert.equal((await send(session, { path: "/federation/public" })).status, 200);
  });

  it("T1 a certificate that another registry's authority made is refused, whoever signed the request", async () => {
    const other = await TestRegistry.create("other");
    server.node.knows(other);
    const answer = await ask(signed(peer, server, { path }), other);
    assert.deepEqual([answer.status, answer.problem?.code], [403, "certificate_refused"]);
    assert.equal(server.node.requestsTaken, 0);
  });

  it("T1 a certificate that a registry issued to an agent does not speak as the registry", async () => {
    for (const agentPath of ["/agent/x", "/operator/x"]) {
      const issued = await peer.credentials.issue({ path: agentPath, lifetimeMs: 60_000 });
      for (const request of [
        signed(peer, server, { path }),
        signed(peer, server, { path: "/federation/public", body: introductionOf(peer) }),
      ]) {
        const answer = await send(server.connect(issued), request);
        assert.deepEqual([answer.status, answer.problem?.code], [403, "wrong_identity"], agentPath);
      }
    }
    assert.equal(server.node.requestsTaken, 0);
    assert.equal(server.node.announcedDescriptors.length, 0);
  });

  it("T6 a session whose bundle was replaced is refused at its next request", async () => {
    const session = server.connect(peer);
    assert.equal((await send(session, signed(peer, server, { path }))).problem?.code, SERVED);
    await peer.credentials.replaceAuthority();
    server.node.knows(peer);
    const answer = await send(session, signed(peer, server, { path }));
    assert.deepEqual([answer.status, answer.problem?.code], [403, "certificate_refused"]);
    assert.equal((await ask(signed(peer, server, { path }))).problem?.code, SERVED, "the new certificate is taken");
  });

  it("T11 a replayed request is refused, also when it comes twice at once", async () => {
    const request = signed(peer, server, { path });
    const session = server.connect(peer);
    const answers = await Promise.all([send(session, request), send(session, request)]);
    assert.deepEqual(new Set(answers.map(({ problem }) => problem?.code)), new Set([SERVED, "replayed"]));
    const replayed = await ask(request);
    assert.equal(replayed.status, 401);
    verify(request, replayed);
  });

  it("T11 a replayed request is refused after a restart, and nobody else is", async () => {
    const store = new MemoryStore();
    const before = await ServedRegistry.start({ registry: server.registry, store });
    before.node.knows(peer);
    const request = signed(peer, before, { path, authority: "registry.example" });
    const urls = (): string[] => ["https://registry.example"];
    await before.stop();
    const first = await ServedRegistry.start({ registry: server.registry, store, urls });
    first.node.knows(peer);
    assert.equal((await send(first.connect(peer), request)).problem?.code, SERVED);
    await first.stop();
    const second = await ServedRegistry.start({ registry: server.registry, store, urls });
    second.node.knows(peer);
    try {
      assert.equal((await send(second.connect(peer), request)).problem?.code, "replayed");
      const fresh = signed(peer, second, { path, authority: "registry.example", timestampMs: clock.now() - 20_000 });
      assert.equal((await send(second.connect(peer), fresh)).problem?.code, SERVED);
    } finally {
      await second.stop();
    }
  });

  it("T11 no request is served while the store does not keep nonces", async () => {
    const store = new MemoryStore({ beforeWrite: () => Promise.reject(new Error("no space left")) });
    const full = await ServedRegistry.start({ store });
    full.node.knows(peer);
    try {
      const answer = await send(full.connect(peer), signed(peer, full, { path }));
      assert.deepEqual([answer.status, answer.problem?.code], [503, "storage"]);
      assert.equal(answer.headers["retry-after"], "2");
    } finally {
      await full.stop();
    }
  });

  /** As many nonces of strangers as they may have. */
  async function filled(table: NonceTable, count: number): Promise<MemoryStore> {
    const store = new MemoryStore();
    const row = Buffer.alloc(12);
    row.writeUIntBE(Math.floor(clock.now() / 5_000), 0, 6);
    await store.batch([{ type: "put", key: facadeKey(table, row), value: randomBytes(count * 32) }], { durable: true });
    return store;
  }

  it("T19 T25 strangers that filled their part of the nonces do not shut out whom the operator named", async () => {
    const crowded = await ServedRegistry.start({ store: await filled("registryNonces", NONCES_MAX - NONCES_RESERVED) });
    const stranger = await TestRegistry.create("stranger");
    crowded.node.knows(peer, { isWanted: true });
    crowded.node.knows(stranger);
    try {
      const codes: (string | undefined)[] = [];
      for (const who of [stranger, peer]) {
        codes.push((await send(crowded.connect(who), signed(who, crowded, { path }))).problem?.code);
      }
      assert.deepEqual(codes, ["too_many_nonces", SERVED]);
    } finally {
      await crowded.stop();
    }
  });

  it("T12 a request for another registry or address is refused and costs nobody's budget", async () => {
    const other = await TestRegistry.create("other");
    const audience = await ask(signed(peer, server, { path, audience: other.did }));
    assert.deepEqual([audience.status, audience.problem?.code], [421, "wrong_audience"]);
    const authority = await ask(signed(peer, server, { path, authority: "other.example" }));
    assert.deepEqual([authority.status, authority.problem?.code], [421, "wrong_authority"]);
    assert.equal(server.node.requestsTaken, 0);
  });

  it("T14 a timestamp outside the skew is refused", async () => {
    for (const offMs of [-31_000, 31_000]) {
      const answer = await ask(signed(peer, server, { path, timestampMs: clock.now() + offMs }));
      assert.deepEqual([answer.status, answer.problem?.code], [401, "clock_skew"]);
    }
    assert.equal(server.node.requestsTaken, 0);
  });

  it("T15 a signed request with any field changed is refused", async () => {
    const request = signed(peer, server, { path });
    const changes: Sending["headers"][] = [
      { "x-registry-nonce": randomBytes(16).toString("base64url") },
      { "x-registry-timestamp": String(clock.now() - 5_000) },
      { ":path": `${path}?a=1` },
    ];
    for (const headers of changes) {
      const answer = await ask({ ...changed(request, headers), path: String(headers?.[":path"] ?? path) });
      assert.deepEqual([answer.status, answer.problem?.code], [401, "bad_signature"], JSON.stringify(headers));
      assert.throws(() => verify(request, answer), "nobody can show it as the answer to the request that was signed");
    }
    const other = await TestRegistry.create("other");
    server.node.knows(other);
    const renamed = await ask(changed(request, { "x-registry-id": other.did }));
    assert.equal(renamed.problem?.code, "certificate_refused");
    assert.equal((await ask(request)).problem?.code, SERVED, "none of these used up its nonce");
  });

  it("T16 a body swapped under a valid header is refused", async () => {
    const request = signed(peer, server, { path });
    const answer = await ask(changed(request, {}, Buffer.from('{"cursor":"x"}')));
    assert.deepEqual([answer.status, answer.problem?.code], [400, "bad_digest"]);
    assert.equal((await ask(request)).problem?.code, SERVED);
  });

  it("T16 a body that the framework would not read is not served unseen", async () => {
    const empty = new Uint8Array(0);
    const read = signed(peer, server, { method: "GET", path: CHECKPOINT_PATH, body: empty });
    const withBody = await ask({ ...read, body: "{}" });
    assert.deepEqual([withBody.status, withBody.problem?.code], [413, "too_large"]);
    assert.equal((await ask(read)).problem?.code, SERVED, "the stream ends in a frame of its own, without a byte");
    const untyped = signed(peer, server, { path, body: empty });
    const { "content-type": _none, ...headers } = untyped.headers;
    const swapped = await ask({ ...untyped, headers, body: "{}" });
    assert.deepEqual([swapped.status, swapped.problem?.code], [400, "bad_digest"]);
  });

  it("T17 duplicate and folded headers are refused", async () => {
    const request = signed(peer, server, { path });
    const nonce = request.headers["x-registry-nonce"] as string;
    for (const value of [[nonce, nonce], `${nonce}, ${nonce}`]) {
      const answer = await ask(changed(request, { "x-registry-nonce": value }));
      assert.deepEqual([answer.status, answer.problem?.code], [400, "bad_header"]);
    }
    const host = await ask(changed(request, { host: "other.example" }));
    assert.deepEqual([host.status, host.problem?.code], [400, "bad_header"]);
  });

  it("T18 junk base64 and keys of small order are refused", async () => {
    const request = signed(peer, server, { path });
    const signature = request.headers["x-registry-signature"] as string;
    const junk = await ask(changed(request, { "x-registry-signature": `${signature.slice(0, -2)}*=` }));
    assert.deepEqual([junk.status, junk.problem?.code], [400, "bad_header"]);
    const small = await ask(changed(request, { "x-registry-id": didKey(SMALL_ORDER) }));
    assert.deepEqual([small.status, small.problem?.code], [400, "bad_header"]);
  });

  it("refuses an unsigned request, an unknown registry, an isolated one and one over its limit", async () => {
    assert.equal((await ask({ method: "POST", path, body: "{}" })).problem?.code, "signature_required");
    const stranger = await TestRegistry.create("stranger");
    const unknown = await ask(signed(stranger, server, { path }), stranger);
    assert.deepEqual([unknown.status, unknown.problem?.code], [403, "unknown_registry"]);
    server.node.knows(peer, { isolated: true });
    const isolated = await ask(signed(peer, server, { path }));
    assert.deepEqual([isolated.status, isolated.problem?.code], [403, "isolated"]);
    assert.equal(server.node.requestsTaken, 0);
    server.node.knows(peer);
    const session = server.connect(peer);
    const many = await Promise.all(Array.from({ length: 110 }, () => send(session, signed(peer, server, { path }))));
    const refused = many.filter(({ status }) => status === 429);
    assert.ok(refused.length >= 5, `${refused.length} refused`);
    assert.equal(many.length - refused.length, many.filter(({ problem }) => problem?.code === SERVED).length);
    assert.match(String(refused[0]?.headers["retry-after"]), /^[1-9]\d*$/);
  });

  describe("of a stranger", () => {
    const announcement = (who: TestRegistry): Required<Sending> =>
      signed(who, server, { path: "/federation/public", body: introductionOf(who) });

    it("takes an announcement whose certificate is of the bundle in its descriptor", async () => {
      const stranger = await TestRegistry.create("stranger");
      const request = announcement(stranger);
      const answer = await ask(request, stranger);
      assert.equal(answer.status, 200, answer.body.toString());
      const [descriptor = []] = server.node.announcedDescriptors;
      assert.ok(Buffer.from(request.body).includes(Buffer.from(descriptor)));
      assert.ok(answer.headers["x-registry-signature"]);
    });

    it("T19 takes it when agents' keys filled their part of the nonces", async () => {
      const crowded = await ServedRegistry.start({
        store: await filled("otherNonces", OTHER_NONCES_MAX - OTHER_NONCES_RESERVED),
      });
      const stranger = await TestRegistry.create("stranger");
      const body = introductionOf(stranger);
      try {
        const answer = await send(crowded.connect(stranger), signed(stranger, crowded, { path: "/federation/public", body }));
        assert.equal(answer.status, 200, answer.body.toString());
      } finally {
        await crowded.stop();
      }
    });

    it("T1 refuses one whose certificate is another registry's, and one that brings another's descriptor", async () => {
      const stranger = await TestRegistry.create("stranger");
      const certificate = await ask(announcement(stranger), peer);
      assert.equal(certificate.problem?.code, "certificate_refused");
      const foreign = await ask(signed(peer, server, { path: "/federation/public", body: introductionOf(stranger) }));
      assert.equal(foreign.problem?.code, "wrong_identity");
      assert.equal(server.node.announcedDescriptors.length, 0);
    });

    it("limits strangers by address before their descriptor is opened", async () => {
      const session = server.connect(peer);
      const junk = signed(peer, server, { path: "/federation/public" });
      const answers = await Promise.all(Array.from({ length: 60 }, () => send(session, junk)));
      const counts = Map.groupBy(answers, ({ status }) => status);
      assert.deepEqual(new Set(counts.keys()), new Set([400, 429]));
      assert.ok((counts.get(400)?.length ?? 0) < 50);
      assert.equal((await ask(signed(peer, server, { path }))).problem?.code, SERVED, "a known registry is not touched by it");
    });
  });
});

function introductionOf(registry: TestRegistry): Uint8Array {
  return Buffer.from(`{"descriptor":${Buffer.from(registry.descriptor()).toString()}}`);
}
