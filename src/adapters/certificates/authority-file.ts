import "reflect-metadata";
import { createPrivateKey, X509Certificate, type KeyObject } from "node:crypto";
import { SubjectAlternativeNameExtension, X509Certificate as ParsedCertificate } from "@peculiar/x509";
import type { Authority } from "../../ports/certificates.ts";
import { CredentialsError } from "../../ports/credentials.ts";

const BLOCKS =
  /^(-----BEGIN PRIVATE KEY-----\n[A-Za-z0-9+/=\n]+\n-----END PRIVATE KEY-----)\n(-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+\n-----END CERTIFICATE-----)\n$/;

/**
 * An authority as its PEM file holds it: the PKCS#8 key, then the certificate of that key and of this trust domain.
 * @param spiffeId of the trust domain, without a path
 * @throws CredentialsError `damaged`
 */
export function readAuthorityFile(pem: string, path: string, spiffeId: string): Authority {
  const [, keyPem, certificatePem] = BLOCKS.exec(pem) ?? [];
  if (keyPem === undefined || certificatePem === undefined) {
    throw damaged(path, "it does not hold one PRIVATE KEY block and one CERTIFICATE block");
  }
  const { key, certificate } = parse(keyPem, certificatePem, path);
  if (key.asymmetricKeyDetails?.namedCurve !== "prime256v1") throw damaged(path, "its key is not on the curve P-256");
  if (!certificate.checkPrivateKey(key)) throw damaged(path, "its key and its certificate do not belong together");
  if (!certificate.ca) throw damaged(path, "its certificate is not an authority's");
  const parsed = new ParsedCertificate(certificate.raw);
  const uris = parsed.getExtension(SubjectAlternativeNameExtension)?.names.items.map(({ value }) => value) ?? [];
  if (uris.length !== 1 || uris[0] !== spiffeId) {
    throw damaged(path, `it is of ${uris.join(", ") || "no trust domain"}, this registry's trust domain is ${spiffeId}`);
  }
  return {
    ...{ certificate: Uint8Array.from(certificate.raw), pem },
    ...{ notBeforeMs: parsed.notBefore.getTime(), notAfterMs: parsed.notAfter.getTime() },
  };
}

function parse(keyPem: string, certificatePem: string, path: string): { key: KeyObject; certificate: X509Certificate } {
  try {
    return { key: createPrivateKey(keyPem), certificate: new X509Certificate(certificatePem) };
  } catch (cause) {
    throw damaged(path, (cause as Error).message, cause);
  }
}

function damaged(path: string, why: string, cause?: unknown): CredentialsError {
  const advice =
    "restore it from a backup, or move it away: a new authority is made then, and peers learn it with our descriptor";
  return new CredentialsError("damaged", `the certificate authority ${path} cannot be used: ${why}; ${advice}`, { cause });
}
