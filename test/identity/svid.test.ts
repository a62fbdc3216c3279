import "reflect-metadata";
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ExtendedKeyUsage, Extension, KeyUsageFlags, type JsonGeneralName } from "@peculiar/x509";
import { encodeBundle } from "../../protocols/bundle/bundle.ts";
import { CERTIFICATE_BYTES_MAX } from "../../src/identity/certificate.ts";
import { createRegistryIdentity } from "../../src/identity/registry-identity.ts";
import { SvidError, type SvidErrorCode } from "../../src/identity/svid-error.ts";
import { CHAIN_LENGTH_MAX, chainOfPeer, checkSvid, claimedDid } from "../../src/identity/svid.ts";
import { ecKeys, forgeAuthority, FORGED_MS, forgeLeaf, type Forged, type Parts } from "./forge.ts";

const B = createRegistryIdentity(Buffer.alloc(32, 2), "b");
const C = createRegistryIdentity(Buffer.alloc(32, 3), "c");

interface Registry {
  readonly did: string;
  readonly bundle: string;
}

function bundleOf(...authorities: readonly Forged[]): string {
  return encodeBundle({ authorities: authorities.map(({ der }) => der), sequence: 1, refreshHintSeconds: 60 });
}

function url(value: string): JsonGeneralName {
  return { type: "url", value };
}

