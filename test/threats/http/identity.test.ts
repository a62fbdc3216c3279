import "reflect-metadata";
import assert from "node:assert/strict";
import { KeyObject, X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { ConnectionOptions } from "node:tls";
import { ExtendedKeyUsage, Extension, KeyUsageFlags } from "@peculiar/x509";
import { encodeBundle } from "../../../protocols/bundle/bundle.ts";
import { INTRODUCTION_PATH } from "../../../protocols/http/introduction-documents.ts";
import { ecKeys, forgeAuthority, forgeLeaf, type Forged, type Parts } from "../../identity/forge.ts";
import { handshake, tlsTo, type Presented } from "../../facade/client.ts";
import { leafOf, validFor } from "../../facade/registry-documents.ts";
import { Foreign, sendShed } from "./foreign.ts";
import { sharedRegistry, type RegistryProcess } from "./process.ts";

const HOUR_MS = 3_600_000;
/** Lifetime of the leaf that is stolen. */
const STOLEN_MS = 3_000;
/** From a certificate's end to the end of its sessions. */
const CLOSE_MS_MAX = 1_000;

describe("threats over HTTP: certificates", () => {
  let target: RegistryProcess;
  let peer: Foreign;

  before(async () => {
    target = await sharedRegistry();
    peer = await Foreign.create("peer");
    await peer.announce(target);
  });

  after(() => peer.close());

  /** Status and code of a signed read over a connection of its own. */
  async function asked(as: Foreign, present: Presented | null): Promise<[number, string | undefined, unknown]> {
    const session = as.connect(target, { present });
    const { status, problem, body } = await sendShed(session, as.signedRead(target));
    session.close();
    return [status, problem?.code, problem && (JSON.parse(body.toString()) as { reason?: string }).reason];
  }

  const taken = async (as: Foreign): Promise<void> => assert.equal((await asked(as, as.svid))[0], 200);

  it("T1 a certificate in B's name by C's authority is refused, as is C's own for a request of B", async () => {
    const other = await Foreign.create("other");
    await other.announce(target);
    const crossSigned = await peer.leaf(validFor(HOUR_MS), other.authority);
    assert.deepEqual(await asked(peer, crossSigned), [403, "certificate_refused", "untrusted"]);
    assert.deepEqual(await asked(peer, other.svid), [403, "certificate_refused", "wrong_trust_domain"]);
    const announced = await sendShed(peer.connect(target, { present: crossSigned }), peer.announcement(target));
    assert.deepEqual([announced.status, announced.problem?.code], [403, "certificate_refused"]);
    await taken(peer);
    await taken(other);
    other.close();
  });

  it("T1 a certificate that a registry issued to an agent does not speak as the registry", async () => {
    const agents = await leafOf(peer.identity, peer.authority, validFor(HOUR_MS), "/agent/x");
    assert.deepEqual((await asked(peer, agents)).slice(0, 2), [403, "wrong_identity"]);
    await taken(peer);
  });

  it("T2 malformed SVIDs are refused, each for its own reason", async () => {
    const { trustDomain, spiffeId } = peer.identity;
    const forger = await Foreign.create("forger");
    const authority = await forgeAuthority(forger.identity.trustDomain, currently());
    const bundle = encodeBundle({ authorities: [authority.der], sequence: 1, refreshHintSeconds: 300 });
    const good = await forged(authority, forger.identity.spiffeId);
    const introduced = forger.announcement(target, forger.describe({ bundle }));
    assert.equal((await sendShed(forger.connect(target, { present: good }), introduced)).status, 200);
    assert.equal((await asked(forger, good))[0], 200, "a well-made one of this authority is taken");
    const { digitalSignature, keyCertSign, cRLSign } = KeyUsageFlags;
    const own = forger.identity.spiffeId;
    const uri = (value: string): { type: "url"; value: string } => ({ type: "url", value });
    const cases: readonly (readonly [reason: string, id: string, parts: Parts])[] = [
      ["no_spiffe_id", own, { names: [{ type: "dns", value: "registry.example" }] }],
      ["two_uris", own, { names: [uri(own), uri(spiffeId)] }],
      ["bad_spiffe_id", own, { names: [uri(`spiffe://${forger.identity.trustDomain}`)] }],
      ["bad_spiffe_id", own, { names: [uri(`https://${forger.identity.trustDomain}/registry/forger`)] }],
      ["bad_spiffe_id", own, { names: [uri(`${own}?a=1`)] }],
      ["wrong_trust_domain", own, { names: [uri(`spiffe://${trustDomain}/registry/forger`)] }],
      ["is_authority", own, { isAuthority: true, usage: keyCertSign | digitalSignature }],
      ["bad_key_usage", own, { usage: digitalSignature | keyCertSign }],
      ["bad_key_usage", own, { usage: digitalSignature | cRLSign }],
      ["bad_key_usage", own, { usage: null }],
      ["bad_key_usage", own, { usageIsCritical: false }],
      ["bad_key_usage", own, { extendedUsage: [ExtendedKeyUsage.clientAuth] }],
      ["wrong_key", own, { keys: await ecKeys("P-384") }],
      ["malformed", own, { more: [new Extension("1.3.6.1.4.1.55555.1", true, Buffer.of(5, 0))] }],
    ];
    for (const [reason, id, parts] of cases) {
      const presented = await forged(authority, id, parts);
      assert.deepEqual(await asked(forger, presented), [403, "certificate_refused", reason], JSON.stringify(parts));
    }
    forger.close();
  });

  it("T3 expired and not-yet-valid leaves are refused", async () => {
    const nowMs = Date.now();
    const early = await peer.leaf({ notBeforeMs: nowMs + HOUR_MS, notAfterMs: nowMs + 2 * HOUR_MS });
    assert.deepEqual(await asked(peer, early), [403, "certificate_refused", "not_yet_valid"]);
    assert.equal(await refusedOrClosed(await peer.leaf({ notBeforeMs: nowMs - HOUR_MS, notAfterMs: nowMs - 2_000 })), true);
    assert.equal(await refusedOrClosed(peer.svid), false);
  });

  it("T4 no client certificate, or TLS 1.2: refused where identity is required, and nowhere else", async () => {
    assert.deepEqual((await asked(peer, null)).slice(0, 2), [401, "certificate_required"]);
    const old = peer.connect(target, { tls: { maxVersion: "TLSv1.2" } });
    const refused = await sendShed(old, peer.signedRead(target));
    assert.deepEqual([refused.status, refused.problem?.code], [403, "tls_too_old"]);
    const announced = await sendShed(old, peer.announcement(target));
    assert.deepEqual([announced.status, announced.problem?.code], [403, "tls_too_old"]);
    assert.equal((await sendShed(old, { path: INTRODUCTION_PATH })).status, 200);
    const older = handshake(target.port, {
      address: peer.address,
      tls: { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "ALL@SECLEVEL=0" },
    });
    await assert.rejects(older, { code: /^ERR_SSL_/ });
  });

  it("T6 no TLS session is resumed, and one whose authority left the bundle is refused at its next request", async () => {
    const mover = await Foreign.create("mover");
    await mover.announce(target);
    const before = mover.svid;
    const session = mover.connect(target);
    assert.equal((await sendShed(session, mover.signedRead(target))).status, 200);
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      const first = await talk(mover, { maxVersion });
      const second = await talk(mover, { maxVersion, ...(first.ticket && { session: first.ticket }) });
      assert.equal(second.isReused, false, maxVersion);
    }
    await mover.replaceAuthority();
    await mover.announce(target);
    const answer = await sendShed(session, mover.signedRead(target));
    assert.deepEqual([answer.status, answer.problem?.code], [403, "certificate_refused"]);
    assert.deepEqual(await asked(mover, before), [403, "certificate_refused", "untrusted"]);
    await taken(mover);
    mover.close();
  });

  it("T10 a stolen TLS key is no registry's key, and is dead when its certificate ends", async () => {
    const owner = await Foreign.create("owner");
    await owner.announce(target);
    const stolen = await owner.leaf(validFor(STOLEN_MS));
    const thief = await Foreign.create("thief");
    const session = thief.connect(target, { present: stolen });
    const closed = once(session, "close").then(() => Date.now());
    const signedByThief = thief.signedRead(target);
    const headers = { ...signedByThief.headers, "x-registry-id": owner.did };
    const impersonated = await sendShed(session, { ...signedByThief, headers });
    assert.deepEqual([impersonated.status, impersonated.problem?.code], [401, "bad_signature"]);
    assert.equal((await sendShed(session, owner.signedRead(target))).status, 200, "until then it is the owner's");
    assert.ok((await closed) <= stolen.notAfterMs + CLOSE_MS_MAX);
    assert.equal(await refusedOrClosed(stolen, owner), true);
    await taken(owner);
    owner.close();
    thief.close();
  });

  /** Nothing is served to the owner of this leaf: a refusal, or a connection that is closed at once, since the leaf is over. */
  async function refusedOrClosed(present: Presented, as: Foreign = peer): Promise<boolean> {
    const answer = await sendShed(as.connect(target, { present }), as.signedRead(target)).catch(() => undefined);
    if (answer === undefined) return true;
    if (answer.status !== 200) assert.deepEqual([answer.status, answer.problem?.code], [403, "certificate_refused"]);
    return answer.status !== 200;
  }

  /** A connection with one exchange, so that a ticket, which comes after the handshake, would have come. */
  async function talk(as: Foreign, tls: ConnectionOptions): Promise<{ ticket: Buffer | undefined; isReused: boolean }> {
    const tickets: Buffer[] = [];
    const socket = tlsTo(target.port, { present: as.svid, address: as.address, tls });
    socket.on("session", (ticket: Buffer) => tickets.push(ticket));
    await once(socket, "secureConnect");
    socket.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await once(socket, "data");
    const [ticket, isReused] = [tickets.at(-1) ?? socket.getSession(), socket.isSessionReused()];
    socket.destroy();
    return { ticket, isReused };
  }
});

/** Validity of forged certificates around now. */
function currently(): Parts {
  const nowMs = Date.now();
  return { notBeforeMs: nowMs - HOUR_MS, notAfterMs: nowMs + HOUR_MS };
}

async function forged(signer: Forged, spiffeId: string, parts: Parts = {}): Promise<Presented> {
  const { der, keys } = await forgeLeaf(signer, spiffeId, { ...currently(), ...parts });
  const key = KeyObject.from(keys.privateKey).export({ format: "pem", type: "pkcs8" });
  return { certificate: new X509Certificate(der).toString(), key: String(key) };
}
