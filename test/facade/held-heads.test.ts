import assert from "node:assert/strict";
import { once } from "node:events";
import type { ClientHttp2Session } from "node:http2";
import { rawHeadersOf } from "../../protocols/http/header-fields.ts";
import { CHECKPOINT_PATH, decodeHeadDocument } from "../../protocols/http/head-document.ts";
import { encodeHeadWait, WAIT_SECONDS_MAX, type HeadWait } from "../../protocols/http/head-wait.ts";
import { verifyResponse } from "../../protocols/http/signed-response.ts";
import { fromBase64 } from "../../protocols/lib/bytes.ts";
import { HELD_PER_REGISTRY_MAX, HeldHeads } from "../../src/facade/held-heads.ts";
import { ANSWER_BYTES_PER_ADDRESS_MAX, CLOSE_DRAIN_MS_MAX } from "../../src/facade/limits.ts";
import type { OwnVersion } from "../../src/federation-api.ts";
import { commit, publish } from "../protocols/checkpoint/support.ts";
import { AdmissionNode, clock, send, ServedRegistry, signed, TestRegistry, type Received } from "./harness.ts";
import { TestClock } from "./test-clock.ts";

const COMMITS = [commit(), commit()];
/** So large that two of them fill what may wait for one address. */
const ANSWER_BYTES = ANSWER_BYTES_PER_ADDRESS_MAX / 2 + 1;

function versionOf(size: number): OwnVersion {
  return { head: publish(COMMITS.slice(0, size)).head, epoch: 0, size };
}

