import assert from "node:assert/strict";
import { once } from "node:events";
import { CATALOG_SYNC_PROTOCOL } from "../../../protocols/catalog-sync/messages.ts";
import { encodeIntroduction, INTRODUCTION_PATH } from "../../../protocols/http/introduction-documents.ts";
import { ID_HEADER, requestFieldsOf, requestSignatureBase } from "../../../protocols/http/request-fields.ts";
import { base64 } from "../../../protocols/lib/bytes.ts";
import { createLibp2pNetwork } from "../../../src/adapters/libp2p/network.ts";
import { systemClock } from "../../../src/adapters/system/clock.ts";
import { SILENT } from "../../adapters/web/support.ts";
import { handshake, tlsTo } from "../../facade/client.ts";
import { Foreign } from "./foreign.ts";
import { sharedRegistry, type RegistryProcess } from "./process.ts";

describe("threats over HTTP: versions", () => {
  let target: RegistryProcess;
  let peer: Foreign;

  before(async () => {
    target = await sharedRegistry();
    peer = await Foreign.create("peer");
    await peer.announce(target);
  });

  after(() => peer.close());

  it("T50 of the versions of HTTP the best common one is chosen, and none is refused in the handshake", async () => {
    const chosen = async (...ALPNProtocols: string[]): Promise<string | false | null> => {
      const socket = await handshake(target.port, {
        address: peer.address,
        tls: ALPNProtocols.length > 0 ? { ALPNProtocols } : {},
      });
      socket.destroy();
      return socket.alpnProtocol;
    };
    assert.equal(await chosen("h3", "http/1.1", "h2"), "h2");
    assert.equal(await chosen("h3", "http/1.1"), "http/1.1");
    assert.equal(await chosen(), false);
    await assert.rejects(chosen("h3", "http/0.9"), { code: "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL" });
  });

  it("T50 who speaks no known version of HTTP is refused clearly", async () => {
    for (const [line, status] of [
      ["GET / HTTP/3.0", 400],
      ["HELO registry", 400],
    ] as const) {
      const socket = tlsTo(target.port, { address: peer.address, tls: { ALPNProtocols: ["http/1.1"] } });
      await once(socket, "secureConnect");
      socket.write(`${line}\r\nHost: localhost\r\n\r\n`);
      const [answer] = (await once(socket, "data")) as [Buffer];
      assert.match(answer.toString(), new RegExp(`^HTTP/1\\.1 ${status} `));
      if (!socket.destroyed) await once(socket, "close");
    }
  });

  it("T50 a signature of another version of the rule is refused", async () => {
    const request = { ...peer.signedRead(target) };
    const fields = requestFieldsOf({
      ...{ method: "GET", authority: target.authority, target: request.path, body: new Uint8Array(0), id: peer.did },
      ...{ audience: target.did, timestampMs: Number(request.headers?.["x-registry-timestamp"]) },
      nonce: Buffer.from(request.headers?.["x-registry-nonce"] as string, "base64url"),
    });
    const text = Buffer.from(requestSignatureBase(fields)).toString();
    const signature = (base: string): string => base64(peer.identity.sign(Buffer.from(base)));
    assert.equal(signature(text), request.headers?.["x-registry-signature"], "so the rule is this one");
    const headers = { ...request.headers, "x-registry-signature": signature(text.replace("SIG-V1", "SIG-V2")) };
    const refused = await peer.ask(target, { ...request, headers });
    assert.deepEqual([refused.status, refused.problem?.code], [401, "bad_signature"]);
    const tagged = {
      "signature-input": `sig1=("@method");created=1;tag="agent-registry-fed-v2"`,
      signature: `sig1=:${base64(new Uint8Array(64))}:`,
    };
    const other = await peer.ask(target, { path: request.path, headers: tagged });
    assert.deepEqual([other.status, other.problem?.code], [401, "signature_required"]);
    assert.equal(other.headers[ID_HEADER], undefined);
    assert.equal((await peer.ask(target, request)).status, 200);
  });

  it("T50 further members of a document are passed over, those of what is signed and checked as a whole are named", async () => {
    const introduction = Buffer.from(encodeIntroduction({ descriptor: peer.describe() })).toString();
    const later = Buffer.from(`${introduction.slice(0, -1)},"of_a_later_version":{"a":[1]}}`);
    const taken = await peer.ask(target, peer.sign(target, { path: INTRODUCTION_PATH, body: later }));
    assert.equal(taken.status, 200, taken.body.toString());
    const strange = Buffer.from(introduction.replace('{"descriptor":{', '{"descriptor":{"aaa_of_a_later_version":1,'));
    const refused = await peer.ask(target, peer.sign(target, { path: INTRODUCTION_PATH, body: strange }));
    assert.deepEqual([refused.status, refused.problem?.code], [400, "schema"]);
    assert.match(String(refused.problem?.detail), /aaa_of_a_later_version/);
    assert.equal((await peer.ask(target, peer.signedRead(target))).status, 200);
  });

  it("T50 an unknown version of a protocol over libp2p is refused, and known ones are served on the same connection", async () => {
    const network = createLibp2pNetwork({
      ...{ key: Buffer.alloc(32, 7), listen: [], log: SILENT, clock: systemClock(), topics: [] },
    });
    await network.start();
    const { signal } = new AbortController();
    try {
      const peerId = await network.connect({ addresses: target.ready.multiaddrs }, { signal });
      const newer = CATALOG_SYNC_PROTOCOL.replace(/\d+\.\d+\.\d+$/, "99.0.0");
      await assert.rejects(network.open(peerId, newer, { signal }), { code: "protocol_unsupported" });
      await network.open(peerId, CATALOG_SYNC_PROTOCOL, { signal });
    } finally {
      await network.stop();
    }
  });
});
