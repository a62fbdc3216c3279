import assert from "node:assert/strict";
import { once } from "node:events";
import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import { Agent, request } from "undici";
import { INTRODUCTION_PATH } from "../../../protocols/http/introduction-documents.ts";
import { FLAG, FRAME, frame, RawConnection, requestHeaders } from "../../facade/frames.ts";
import { handshake } from "../../facade/client.ts";
import { validFor } from "../../facade/registry-documents.ts";
import { Foreign, freshAddress, sendShed } from "./foreign.ts";
import { RegistryProcess, within } from "./process.ts";

/** Lifetime of the leaf whose end is awaited. */
const LEAF_MS = 3_000;
/** From a certificate's end to the end of its sessions. */
const CLOSE_MS_MAX = 1_000;
/** Certificates that are seen while load goes on; each is served for about half of its lifetime of 4 s. */
const ROTATIONS = 4;
const SVID_LIFETIME_SECONDS = 4;
/** What is in flight has 3 s to end. */
const STOP_MS_MAX = 12_000;
const JSON_TYPE = ["content-type", "application/json"] as const;

describe("threats over HTTP: sessions", () => {
  let target: RegistryProcess;

  before(async () => {
    const more = ["--svid-lifetime-seconds", String(SVID_LIFETIME_SECONDS), "--requests-per-peer-per-minute-max", "100000"];
    target = await RegistryProcess.start({ more });
  });

  after(() => target.stop());

  it("T5 a session is closed within a second of its certificate's end, and a request in flight ends cleanly", async () => {
    const peer = await Foreign.create("peer");
    await peer.announce(target);
    const present = await peer.leaf(validFor(LEAF_MS));
    const [idle, busy] = [peer.connect(target, { present }), peer.connect(target, { present })];
    const busyClosed = once(busy, "close");
    const idleClosed = once(idle, "close").then(() => Date.now());
    assert.equal((await sendShed(idle, peer.signedRead(target))).status, 200);
    const write = await Write.begin(busy, target);
    assert.ok((await idleClosed) <= present.notAfterMs + CLOSE_MS_MAX, "late");
    assert.ok((await idleClosed) >= present.notAfterMs - CLOSE_MS_MAX, "early");
    await write.end();
    await busyClosed;
    peer.close();
  });

  it("T7 certificates rotate under load: no failed request, and new connections meet the new ones", async () => {
    const peer = await Foreign.create("peer");
    await peer.announce(target);
    const { certificate: cert, key } = peer.svid;
    const agents = [true, false].map((allowH2) => {
      const connect = { rejectUnauthorized: false, cert, key, localAddress: freshAddress() };
      return new Agent({ allowH2, connect });
    });
    const session = peer.connect(target);
    const serials = new Set<string>();
    let served = 0;
    const read = async (dispatcher: Agent): Promise<void> => {
      const { statusCode, body } = await request(target.url + INTRODUCTION_PATH, { dispatcher });
      const text = await body.text();
      if (statusCode === 503 && text.includes("problem:busy")) return;
      assert.equal(statusCode, 200, text);
      served += 1;
    };
    const readSigned = async (): Promise<void> => {
      assert.equal((await sendShed(session, peer.signedRead(target))).status, 200);
      served += 1;
    };
    const meet = async (maxVersion: "TLSv1.2" | "TLSv1.3"): Promise<void> => {
      const socket = await handshake(target.port, { address: peer.address, tls: { maxVersion } });
      const { serialNumber, valid_to: end } = socket.getPeerCertificate();
      assert.ok(Date.parse(end) > Date.now(), "what is served is valid");
      serials.add(serialNumber);
      socket.destroy();
    };
    // Handshakes set the pace, so that the load stays below the limits by address.
    while (serials.size <= ROTATIONS) {
      await Promise.all([...agents.map(read), readSigned(), meet("TLSv1.2").then(() => meet("TLSv1.3"))]);
    }
    assert.ok(served > 100, `${served} requests`);
    assert.equal(session.closed, false, "a rotation ends no session");
    await Promise.all(agents.map((agent) => agent.close()));
    peer.close();
  });

  it("what is in flight when the registry stops is served, by a node that still lives", async () => {
    const stopping = await RegistryProcess.start();
    const client = await Foreign.create("client");
    const session = client.connect(stopping);
    try {
      const write = await Write.begin(session, stopping);
      const goneAway = once(session, "goaway");
      const stopped = stopping.stop();
      await goneAway;
      await write.end();
      await stopped;
    } finally {
      client.close();
      await stopping.kill();
    }
  });

  it("T22 a peer that reads nothing more, and never closes, does not keep the registry from stopping", async () => {
    const connection = await RawConnection.open({ facade: target, address: freshAddress() });
    connection.write(frame(FRAME.headers, FLAG.endHeaders, 1, requestHeaders("POST", "/agents", JSON_TYPE)));
    await connection.frame(FRAME.settings);
    connection.socket.pause();
    const isStopped = await within(
      STOP_MS_MAX,
      target.stop().then(() => true),
    );
    connection.socket.destroy();
    assert.equal(isStopped, true);
  });
});

/** A write whose body is half sent. */
class Write {
  readonly #session: ClientHttp2Session;
  readonly #target: RegistryProcess;
  /** The one that was not shed, and its answer. */
  #stream: ClientHttp2Stream;
  #answer: Promise<string>;

  private constructor(session: ClientHttp2Session, target: RegistryProcess) {
    this.#session = session;
    this.#target = target;
    [this.#stream, this.#answer] = this.#ask();
  }

  /** Resolves when the process has the headers: it answers a PING behind them. */
  static async begin(session: ClientHttp2Session, target: RegistryProcess): Promise<Write> {
    // Before that a PING is given up.
    if (session.connecting) await once(session, "connect");
    const write = new Write(session, target);
    await new Promise<void>((resolve, reject) => {
      session.ping((error) => (error === null ? resolve() : reject(error)));
    });
    return write;
  }

  /** Sends the rest. @throws AssertionError unless it ends cleanly */
  async end(): Promise<void> {
    this.#stream.end(
      '"acme/in-flight","name":"in flight","description":"d","capabilities":["a"],"tags":[],"endpoints":[],"version":"1","status":"active"}',
    );
    const stream = this.#stream;
    const answer = await this.#answer;
    assert.match(answer, /^201 /);
    assert.equal(stream.rstCode, 0);
  }

  /** On a busy machine the process may shed it, as soon as it has the headers: then it was not begun, and is asked again. */
  #ask(): [ClientHttp2Stream, Promise<string>] {
    const headers = { authorization: `Bearer ${this.#target.operatorToken}`, "content-type": "application/json" };
    const stream = this.#session.request({ ":method": "POST", ":path": "/agents", ...headers });
    stream.write('{"humanReadableId":');
    const answer = readAnswer(stream);
    answer.then(
      (text) => {
        if (/^503 .*problem:busy/.test(text) && !this.#session.closed) [this.#stream, this.#answer] = this.#ask();
      },
      // Whoever waits for it is told.
      () => undefined,
    );
    return [stream, answer];
  }
}

/** Status and body. */
async function readAnswer(stream: ClientHttp2Stream): Promise<string> {
  const [headers] = (await once(stream, "response")) as [{ ":status": number }];
  let body = "";
  for await (const chunk of stream.setEncoding("utf8")) body += chunk;
  return `${headers[":status"]} ${body}`;
}