describe("the facade: waiting for news", () => {
  let server: ServedRegistry;
  let peer: TestRegistry;
  let testClock: TestClock;
  const known: HeadWait = { epoch: 0, size: 1, seconds: WAIT_SECONDS_MAX };

  beforeEach(async () => {
    testClock = new TestClock();
    peer = await TestRegistry.create("peer");
    server = await ServedRegistry.start({ clock: testClock });
    server.node.knows(peer);
    server.node.publish(versionOf(1));
  });
  afterEach(() => server.stop());

  function ask(session: ClientHttp2Session, wait: HeadWait): Promise<Received> {
    const path = CHECKPOINT_PATH + encodeHeadWait(wait);
    return send(session, signed(peer, server, { method: "GET", path, body: new Uint8Array(0) }));
  }

  /** Resolves when the request waits. */
  async function hold(session: ClientHttp2Session, wait = known): Promise<{ readonly answer: Promise<Received> }> {
    const reached = server.node.versionAsked();
    const answer = ask(session, wait);
    await reached;
    return { answer };
  }

  function noteOf({ status, body }: Received): string {
    assert.equal(status, 200, body.toString());
    return decodeHeadDocument(body).note;
  }

  it("answers at once who knows another version, and holds who knows the newest until there is one, signed and counted once", async () => {
    const session = server.connect(peer);
    const [first, second] = [versionOf(1), versionOf(2)];
    for (const other of [
      { ...known, size: 0 },
      { ...known, size: 2 },
      { ...known, epoch: 1 },
    ])
      assert.equal(noteOf(await ask(session, other)), first.head.note);
    const taken = server.node.requestsTaken;
    const path = CHECKPOINT_PATH + encodeHeadWait(known);
    const request = signed(peer, server, { method: "GET", path, body: new Uint8Array(0) });
    const reached = server.node.versionAsked();
    const answer = send(session, request);
    await reached;
    // Others are in nobody's way.
    assert.equal((await send(session, { path: "/healthz" })).status, 200);
    server.node.publish(second);
    const got = await answer;
    assert.equal(noteOf(got), second.head.note);
    const requestSignature = fromBase64(request.headers["x-registry-signature"] as string);
    verifyResponse({ status: 200, body: got.body, requestSignature }, rawHeadersOf(got.headers as never), server.registry.did);
    assert.equal(server.node.requestsTaken, taken + 1);
  });

  it("answers with the version of now when the wait is over", async () => {
    const { answer } = await hold(server.connect(peer), { ...known, seconds: 5 });
    testClock.advance(5_000);
    assert.equal(noteOf(await answer), versionOf(1).head.note);
  });

  it(`holds ${HELD_PER_REGISTRY_MAX} requests of one registry, and answers the oldest for one more`, async () => {
    const session = server.connect(peer);
    const first = await hold(session);
    const second = await hold(session);
    const third = await hold(session);
    assert.equal(noteOf(await first.answer), versionOf(1).head.note);
    server.node.publish(versionOf(2));
    for (const { answer } of [second, third]) assert.equal(noteOf(await answer), versionOf(2).head.note);
  });

  it("T5 answers before the client's certificate ends", async () => {
    peer = await TestRegistry.create("short", 3_000);
    server.node.knows(peer);
    const session = server.connect(peer);
    const { notAfterMs } = peer.credentials.svid();
    const { answer } = await hold(session);
    assert.equal(noteOf(await answer), versionOf(1).head.note);
    assert.ok(clock.now() < notAfterMs + 1_000);
    if (!session.destroyed) await once(session, "close");
  });

  it("answers at once when the registry stops", async () => {
    const { answer } = await hold(server.connect(peer));
    const beganMs = clock.monotonic();
    const stopped = server.facade.close();
    assert.equal(noteOf(await answer), versionOf(1).head.note);
    await stopped;
    assert.ok(clock.monotonic() - beganMs < CLOSE_DRAIN_MS_MAX, "it did not have to be cut");
  });

  it("T51 refuses a query of another form, and says what is wrong with it", async () => {
    const session = server.connect(peer);
    for (const query of ["?epoch=0&size=-1&wait=25", "?epoch=0&size=1&wait=soon", "?wait=1&wait=2"]) {
      const request = signed(peer, server, { method: "GET", path: CHECKPOINT_PATH + query, body: new Uint8Array(0) });
      const { status, problem } = await send(session, request);
      assert.deepEqual([status, problem?.code], [400, "invalid"], query);
    }
  });

  it("forgets who is gone: a stream that was reset, a connection that was lost", async () => {
    const ended: string[] = [];
    const heard: (() => void)[] = [];
    const next = (): Promise<void> => new Promise((resolve) => heard.push(resolve));
    const waiting = await ServedRegistry.start({
      routes: [
        {
          ...{ method: "GET", path: "/wait", summary: "waits for the end", access: "public", answers: {} },
          handle: ({ onEnding }) =>
            new Promise((resolve) => {
              onEnding(() => {
                ended.push("ended");
                resolve({ status: 200, body: Buffer.alloc(ANSWER_BYTES) });
                for (const hear of heard.splice(0)) hear();
              });
              for (const hear of heard.splice(0)) hear();
            }),
        },
      ],
    });
    try {
      const session = waiting.connect();
      for (const end of [(stream: ReturnType<typeof session.request>) => stream.close(8), () => session.destroy()]) {
        const reached = next();
        const stream = session.request({ ":path": "/wait" });
        stream.on("error", () => undefined);
        await reached;
        const over = next();
        end(stream);
        await over;
      }
      assert.equal(ended.length, 2);
      // Answers for nobody are not kept for anybody.
      assert.equal((await send(waiting.connect(), { path: "/federation/public" })).status, 200);
      assert.deepEqual(waiting.logged, []);
    } finally {
      await waiting.stop();
    }
  });

  it("bounds the requests of all, those of the operator's own in the place of others", async () => {
    const node = new AdmissionNode(server.registry, 100);
    node.publish(versionOf(1));
    const heads = new HeldHeads(node, testClock, { perRegistryMax: 1, max: 2 });
    const waits = new Map<string, Promise<unknown>>();
    const begin = (did: string, isWanted = false): void => {
      waits.set(
        did,
        heads.newest({ did, isWanted }, known, () => undefined).then(() => waits.delete(did)),
      );
    };
    for (const did of ["a", "b", "c"]) begin(did);
    await waits.get("c");
    assert.deepEqual([...waits.keys()], ["a", "b"]);
    begin("wanted", true);
    await waits.get("a");
    assert.deepEqual([...waits.keys()], ["b", "wanted"]);
    begin("also wanted", true);
    begin("third wanted", true);
    await waits.get("third wanted");
    assert.deepEqual([...waits.keys()], ["wanted", "also wanted"]);
    assert.equal(heads.size, 2);
    node.publish(versionOf(2));
    await Promise.all(waits.values());
    assert.equal(heads.size, 0);
  });
});
