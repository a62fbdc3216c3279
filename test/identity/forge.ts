import "reflect-metadata";
import { webcrypto } from "node:crypto";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
  type Extension,
  type JsonGeneralName,
} from "@peculiar/x509";

/** Certificates of every kind, good and bad, whose parts are chosen one by one. */
export interface Parts {
  readonly names?: readonly JsonGeneralName[];
  readonly isAuthority?: boolean;
  /** `null` leaves the extension out. */
  readonly usage?: number | null;
  readonly usageIsCritical?: boolean;
  readonly extendedUsage?: readonly string[] | null;
  readonly more?: readonly Extension[];
  readonly keys?: webcrypto.CryptoKeyPair;
  readonly hash?: "SHA-1" | "SHA-256";
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
}

export interface Forged {
  readonly der: Uint8Array;
  readonly keys: webcrypto.CryptoKeyPair;
  readonly subject: string;
}

const MINUTE_MS = 60_000;
/** When the forged certificates are valid unless told otherwise. */
export const FORGED_MS = 1_790_000_000_000;

export async function ecKeys(namedCurve = "P-256"): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey({ name: "ECDSA", namedCurve }, true, ["sign", "verify"]);
}

export async function forgeAuthority(trustDomain: string, parts: Parts = {}): Promise<Forged> {
  const usage = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign;
  const names: JsonGeneralName[] = [{ type: "url", value: `spiffe://${trustDomain}` }];
  return forge(`CN=${trustDomain}`, undefined, { names, isAuthority: true, usage, extendedUsage: null, ...parts });
}

export async function forgeLeaf(signer: Forged, spiffeId: string, parts: Parts = {}): Promise<Forged> {
  return forge("O=leaf", signer, { names: [{ type: "url", value: spiffeId }], ...parts });
}

async function forge(subject: string, signer: Forged | undefined, parts: Parts): Promise<Forged> {
  const keys = parts.keys ?? (await ecKeys());
  const by = signer ?? { keys, subject };
  const { usage = KeyUsageFlags.digitalSignature, usageIsCritical = true } = parts;
  const { extendedUsage = [ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth] } = parts;
  const extensions: Extension[] = [
    new BasicConstraintsExtension(parts.isAuthority ?? false, undefined, true),
    await SubjectKeyIdentifierExtension.create(keys.publicKey),
    await AuthorityKeyIdentifierExtension.create(by.keys.publicKey),
    ...(usage === null ? [] : [new KeyUsagesExtension(usage, usageIsCritical)]),
    ...(extendedUsage === null ? [] : [new ExtendedKeyUsageExtension([...extendedUsage])]),
    ...(parts.names === undefined || parts.names.length === 0 ? [] : [new SubjectAlternativeNameExtension([...parts.names])]),
    ...(parts.more ?? []),
  ];
  const certificate = await X509CertificateGenerator.create({
    ...{ subject, issuer: by.subject, publicKey: keys.publicKey, signingKey: by.keys.privateKey, extensions },
    signingAlgorithm: { name: "ECDSA", hash: parts.hash ?? "SHA-256" },
    notBefore: new Date(parts.notBeforeMs ?? FORGED_MS - MINUTE_MS),
    notAfter: new Date(parts.notAfterMs ?? FORGED_MS + 60 * MINUTE_MS),
  });
  return { der: new Uint8Array(certificate.rawData), keys, subject };
}
