import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { certificateIssuer } from "../../../src/adapters/certificates/issuer.ts";
import { systemRandom } from "../../../src/adapters/system/random.ts";
import { createKeyMaterial } from "../../../src/identity/key-material.ts";
import { LEAF_NAMES_MAX } from "../../../src/ports/certificates.ts";
import { CredentialsError } from "../../../src/ports/credentials.ts";

const openssl = async (...args: string[]): Promise<string> => (await promisify(execFile)("openssl", args)).stdout;

const MINUTE_MS = 60_000;
const { trustDomain } = createKeyMaterial(Buffer.alloc(32, 7));
const issuer = certificateIssuer(trustDomain, systemRandom());
const nowMs = Date.now();
const week = { notBeforeMs: nowMs - MINUTE_MS, notAfterMs: nowMs + 7 * 24 * 60 * MINUTE_MS };
const hour = { notBeforeMs: nowMs - MINUTE_MS, notAfterMs: nowMs + 60 * MINUTE_MS };
const names = ["tokyo.example", "localhost", "127.0.0.1", "::1"];

describe("certificates: issuer", () => {
  let directory: string;

  before(async () => void (directory = await mkdtemp(join(tmpdir(), "registry-issuer-"))));
  after(() => rm(directory, { recursive: true, force: true }));

  async function written(name: string, pem: string): Promise<string> {
    const path = join(directory, name);
    await writeFile(path, pem, { mode: 0o600 });
    return path;
  }

  async function textOf(pem: string): Promise<string> {
    return openssl("x509", "-noout", "-text", "-in", await written("shown.pem", pem));
  }

  it("makes chains that openssl accepts with strict checks, for servers and clients", async () => {
    const authority = await issuer.createAuthority(week);
    const leaf = await issuer.createLeaf(authority, { ...hour, path: "/registry/tokyo", names });
    const ca = await written("ca.pem", new X509Certificate(authority.certificate).toString());
    const cert = await written("leaf.pem", leaf.certificate);
    for (const purpose of ["sslserver", "sslclient"]) {
      const answer = await openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", ca, cert);
      assert.equal(answer.trim(), `${cert}: OK`);
    }
    const named = await openssl("verify", "-x509_strict", "-verify_hostname", "tokyo.example", "-CAfile", ca, cert);
    assert.match(named, /: OK/);
    await assert.rejects(openssl("verify", "-x509_strict", "-verify_hostname", "kyoto.example", "-CAfile", ca, cert));
  });

  it("tells authorities apart that have the same name", async () => {
    const [first, second] = [await issuer.createAuthority(week), await issuer.createAuthority(week)];
    const leaf = await issuer.createLeaf(second, { ...hour, path: "/registry/tokyo", names: [] });
    const cert = await written("leaf.pem", leaf.certificate);
    const pems = [first, second].map(({ certificate }) => new X509Certificate(certificate).toString());
    assert.match(await openssl("verify", "-x509_strict", "-CAfile", await written("both.pem", pems.join("")), cert), /: OK/);
    await assert.rejects(openssl("verify", "-CAfile", await written("first.pem", pems[0] as string), cert));
  });

  it("shows in an authority what the standard asks for", async () => {
    const authority = await issuer.createAuthority(week);
    const text = await textOf(new X509Certificate(authority.certificate).toString());
    assert.match(text, /X509v3 Basic Constraints: critical\s+CA:TRUE, pathlen:0\n/);
    assert.match(text, /X509v3 Key Usage: critical\s+Certificate Sign, CRL Sign\n/);
    assert.match(text, /X509v3 Subject Key Identifier: \s+[0-9A-F:]{59}\n/);
    assert.match(text, new RegExp(`X509v3 Subject Alternative Name: \\s+URI:spiffe://${trustDomain}\n`));
    assert.match(text, new RegExp(`Subject: CN ?= ?${trustDomain}\n`));
    assert.match(text, /ASN1 OID: prime256v1/);
    assert.match(text, /Signature Algorithm: ecdsa-with-SHA256/);
  });

  it("shows in a leaf what the standard asks for", async () => {
    const authority = await issuer.createAuthority(week);
    const leaf = await issuer.createLeaf(authority, { ...hour, path: "/registry/tokyo", names });
    const text = await textOf(leaf.certificate);
    assert.equal(leaf.spiffeId, `spiffe://${trustDomain}/registry/tokyo`);
    assert.match(text, /X509v3 Basic Constraints: critical\s+CA:FALSE\n/);
    assert.match(text, /X509v3 Key Usage: critical\s+Digital Signature\n/);
    assert.match(text, /X509v3 Extended Key Usage: \s+TLS Web Server Authentication, TLS Web Client Authentication\n/);
    assert.match(text, /X509v3 Authority Key Identifier: \s+(?:keyid:)?[0-9A-F:]{59}\n/);
    const alternative = `URI:${leaf.spiffeId}, DNS:tokyo.example, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1`;
    assert.ok(text.includes(`${alternative}\n`), text);
  });

  it("gives every certificate a positive serial number of up to 128 bits, and never one twice", async () => {
    const authority = await issuer.createAuthority(week);
    const serials = new Set<string>();
    for (let i = 0; i < 16; i++) {
      const leaf = await issuer.createLeaf(authority, { ...hour, path: "/registry/tokyo", names: [] });
      const serial = new X509Certificate(leaf.certificate).serialNumber;
      assert.match(serial, /^[0-9A-F]{20,34}$/);
      serials.add(serial);
    }
    assert.equal(serials.size, 16);
  });

  it("ends a leaf with its authority, and says the seconds that stand in the certificate", async () => {
    const authority = await issuer.createAuthority({ notBeforeMs: nowMs - MINUTE_MS, notAfterMs: nowMs + 5_500 });
    const leaf = await issuer.createLeaf(authority, { ...hour, path: "/registry/tokyo", names: [] });
    const parsed = new X509Certificate(leaf.certificate);
    assert.equal(leaf.notAfterMs, authority.notAfterMs);
    assert.equal(Date.parse(parsed.validTo), leaf.notAfterMs);
    assert.equal(Date.parse(parsed.validFrom), leaf.notBeforeMs);
    assert.equal(leaf.notBeforeMs, Math.floor((nowMs - MINUTE_MS) / 1_000) * 1_000);
  });

  it("refuses names that no certificate can carry", async () => {
    const authority = await issuer.createAuthority(week);
    const bad = [
      "",
      "[::1]",
      "tokyo.example:8443",
      "https://tokyo.example",
      "tokyo..example",
      "-a.example",
      "a b",
      "fe80::1%eth0",
    ];
    const longest = "a".repeat(64);
    for (const one of [...bad, longest, "999.1.1.1", "tōkyō.example", `${"a.".repeat(130)}example`]) {
      await assert.rejects(issuer.createLeaf(authority, { ...hour, path: "/registry/tokyo", names: [one] }), isInvalid, one);
    }
    const many = Array.from({ length: LEAF_NAMES_MAX + 1 }, (_, i) => `host-${i}.example`);
    await assert.rejects(issuer.createLeaf(authority, { ...hour, path: "/registry/tokyo", names: many }), isInvalid);
  });

  it("reads an authority back from its file, and says what is wrong with one that it cannot use", async () => {
    const authority = await issuer.createAuthority(week);
    assert.deepEqual(await issuer.readAuthority(authority.pem, "authority-1.pem"), authority);
    const other = await issuer.createAuthority(week);
    const leaf = await issuer.createLeaf(authority, { ...hour, path: "/registry/tokyo", names: [] });
    const keyOf = (pem: string): string => pem.slice(0, pem.indexOf("-----BEGIN CERTIFICATE"));
    const foreign = certificateIssuer(createKeyMaterial(Buffer.alloc(32, 8)).trustDomain, systemRandom());
    const cases: [string, RegExp][] = [
      ["", /does not hold one PRIVATE KEY/],
      [authority.pem.slice(0, 300), /does not hold one PRIVATE KEY/],
      [authority.pem.replace(/MIG./, "MIGX"), /cannot be used/],
      [keyOf(other.pem) + authority.pem.slice(keyOf(authority.pem).length), /do not belong together/],
      [leaf.key + leaf.certificate, /not an authority's/],
      [(await foreign.createAuthority(week)).pem, /this registry's trust domain is/],
    ];
    for (const [pem, message] of cases) {
      await assert.rejects(issuer.readAuthority(pem, "authority-1.pem"), (error: unknown) => {
        assert.ok(error instanceof CredentialsError, String(error));
        assert.equal(error.code, "damaged");
        assert.match(error.message, message);
        assert.match(error.message, /authority-1\.pem .*restore it from a backup, or move it away/);
        return true;
      });
    }
  });
});

function isInvalid(error: unknown): boolean {
  return error instanceof CredentialsError && error.code === "invalid";
}