describe("identity: checking an X509-SVID", () => {
  let authority: Forged;
  let b: Registry;

  before(async () => {
    authority = await forgeAuthority(B.trustDomain);
    b = { did: B.did, bundle: bundleOf(authority) };
  });

  function assertRefused(code: SvidErrorCode, chain: readonly Uint8Array[], registry = b, nowMs = FORGED_MS): void {
    assert.throws(
      () => checkSvid(chain, registry, nowMs),
      (error: unknown) => {
        assert.ok(error instanceof SvidError, String(error));
        assert.equal(error.code, code, error.message);
        return true;
      },
    );
  }

  async function leaf(parts: Parts = {}, spiffeId = B.spiffeId): Promise<Uint8Array> {
    return (await forgeLeaf(authority, spiffeId, parts)).der;
  }

  it("gives the name of a good one in all its spellings, and when it ends", async () => {
    assert.deepEqual(checkSvid([await leaf()], b, FORGED_MS), {
      ...{ spiffeId: B.spiffeId, trustDomain: B.trustDomain, path: "/registry/b", did: B.did },
      ...{ notBeforeMs: FORGED_MS - 60_000, notAfterMs: FORGED_MS + 3_600_000 },
    });
  });

  it("takes further DNS names and addresses, other paths, and a leaf without extended key usage", async () => {
    const names = [url(`spiffe://${B.trustDomain}/operator/alice`), { type: "dns" as const, value: "b.example" }];
    assert.equal(checkSvid([await leaf({ names })], b, FORGED_MS).path, "/operator/alice");
    assert.equal(checkSvid([await leaf({ extendedUsage: null })], b, FORGED_MS).did, B.did);
  });

  it("takes a leaf of any authority in the bundle, while authorities rotate", async () => {
    const next = await forgeAuthority(B.trustDomain);
    const registry = { did: B.did, bundle: bundleOf(authority, next) };
    const fromNext = (await forgeLeaf(next, B.spiffeId)).der;
    for (const one of [await leaf(), fromNext]) assert.equal(checkSvid([one], registry, FORGED_MS).did, B.did);
    assertRefused("untrusted", [fromNext]);
  });

  it("T1 C's authority signs a certificate in B's name", async () => {
    const ofC = await forgeAuthority(C.trustDomain);
    const forged = (await forgeLeaf(ofC, B.spiffeId)).der;
    assertRefused("untrusted", [forged]);
    // Its issuer's name copied too, and its authority sent along.
    const inDisguise = await forgeAuthority(B.trustDomain);
    assertRefused("untrusted", [(await forgeLeaf(inDisguise, B.spiffeId)).der, inDisguise.der]);
    // Under its own bundle the name is not C's to give.
    assertRefused("wrong_trust_domain", [forged], { did: C.did, bundle: bundleOf(ofC) });
    // Nor when C puts B's real authority into its own bundle, or its authority bears B's name there.
    assertRefused("wrong_trust_domain", [await leaf()], { did: C.did, bundle: bundleOf(ofC, authority) });
    const ofCForC = (await forgeLeaf(authority, C.spiffeId)).der;
    assertRefused("untrusted", [ofCForC], { did: C.did, bundle: bundleOf(ofC, authority) });
  });

  it("T2 no SPIFFE ID: no names at all, and names that are no URI", async () => {
    assertRefused("no_spiffe_id", [await leaf({ names: [] })]);
    assertRefused("no_spiffe_id", [await leaf({ names: [{ type: "dns", value: "b.example" }] })]);
  });

  it("T2 two URIs, be they the same or not SPIFFE IDs", async () => {
    for (const second of [B.spiffeId, C.spiffeId, "https://b.example/"]) {
      assertRefused("two_uris", [await leaf({ names: [url(B.spiffeId), url(second)] })]);
    }
  });

  it("T2 what is no SPIFFE ID of a leaf", async () => {
    const td = B.trustDomain;
    const bad = [
      ...[
        `spiffe://${td}`,
        `spiffe://${td}/`,
        `spiffe://${td}//registry`,
        `spiffe://${td}/registry/`,
        `spiffe://${td}/registry/..`,
      ],
      ...[`spiffe://${td}/./b`, `spiffe://${td}/registry/b?x=1`, `spiffe://${td}/registry/b#x`, `spiffe://${td}:443/registry/b`],
      ...[`spiffe://u@${td}/registry/b`, `spiffe://${td.toUpperCase()}/registry/b`, `SPIFFE://${td}/registry/b`],
      ...[
        `spiffe://${td}/registry/%62`,
        `https://${td}/registry/b`,
        `spiffe:///registry/b`,
        "",
        `spiffe://${td}/${"a".repeat(2_048)}`,
      ],
    ];
    for (const spiffeId of bad) assertRefused("bad_spiffe_id", [await leaf({}, spiffeId)]);
  });

  it("T2 a trust domain that is another registry's, or nobody's key", async () => {
    assertRefused("wrong_trust_domain", [await leaf({}, C.spiffeId)]);
    assertRefused("wrong_trust_domain", [await leaf({}, "spiffe://example.org/registry/b")]);
    assertRefused("wrong_trust_domain", [await leaf({}, `spiffe://${B.trustDomain.slice(0, -1)}/registry/b`)]);
  });

  it("T2 an authority as a leaf", async () => {
    assertRefused("is_authority", [await leaf({ isAuthority: true })]);
    const withPath = await forgeAuthority(B.trustDomain, { names: [url(B.spiffeId)] });
    assertRefused("is_authority", [withPath.der], { did: B.did, bundle: bundleOf(withPath) });
    assertRefused("bad_spiffe_id", [authority.der]);
  });

  it("T2 wrong key usage", async () => {
    const { digitalSignature, keyCertSign, cRLSign, keyEncipherment } = KeyUsageFlags;
    assertRefused("bad_key_usage", [await leaf({ usage: null })]);
    assertRefused("bad_key_usage", [await leaf({ usageIsCritical: false })]);
    for (const usage of [keyEncipherment, digitalSignature | keyCertSign, digitalSignature | cRLSign]) {
      assertRefused("bad_key_usage", [await leaf({ usage })]);
    }
    for (const one of [ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth, ExtendedKeyUsage.codeSigning]) {
      assertRefused("bad_key_usage", [await leaf({ extendedUsage: [one] })]);
    }
  });

  it("T2 a key that is not on P-256", async () => {
    assertRefused("wrong_key", [await leaf({ keys: await ecKeys("P-384") })]);
    assertRefused("wrong_key", [await leaf({ keys: await ecKeys("P-521") })]);
  });

  it("T2 a SHA-1 signature, a bit turned in every part", async () => {
    assertRefused("untrusted", [await leaf({ hash: "SHA-1" })]);
    const good = await leaf();
    for (let at = 0; at < good.length; at++) {
      const turned = Uint8Array.from(good);
      turned[at] = (turned[at] as number) ^ 1;
      assert.throws(() => checkSvid([turned], b, FORGED_MS), SvidError, `byte ${at}`);
    }
  });

  it("T2 what is not one certificate in DER", async () => {
    const good = await leaf();
    const pem = Buffer.from(new X509Certificate(good).toString());
    const long = new Uint8Array(CERTIFICATE_BYTES_MAX + 1);
    for (const bytes of [
      new Uint8Array(),
      good.subarray(0, 100),
      Buffer.concat([good, good]),
      Buffer.concat([good, Buffer.of(0)]),
      pem,
      long,
    ]) {
      assertRefused("malformed", [bytes]);
    }
    assertRefused("malformed", []);
    assertRefused(
      "malformed",
      Array.from({ length: CHAIN_LENGTH_MAX + 1 }, () => good),
    );
  });

  it("T2 an extension twice, and a critical one that we do not understand", async () => {
    const unknown = (critical: boolean): Extension => new Extension("1.3.6.1.4.1.55555.1", critical, Buffer.of(5, 0));
    assertRefused("malformed", [await leaf({ more: [unknown(true)] })]);
    assert.equal(checkSvid([await leaf({ more: [unknown(false)] })], b, FORGED_MS).did, B.did);
    assertRefused("malformed", [await leaf({ more: [unknown(false), unknown(false)] })]);
  });

  it("T3 outside its validity, to the millisecond", async () => {
    const one = await leaf({ notBeforeMs: FORGED_MS, notAfterMs: FORGED_MS + 10_000 });
    assertRefused("not_yet_valid", [one], b, FORGED_MS - 1);
    assert.equal(checkSvid([one], b, FORGED_MS).notAfterMs, FORGED_MS + 10_000);
    assert.equal(checkSvid([one], b, FORGED_MS + 9_999).did, B.did);
    assertRefused("expired", [one], b, FORGED_MS + 10_000);
  });

  it("T10 an authority that has ended, or has not begun, makes nothing valid", async () => {
    const day = { notBeforeMs: FORGED_MS - 86_400_000, notAfterMs: FORGED_MS + 86_400_000 };
    const ended = await forgeAuthority(B.trustDomain, { notAfterMs: FORGED_MS });
    const later = await forgeAuthority(B.trustDomain, { notBeforeMs: FORGED_MS + 1_000 });
    for (const signer of [ended, later]) {
      const { der } = await forgeLeaf(signer, B.spiffeId, day);
      assertRefused("untrusted", [der], { did: B.did, bundle: bundleOf(signer) });
    }
  });

  it("refuses what authorities sign that may not, or are not of the trust domain", async () => {
    const bad: Parts[] = [
      { isAuthority: false },
      { usage: KeyUsageFlags.cRLSign },
      { usage: null },
      { names: [url(`spiffe://${C.trustDomain}`)] },
      { names: [url(`spiffe://${B.trustDomain}/registry/b`)] },
      { names: [url(`spiffe://${B.trustDomain}`), url(`spiffe://${C.trustDomain}`)] },
    ];
    for (const parts of bad) {
      const signer = await forgeAuthority(B.trustDomain, parts);
      assertRefused("untrusted", [(await forgeLeaf(signer, B.spiffeId)).der], { did: B.did, bundle: bundleOf(signer) });
    }
    const nameless = await forgeAuthority(B.trustDomain, { names: [] });
    const { der } = await forgeLeaf(nameless, B.spiffeId);
    assert.equal(checkSvid([der], { did: B.did, bundle: bundleOf(nameless) }, FORGED_MS).did, B.did);
  });

  it("T6 trusts nothing once the bundle is empty, broken or another", async () => {
    const good = await leaf();
    const empty = encodeBundle({ authorities: [], sequence: 2, refreshHintSeconds: 60 });
    for (const bundle of ["", "{}", empty, bundleOf(await forgeAuthority(B.trustDomain))]) {
      assertRefused("untrusted", [good], { did: B.did, bundle });
    }
  });

  it("tells whose bundle to look up, and refuses what no bundle could make valid", async () => {
    const ofC = await forgeAuthority(C.trustDomain);
    const unproved = (await forgeLeaf(ofC, B.spiffeId)).der;
    assert.equal(claimedDid(chainOfPeer({ raw: Buffer.from(unproved) })), B.did);
    assert.throws(() => claimedDid(chainOfPeer(undefined)), SvidError);
    assert.throws(() => claimedDid([authority.der]), SvidError);
  });

  describe("as openssl makes them", () => {
    let directory: string;
    before(async () => void (directory = await mkdtemp(join(tmpdir(), "registry-svid-"))));
    after(() => rm(directory, { recursive: true, force: true }));

    const run = (...args: string[]): Promise<unknown> => promisify(execFile)("openssl", args, { cwd: directory });
    const derOf = async (name: string): Promise<Uint8Array> => new X509Certificate(await readFile(join(directory, name))).raw;

    async function sign(extensions: string, key = "ec -pkeyopt ec_paramgen_curve:P-256"): Promise<Uint8Array> {
      await writeFile(join(directory, "leaf.cnf"), extensions);
      await run("req", "-newkey", ...key.split(" "), "-nodes", "-keyout", "leaf.key", "-subj", "/O=leaf", "-out", "leaf.csr");
      const signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1", "-extfile", "leaf.cnf"];
      await run("x509", "-req", "-in", "leaf.csr", ...signing, "-out", "leaf.pem");
      return derOf("leaf.pem");
    }

    let registry: Registry;
    before(async () => {
      const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "pem", type: "pkcs8" });
      await writeFile(join(directory, "ca.key"), key);
      const extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"];
      const given = [...extensions, `subjectAltName=URI:spiffe://${B.trustDomain}`].flatMap((one) => ["-addext", one]);
      await run("req", "-x509", "-key", "ca.key", "-subj", "/CN=authority", "-days", "7", ...given, "-out", "ca.pem");
      registry = { did: B.did, bundle: bundleOf({ ...authority, der: await derOf("ca.pem") }) };
    });

    const usage = "keyUsage=critical,digitalSignature\n";
    const names = `subjectAltName=URI:${B.spiffeId}`;

    it("takes the good one", async () => {
      assert.equal(checkSvid([await sign(usage + names)], registry, Date.now() + 1_000).spiffeId, B.spiffeId);
    });

    it("T2 refuses the malformed ones", async () => {
      const cases: [SvidErrorCode, string, string?][] = [
        ["no_spiffe_id", usage],
        ["two_uris", `${usage}${names},URI:${C.spiffeId}`],
        ["bad_key_usage", names],
        ["bad_key_usage", `keyUsage=digitalSignature\n${names}`],
        ["is_authority", `basicConstraints=CA:TRUE\n${usage}${names}`],
        ["wrong_key", usage + names, "rsa:2048"],
        ["wrong_key", usage + names, "ed25519"],
        ["wrong_key", usage + names, "ec -pkeyopt ec_paramgen_curve:secp256k1"],
        ["wrong_trust_domain", `${usage}subjectAltName=URI:${C.spiffeId}`],
      ];
      const nowMs = Date.now() + 1_000;
      for (const [code, extensions, key] of cases) assertRefused(code, [await sign(extensions, key)], registry, nowMs);
    });
  });
});
