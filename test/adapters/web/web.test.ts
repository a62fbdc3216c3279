import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { commit, publish } from "../../protocols/checkpoint/support.ts";
import { encodePage } from "../../../protocols/http/catalog-documents.ts";
import { decodePageRequest } from "../../../protocols/http/page-request.ts";
import { encodeHeadDocument } from "../../../protocols/http/head-document.ts";
import { decodeIntroduction, encodeHelloDocument } from "../../../protocols/http/introduction-documents.ts";
import { encodeProblem, pageRefusalProblem } from "../../../protocols/http/problem.ts";
import { WAIT_SECONDS_MAX } from "../../../protocols/http/head-wait.ts";
import { REQUEST_TIMEOUT_MS } from "../../../src/adapters/web/web.ts";
import type { Web } from "../../../src/ports/web.ts";
import { HURRY, hurried, leafOf, newAuthority, PeerServer, signal, type TestCredentials, validFor, webOf } from "./support.ts";

const { head } = publish([commit()]);
const HEAD = { body: encodeHeadDocument(head) };

describe("requests to other registries", () => {
  let peer: PeerServer;
  let web: Web;
  let mine: TestCredentials;

  beforeEach(async () => {
    peer = await PeerServer.start("asked");
    ({ web, credentials: mine } = await webOf());
  });

  afterEach(async () => {
    await web.close();
    await peer.close();
  });

  it("are signed, over one HTTP/2 connection with both certificates, and their answers are read", async () => {
    const page = { changes: [], head, syncedRoot: new Uint8Array(32), syncedAtMs: 1_760_000_000_000 };
    const request = { limit: 10, proofs: "multi" as const, logSize: 0 };
    peer.answer = ({ path, body }) => {
      if (path === "/federation/checkpoint") return HEAD;
      if (path === "/federation/sync/catalog") return { body: encodePage(page, decodePageRequest(body)) };
      assert.equal(path, "/federation/public");
      const { descriptor } = decodeIntroduction(body);
      return { body: encodeHelloDocument({ descriptor: peer.describe(), head, known: [descriptor], heads: [] }) };
    };
    const descriptor = peer.describe();
    const [hello, newest, got] = await Promise.all([
      web.announce(peer.peer(), { descriptor, head }, { signal: signal() }),
      web.head(peer.peer(), { signal: signal() }),
      web.catalogPage(peer.peer(), request, { signal: signal() }),
    ]);
    assert.deepEqual(hello.known.map(Buffer.from), [Buffer.from(descriptor)]);
    assert.equal(newest?.note, head.note);
    assert.ok(typeof got === "object" && got.head.note === head.note);
    assert.deepEqual([peer.calls.length, peer.handshakes], [3, 1]);
    for (const { signed, client } of peer.calls) {
      assert.equal(signed?.id, mine.identity.did);
      assert.ok(client?.startsWith(mine.identity.spiffeId));
    }
  });

  it("may wait for news: as their query says, passed by others on the same connection, and with time for it", async () => {
    const { web: hasty } = await webOf({ clock: hurried() });
    const page = { changes: [], head, syncedRoot: new Uint8Array(32), syncedAtMs: 1_760_000_000_000 };
    const news = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    peer.answer = async ({ path, body }) => {
      if (path === "/federation/sync/catalog") return { body: encodePage(page, decodePageRequest(body)) };
      assert.equal(path, "/federation/checkpoint?epoch=0&size=1&wait=25");
      reached.resolve();
      await news.promise;
      return HEAD;
    };
    const wait = { epoch: 0, size: 1, seconds: WAIT_SECONDS_MAX };
    try {
      const waiting = hasty.head(peer.peer(), { signal: signal(), wait });
      await reached.promise;
      // So long a request without a wait takes at most.
      const passed = once(AbortSignal.timeout(REQUEST_TIMEOUT_MS / HURRY), "abort");
      assert.equal(typeof (await hasty.catalogPage(peer.peer(), { limit: 1, proofs: "multi" }, { signal: signal() })), "object");
      await passed;
      news.resolve();
      assert.equal((await waiting)?.note, head.note);
      assert.equal(peer.handshakes, 1);
      peer.answer = () => undefined;
      await assert.rejects(hasty.head(peer.peer(), { signal: signal(), wait }), { code: "timeout" });
    } finally {
      await hasty.close();
    }
  });

  it("go below the path of a URL", async () => {
    peer.answer = () => HEAD;
    await web.head(peer.peer({ url: `${peer.url}/registry/` }), { signal: signal() });
    assert.equal(peer.calls[0]?.path, "/registry/federation/checkpoint");
  });

  it("T15 an answer that its registry did not sign for this request is refused", async () => {
    let last: Record<string, string> = {};
    peer.answer = () => HEAD;
    await web.head(peer.peer(), { signal: signal() });
    const wrong: (typeof peer.twist)[] = [
      (headers) => ({ ...headers, "x-registry-signature": "" }),
      (headers) => ({ ...headers, "x-registry-id": mine.identity.did }),
      (headers) => ({ ...headers, "content-digest": "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:" }),
      (headers) => ((last = headers), { ...headers, "x-registry-signature": "A".repeat(86) + "==" }),
      // Signed for the request before.
      () => last,
    ];
    for (const twist of wrong) {
      peer.twist = twist;
      await assert.rejects(web.head(peer.peer(), { signal: signal() }), { name: "WebError", code: "wrong_identity" });
    }
  });

  it("T1 a certificate in the peer's name by another's authority is refused before anything is sent", async () => {
    const other = await newAuthority(mine.identity);
    peer.impostor = await leafOf(peer.identity, other, "asked");
    await assert.rejects(web.head(peer.peer(), { signal: signal() }), { code: "wrong_identity", message: /127\.0\.0\.1/ });
    // A registry's own good certificate does not serve for another one.
    peer.impostor = await leafOf(mine.identity, mine.authority, "asker");
    await assert.rejects(web.head(peer.peer(), { signal: signal() }), { code: "wrong_identity" });
    assert.equal(peer.calls.length, 0);
  });

  it("T3 T5 a connection ends with the peer's certificate, and an expired one is refused", async () => {
    await peer.credentials.rotate(validFor(2_000));
    peer.answer = () => HEAD;
    await web.head(peer.peer(), { signal: signal() });
    const [session] = peer.sessions;
    assert.ok(session);
    await once(session, "close");
    await assert.rejects(web.head(peer.peer(), { signal: signal() }), { code: "wrong_identity", message: /ended/ });
    assert.equal(peer.calls.length, 1);
  });

  it("T6 a connection is not used any more when the peer's bundle has changed, nor is its session resumed", async () => {
    peer.answer = () => HEAD;
    await web.head(peer.peer(), { signal: signal() });
    const [session] = peer.sessions;
    assert.ok(session);
    const closed = once(session, "close");
    const before = peer.credentials.authority;
    await peer.credentials.rotate(undefined, await newAuthority(peer.identity));
    const renewed = peer.peer();
    await peer.credentials.rotate(undefined, before);
    await assert.rejects(web.head(renewed, { signal: signal() }), { code: "wrong_identity" });
    await closed;
  });

  it("T7 no request fails while both sides renew their certificates and the server ends its sessions", async () => {
    peer.answer = () => HEAD;
    let going = true;
    const askers = Array.from({ length: 8 }, async () => {
      let count = 0;
      for (; going; count++) assert.ok(await web.head(peer.peer(), { signal: signal() }));
      return count;
    });
    for (let i = 0; i < 12; i++) {
      await mine.rotate();
      await peer.credentials.rotate();
      for (const session of peer.sessions) session.close();
      await web.head(peer.peer(), { signal: signal() });
    }
    going = false;
    const counts = await Promise.all(askers);
    assert.ok(
      counts.every((count) => count > 0),
      counts.join(),
    );
    assert.ok(peer.sessionsMade > 12, `${peer.sessionsMade} sessions`);
  });

  it("T7 a request that meets a session which dies is made once more, with a nonce of its own", async () => {
    peer.answer = () => HEAD;
    await web.head(peer.peer(), { signal: signal() });
    let dying = true;
    peer.answer = ({ session }) => {
      if (!dying) return HEAD;
      dying = false;
      session.destroy();
      return undefined;
    };
    assert.ok(await web.head(peer.peer(), { signal: signal() }));
    const nonces = peer.calls.map(({ signed }) => Buffer.from(signed?.nonce ?? "").toString("hex"));
    assert.equal(new Set(nonces).size, 3);
    dying = true;
    const second = peer.answer;
    peer.answer = (call) => ((dying = true), second(call));
    await assert.rejects(web.head(peer.peer(), { signal: signal() }), { code: "unreachable" });
  });

  it("says what was refused, and when to come again", async () => {
    const answer = (status: number, code: string, headers = {}): void => {
      peer.answer = () => ({ status, headers, body: encodeProblem({ code, status, detail: "Not this way." }) });
    };
    answer(429, "rate_limited", { "retry-after": "7" });
    await assert.rejects(web.head(peer.peer(), { signal: signal() }), { code: "throttled", retryAfterMs: 7_000 });
    answer(503, "busy", { "retry-after": "Tue, 01 Jan 2030 00:00:00 GMT" });
    await assert.rejects(web.head(peer.peer(), { signal: signal() }), { code: "throttled", retryAfterMs: 5_000 });
    answer(403, "isolated");
    await assert.rejects(web.head(peer.peer(), { signal: signal() }), { code: "refused", message: /403 isolated: Not this way/ });
    answer(404, "empty");
    assert.equal(await web.head(peer.peer(), { signal: signal() }), undefined);
    peer.answer = () => ({ status: 502, body: Buffer.alloc(100_000, "<html>") });
    await assert.rejects(web.head(peer.peer(), { signal: signal() }), { code: "refused", message: /answers 502$/ });
    const problem = pageRefusalProblem("unknown_base");
    peer.answer = () => ({ status: problem.status, body: encodeProblem(problem) });
    const request = { limit: 1, proofs: "none" as const };
    assert.equal(await web.catalogPage(peer.peer(), request, { signal: signal() }), "unknown_base");
  });

  it("T51 T52 takes no redirect, no coded content, nothing endless and nothing of a wrong form", async () => {
    const cases: readonly (readonly [typeof peer.answer, object])[] = [
      [() => ({ status: 307, headers: { location: "https://127.0.0.1:1/" } }), { code: "forbidden_address" }],
      [() => ({ headers: { "content-encoding": "gzip" }, body: Buffer.alloc(10) }), { code: "bad_answer" }],
      [() => ({ body: Buffer.alloc(1_000_000, " ") }), { code: "too_large" }],
      [() => ({ headers: { "content-length": "99999999" } }), { code: "too_large" }],
      [() => ({ body: Buffer.from("{") }), { name: "ProtocolError", code: "not_json" }],
    ];
    for (const [answer, expected] of cases) {
      peer.answer = answer;
      await assert.rejects(web.head(peer.peer(), { signal: signal() }), expected);
    }
    peer.answer = () => HEAD;
    assert.ok(await web.head(peer.peer(), { signal: signal() }));
  });

  it("T36 gives up a peer that does not answer, does not end its answer, or does not complete a handshake", async () => {
    const { web: hasty } = await webOf({ clock: hurried() });
    try {
      peer.answer = () => undefined;
      await assert.rejects(hasty.head(peer.peer(), { signal: signal() }), { code: "timeout" });
      peer.answer = ({ stream }) => {
        stream.respond({ ":status": 200 });
        stream.write("{");
        return undefined;
      };
      await assert.rejects(hasty.head(peer.peer(), { signal: signal() }), { code: "timeout" });
      const deaf = createServer(() => undefined).listen(0, "127.0.0.1");
      await once(deaf, "listening");
      const url = `https://127.0.0.1:${(deaf.address() as AddressInfo).port}`;
      await assert.rejects(hasty.head(peer.peer({ url }), { signal: signal() }), { code: "timeout" });
      deaf.close();
      const controller = new AbortController();
      peer.answer = () => (controller.abort(new Error("no longer wanted")), undefined);
      await assert.rejects(web.head(peer.peer(), { signal: controller.signal }), {
        code: "unreachable",
        message: /no longer wanted/,
      });
    } finally {
      await hasty.close();
    }
  });

  it("T52 a URL that another registry named is not requested where it leads inside", async () => {
    peer.answer = () => HEAD;
    const said = peer.peer({ named: false });
    await assert.rejects(web.head(said, { signal: signal() }), { code: "forbidden_address" });
    await assert.rejects(web.head({ ...said, url: `https://localhost:${peer.port}` }, { signal: signal() }), {
      code: "forbidden_address",
    });
    assert.equal(peer.handshakes, 0);
    const { web: inside } = await webOf({ allowPrivateAddresses: true });
    assert.ok(await inside.head(said, { signal: signal() }));
    await inside.close();
  });
});
