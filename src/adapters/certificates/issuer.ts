import "reflect-metadata";
import { createPrivateKey, webcrypto } from "node:crypto";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import type { Authority, CertificateIssuer, LeafRequest, Validity } from "../../ports/certificates.ts";
import type { Svid } from "../../ports/credentials.ts";
import type { Random } from "../../ports/random.ts";
import { readAuthorityFile } from "./authority-file.ts";
import { alternativeNames } from "./names.ts";

const P256 = { name: "ECDSA", namedCurve: "P-256" };
const SIGNING = { name: "ECDSA", hash: "SHA-256" };
/** 128 bits of chance; RFC 5280 §4.1.2.2 takes up to 20 bytes, and the encoder keeps them positive. */
const SERIAL_BYTES = 16;

/**
 * Makes the certificates of one trust domain as SPIFFE X509-SVID (§2 to §4) and RFC 5280 ask. The key of a new certificate comes
 * from the system's generator, its serial number from `random`.
 */
export function certificateIssuer(trustDomain: string, random: Random): CertificateIssuer {
  const spiffeId = `spiffe://${trustDomain}`;
  const serialNumber = (): string => Buffer.from(random.bytes(SERIAL_BYTES)).toString("hex");

  async function createAuthority(validity: Validity): Promise<Authority> {
    const keys = await newKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      ...{ keys, signingAlgorithm: SIGNING, serialNumber: serialNumber(), ...dates(validity) },
      name: [{ CN: [trustDomain] }],
      extensions: [
        // Its leaves are the end of every chain.
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
        new SubjectAlternativeNameExtension(alternativeNames(spiffeId, [])),
      ],
    });
    const pem = (await pkcs8Pem(keys)) + pemOf(certificate);
    return { certificate: new Uint8Array(certificate.rawData), pem, ...validityOf(certificate) };
  }

  async function createLeaf(authority: Authority, request: LeafRequest): Promise<Svid> {
    const issuer = new X509Certificate(authority.certificate);
    const keys = await newKeys();
    const notAfterMs = Math.min(request.notAfterMs, authority.notAfterMs);
    const id = spiffeId + request.path;
    const certificate = await X509CertificateGenerator.create({
      ...{ publicKey: keys.publicKey, signingKey: await signingKey(authority), signingAlgorithm: SIGNING },
      ...{ serialNumber: serialNumber(), ...dates({ notBeforeMs: request.notBeforeMs, notAfterMs }) },
      // The SPIFFE ID is the name that counts; a subject that equals its issuer's would pass for self-signed.
      ...{ issuer: issuer.subjectName, subject: [{ O: [trustDomain] }] },
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
        await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
        new SubjectAlternativeNameExtension(alternativeNames(id, request.names)),
      ],
    });
    return { spiffeId: id, certificate: pemOf(certificate), key: await pkcs8Pem(keys), ...validityOf(certificate) };
  }

  const readAuthority = (pem: string, path: string): Promise<Authority> =>
    Promise.resolve().then(() => readAuthorityFile(pem, path, spiffeId));
  return { createAuthority, createLeaf, readAuthority };
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(P256, true, ["sign", "verify"]);
}

async function pkcs8Pem(keys: webcrypto.CryptoKeyPair): Promise<string> {
  return PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY") + "\n";
}

function signingKey(authority: Authority): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(authority.pem).export({ format: "der", type: "pkcs8" });
  return webcrypto.subtle.importKey("pkcs8", der, P256, false, ["sign"]);
}

function pemOf(certificate: X509Certificate): string {
  return certificate.toString("pem") + "\n";
}

const SECOND_MS = 1_000;

/** Certificates have no fractions of a second. */
function dates({ notBeforeMs, notAfterMs }: Validity): { readonly notBefore: Date; readonly notAfter: Date } {
  const whole = (ms: number): Date => new Date(Math.floor(ms / SECOND_MS) * SECOND_MS);
  return { notBefore: whole(notBeforeMs), notAfter: whole(notAfterMs) };
}

function validityOf(certificate: X509Certificate): Validity {
  return { notBeforeMs: certificate.notBefore.getTime(), notAfterMs: certificate.notAfter.getTime() };
}
