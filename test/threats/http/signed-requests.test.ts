import assert from "node:assert/strict";
import type { ClientHttp2Session } from "node:http2";
import { rawHeadersOf } from "../../../protocols/http/header-fields.ts";
import { INTRODUCTION_PATH } from "../../../protocols/http/introduction-documents.ts";
import { SKEW_MS_MAX } from "../../../protocols/http/request-fields.ts";
import { verifyResponse } from "../../../protocols/http/signed-response.ts";
import { fromBase64 } from "../../../protocols/lib/bytes.ts";
import { didKey } from "../../../protocols/lib/did.ts";
import { NONCES_PER_SENDER_MAX } from "../../../src/facade/limits.ts";
import type { Received, Sending } from "../../facade/client.ts";
import { Foreign, freshAddress, sendShed } from "./foreign.ts";
import { RegistryProcess, sharedRegistry } from "./process.ts";

/** Requests of a flood that are under way at a time. */
const BATCH = 50;
const SIGNATURE = "x-registry-signature";
/** The neutral element, as a public key: one signature fits many messages. */
const SMALL_ORDER = Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 1 : 0));
/** Order of the base point of Ed25519 (RFC 8032 §5.1): S and S + L would verify alike. */
const GROUP_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

describe("threats over HTTP: signed requests", () => {
  let target: RegistryProcess;
  let peer: Foreign;

  before(async () => {
    target = await sharedRegistry();
    peer = await Foreign.create("peer");
    await peer.announce(target);
  });

  after(() => peer.close());

  const ask = (request: Sending, as: Foreign = peer): Promise<Received> => as.ask(target, request);

  /** As an attacker on the way would send it on. */
  function changed(request: Sending, headers: Sending["headers"], body?: Uint8Array): Sending {
    return { ...request, headers: { ...request.headers, ...headers }, ...(body && { body }) };
  }

  /** @throws ProtocolError unless `answer` is signed as the one to `request` */
  function verify(request: Sending, { status, body, headers }: Received): void {
    const requestSignature = fromBase64(request.headers?.[SIGNATURE] as string);
    verifyResponse({ status, body, requestSignature }, rawHeadersOf(headers as never), target.did);
  }

  async function assertRefused(request: Sending, status: number, code: string, about?: string): Promise<void> {
    const answer = await ask(request);
    assert.deepEqual([answer.status, answer.problem?.code], [status, code], about ?? answer.body.toString());
    assert.ok((answer.problem?.detail.length ?? 0) > 0);
  }

  it("serves what is well signed, and signs its answers and its refusals", async () => {
    const request = peer.signedRead(target);
    for (const status of [200, 401]) {
      const answer = await ask(request);
      assert.equal(answer.status, status);
      verify(request, answer);
    }
  });

  it("T11 a replayed request is refused: at once, twice at the same time, over other connections", async () => {
    const request = peer.signedRead(target);
    const sessions = [peer.connect(target), peer.connect(target)];
    const answers = await Promise.all(sessions.map((session) => sendShed(session, request)));
    assert.deepEqual(new Set(answers.map(({ problem }) => problem?.code)), new Set(["replayed", undefined]));
    await assertRefused(request, 401, "replayed");
    const announcement = peer.announcement(target);
    assert.equal((await ask(announcement)).status, 200);
    await assertRefused(announcement, 401, "replayed");
  });

  it("T11 the announcement by which a stranger became known is not taken again", async () => {
    const stranger = await Foreign.create("stranger");
    const announcement = stranger.announcement(target);
    assert.equal((await ask(announcement, stranger)).status, 200);
    const replayed = await ask(announcement, stranger);
    assert.deepEqual([replayed.status, replayed.problem?.code], [401, "replayed"]);
    stranger.close();
  });

  it("T11 neither a crash nor a restart lets a request be replayed, or refuses a fresh one", async () => {
    let process = await RegistryProcess.start();
    const caller = await Foreign.create("caller");
    const stranger = await Foreign.create("stranger");
    try {
      await caller.announce(process);
      const served = caller.signedRead(process);
      const introduced = stranger.announcement(process);
      assert.equal((await caller.ask(process, served)).status, 200);
      assert.equal((await stranger.ask(process, introduced)).status, 200);
      const signedBefore = caller.signedRead(process);
      const { port, dataDir } = process;
      await process.kill();
      process = await RegistryProcess.start({ dataDir, port });
      for (const [who, request] of [
        [caller, served],
        [stranger, introduced],
      ] as const) {
        const replayed = await who.ask(process, request);
        assert.deepEqual([replayed.status, replayed.problem?.code], [401, "replayed"]);
      }
      assert.equal((await caller.ask(process, signedBefore)).status, 200, "signed before the crash, and not served yet");
      assert.equal((await caller.ask(process, caller.signedRead(process))).status, 200);
      assert.equal((await stranger.ask(process, stranger.signedRead(process))).status, 200);
    } finally {
      for (const foreign of [caller, stranger]) foreign.close();
      await process.stop();
    }
  });

  it("T12 a request that was made for another registry, or for another address, is refused", async () => {
    const other = await Foreign.create("other");
    await assertRefused(peer.signedRead(target, { audience: other.did }), 421, "wrong_audience");
    await assertRefused(peer.signedRead(target, { authority: "other.example" }), 421, "wrong_authority");
    const sentOn = peer.signedRead(target, { authority: "other.example" });
    await assertRefused(changed(sentOn, { ":authority": target.authority }), 401, "bad_signature");
  });

  it("T14 a timestamp outside the accepted skew is refused", async () => {
    for (const offMs of [-SKEW_MS_MAX - 1_000, SKEW_MS_MAX + 5_000]) {
      await assertRefused(peer.signedRead(target, { timestampMs: Date.now() + offMs }), 401, "clock_skew");
    }
    const within = peer.signedRead(target, { timestampMs: Date.now() - SKEW_MS_MAX + 5_000 });
    assert.equal((await ask(within)).status, 200);
  });

  it("T15 whichever field or byte of a signed request is changed, it is refused, and its nonce is not used up", async () => {
    const request = peer.sign(target, { path: INTRODUCTION_PATH, body: peer.announcement(target).body as Uint8Array });
    const read = peer.signedRead(target);
    const codes = new Map<string, number>();
    const count = async (one: Sending): Promise<void> => {
      const answer = await ask(one, peer);
      const { status, problem } = answer;
      assert.notEqual(status, 200, JSON.stringify(one.headers));
      assert.throws(() => verify(read, answer), "nobody can show it as the answer to the request that was signed");
      const code = String(problem?.code);
      codes.set(code, (codes.get(code) ?? 0) + 1);
    };
    await count({ ...read, path: `${read.path}?a=1` });
    await count({ ...read, method: "HEAD" });
    await count({ ...read, path: INTRODUCTION_PATH, method: "POST", body: "{}" });
    for (const bytes of [
      { name: SIGNATURE, encoding: "base64" },
      { name: "x-registry-nonce", encoding: "base64url" },
    ] as const) {
      const value = Buffer.from(read.headers?.[bytes.name] as string, bytes.encoding);
      for (let at = 0; at < value.length; at++) {
        const flipped = Buffer.from(value);
        flipped[at] = (flipped[at] as number) ^ (1 << (at % 8));
        await count(changed(read, { [bytes.name]: flipped.toString(bytes.encoding) }));
      }
    }
    for (const name of ["x-registry-id", "x-registry-audience"]) {
      const value = read.headers?.[name] as string;
      for (let at = 0; at < value.length; at += 5) await count(changed(read, { [name]: withOther(value, at) }));
    }
    const timestamp = read.headers?.["x-registry-timestamp"] as string;
    for (let at = 0; at < timestamp.length; at++) {
      const digit = (Number(timestamp[at]) % 9) + 1;
      await count(changed(read, { "x-registry-timestamp": timestamp.slice(0, at) + digit + timestamp.slice(at + 1) }));
    }
    const other = "sha-256=:" + Buffer.alloc(32, 1).toString("base64") + ":";
    await count(changed(read, { "content-digest": other }));
    await count(changed(request, { "content-digest": other }));
    const known = ["bad_signature", "bad_header", "bad_digest", "clock_skew", "wrong_audience", "unknown_registry", "schema"];
    assert.deepEqual(
      [...codes.keys()].filter((code) => !known.includes(code)),
      ["undefined"],
      "HEAD is answered without a body",
    );
    assert.ok((codes.get("bad_signature") ?? 0) > 80, JSON.stringify([...codes]));
    assert.equal((await ask(read)).status, 200);
    assert.equal((await ask(request)).status, 200);
  });

  it("T16 a body swapped under a valid header is refused", async () => {
    const request = peer.announcement(target);
    const body = Buffer.concat([request.body as Uint8Array, Buffer.from(" ")]);
    await assertRefused(changed(request, {}, body), 400, "bad_digest");
    assert.equal((await ask(request)).status, 200);
  });

  it("T17 duplicate and folded headers are refused", async () => {
    const request = peer.signedRead(target);
    for (const name of ["x-registry-id", "x-registry-nonce", "x-registry-timestamp", "x-registry-audience", SIGNATURE]) {
      const value = request.headers?.[name] as string;
      for (const twice of [[value, value], `${value}, ${value}`, `${value},`])
        await assertRefused(changed(request, { [name]: twice }), 400, "bad_header", name);
    }
    await assertRefused(changed(request, { host: "other.example" }), 400, "bad_header");
    assert.equal((await ask(request)).status, 200);
  });

  it("T18 junk base64, non-canonical signatures and small-order keys are refused", async () => {
    const request = peer.signedRead(target);
    const text = request.headers?.[SIGNATURE] as string;
    const junk = [text.slice(0, -2), `${text.slice(0, -3)}*==`, ` ${text}=`, `${text.slice(0, -3)}${nextLetter(text)}==`, ""];
    for (const value of junk) await assertRefused(changed(request, { [SIGNATURE]: value }), 400, "bad_header", value);
    const malleable = base64WithS(text, (s) => s + GROUP_ORDER);
    await assertRefused(changed(request, { [SIGNATURE]: malleable }), 401, "bad_signature");
    await assertRefused(changed(request, { "x-registry-id": didKey(SMALL_ORDER) }), 400, "bad_header");
    assert.equal((await ask(request)).status, 200);
  });

  it("T19 the nonces of a flooder that are kept are bounded, and only the flooder suffers", async () => {
    const flooder = await Foreign.create("flooder");
    await flooder.announce(target);
    const codes: (string | undefined)[] = [];
    // By several ways, so that what it meets is no limit by address.
    const sessions = Array.from({ length: 4 }, () => flooder.connect(target, { address: freshAddress() }));
    const count = Math.ceil((NONCES_PER_SENDER_MAX + BATCH) / BATCH) * BATCH;
    while (codes.length < count) {
      const session = sessions[(codes.length / BATCH) % sessions.length] as ClientHttp2Session;
      const batch = Array.from({ length: BATCH }, () => sendShed(session, flooder.signedRead(target)));
      for (const { problem } of await Promise.all(batch)) codes.push(problem?.code);
      assert.equal((await ask(peer.signedRead(target))).status, 200);
    }
    const tally = Object.fromEntries(
      [...Map.groupBy(codes, (code) => code ?? "served")].map(([code, all]) => [code, all.length]),
    );
    assert.deepEqual(tally, { served: NONCES_PER_SENDER_MAX, too_many_nonces: count - NONCES_PER_SENDER_MAX });
    flooder.close();
  });
});

function withOther(text: string, at: number): string {
  return text.slice(0, at) + (text[at] === "x" ? "y" : "x") + text.slice(at + 1);
}

/** Of the last digit of base64 with "==" only two bits count; this one differs in the others. */
function nextLetter(text: string): string {
  return String.fromCharCode((text.at(-3) as string).charCodeAt(0) + 1);
}

function base64WithS(text: string, change: (s: bigint) => bigint): string {
  const bytes = Buffer.from(text, "base64");
  const s = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString("hex")}`);
  const hex = change(s).toString(16).padStart(64, "0");
  return Buffer.concat([bytes.subarray(0, 32), Buffer.from(hex, "hex").reverse()]).toString("base64");
}
