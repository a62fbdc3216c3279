import { X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { decodeBundle } from "../../protocols/bundle/bundle.ts";
import { duration } from "./text.ts";

/** One certificate as people look at it. */
export interface CertificateFacts {
  /** The URI of its subject alternative name; `null` for none. */
  readonly spiffeId: string | null;
  /** Hex. */
  readonly serialNumber: string;
  /** ISO 8601. */
  readonly notBefore: string;
  readonly notAfter: string;
  /** SHA-256 of its DER form, hex. */
  readonly fingerprint: string;
  readonly pem: string;
}

/** @param certificate PEM or DER */
export function certificateFacts(certificate: string | Uint8Array): CertificateFacts {
  const parsed = new X509Certificate(certificate);
  return {
    spiffeId: /(?:^|, )URI:(spiffe:[^,]+)/.exec(parsed.subjectAltName ?? "")?.[1] ?? null,
    serialNumber: parsed.serialNumber.toLowerCase(),
    notBefore: parsed.validFromDate.toISOString(),
    notAfter: parsed.validToDate.toISOString(),
    fingerprint: parsed.fingerprint256.replaceAll(":", "").toLowerCase(),
    pem: parsed.toString(),
  };
}

/** The authorities of a SPIFFE bundle document. @throws ProtocolError for what is none */
export function bundleAuthorities(bundle: string): CertificateFacts[] {
  return decodeBundle(bundle).authorities.map((der) => certificateFacts(der));
}

export function isValidAt({ notBefore, notAfter }: CertificateFacts, nowMs: number): boolean {
  return Date.parse(notBefore) <= nowMs && nowMs < Date.parse(notAfter);
}

/** `valid for 2 h 3 min`, `expired 5 s ago`, `valid in 3 d 2 h`. */
export function describeValidity(certificate: CertificateFacts, nowMs: number): string {
  const seconds = (text: string): number => (Date.parse(text) - nowMs) / 1_000;
  const [begins, ends] = [seconds(certificate.notBefore), seconds(certificate.notAfter)];
  if (begins > 0) return `valid in ${duration(begins)}`;
  return ends > 0 ? `valid for ${duration(ends)}` : `expired ${duration(-ends)} ago`;
}

/** A bundle is far shorter, so that this is another file. */
const BUNDLE_FILE_BYTES_MAX = 65_536;

/** The bundle that a registry published last, from its file; `undefined` when there is none to be read. */
export function storedBundle(path: string): string | undefined {
  try {
    if (statSync(path).size > BUNDLE_FILE_BYTES_MAX) return undefined;
    const text = readFileSync(path, "utf8");
    decodeBundle(text);
    return text;
  } catch {
    return undefined;
  }
}
