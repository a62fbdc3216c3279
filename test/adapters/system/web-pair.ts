import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { PemConverter, SubjectAlternativeNameExtension, X509CertificateGenerator } from "@peculiar/x509";
import type { WebCertificatePair } from "../../../src/adapters/system/web-certificate-pair.ts";

export const HOUR_MS = 3_600_000;
/** The domain that a pair is for, unless it is told otherwise. */
export const DOMAIN = "registry.acme.example";

export interface PairOptions {
  /** DNS names. */
  readonly names?: readonly string[];
  readonly commonName?: string;
  /** From now; negative for the past. */
  readonly beginsInMs?: number;
  /** From now until its end; negative for one that has ended. */
  readonly lifetimeMs?: number;
}

/** A certificate of the public web, as far as its server can tell, with its key. */
export async function newPair(options: PairOptions = {}): Promise<WebCertificatePair> {
  const { names = [DOMAIN], commonName = "web", beginsInMs = -2 * HOUR_MS, lifetimeMs = HOUR_MS } = options;
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const nowMs = Date.now();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...{ keys, signingAlgorithm: algorithm, name: [{ CN: [commonName] }] },
    ...{ notBefore: new Date(nowMs + beginsInMs), notAfter: new Date(nowMs + lifetimeMs) },
    extensions:
      names.length === 0 ? [] : [new SubjectAlternativeNameExtension(names.map((value) => ({ type: "dns" as const, value })))],
  });
  const key = PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  return { certificate: certificate.toString("pem"), key };
}
