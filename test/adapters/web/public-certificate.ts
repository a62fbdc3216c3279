import "reflect-metadata";
import { webcrypto } from "node:crypto";
import {
  BasicConstraintsExtension,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
  type JsonGeneralName,
} from "@peculiar/x509";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A certificate as servers of the public web have it, and the root that vouches for it. */
export interface PublicCertificate {
  /** PEM. */
  readonly root: string;
  readonly leaf: { readonly cert: string; readonly key: string };
  readonly issuer: { readonly certificate: X509Certificate; readonly keys: webcrypto.CryptoKeyPair };
}

/** @param by the root of that one signs, too; a new root by default */
export async function publicCertificate(names: readonly string[], by?: PublicCertificate): Promise<PublicCertificate> {
  const issuer = by?.issuer ?? (await newRoot());
  const keys = await newKeys();
  const alternatives = names.map((value): JsonGeneralName => ({ type: /^[\d.]+$/.test(value) ? "ip" : "dns", value }));
  const certificate = await X509CertificateGenerator.create({
    ...{ publicKey: keys.publicKey, signingKey: issuer.keys.privateKey, signingAlgorithm: ALGORITHM, ...validity() },
    ...{ issuer: issuer.certificate.subjectName, subject: [{ CN: [names[0] as string] }] },
    extensions: [new SubjectAlternativeNameExtension(alternatives)],
  });
  const der = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  const key = `-----BEGIN PRIVATE KEY-----\n${Buffer.from(der).toString("base64")}\n-----END PRIVATE KEY-----\n`;
  return { root: issuer.certificate.toString("pem"), leaf: { cert: certificate.toString("pem"), key }, issuer };
}

async function newRoot(): Promise<PublicCertificate["issuer"]> {
  const keys = await newKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...{ keys, signingAlgorithm: ALGORITHM, name: [{ CN: ["Test Root"] }], ...validity() },
    extensions: [new BasicConstraintsExtension(true, undefined, true)],
  });
  return { certificate, keys };
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

function validity(): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) };
}
