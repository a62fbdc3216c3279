import { decodeBundle } from "../../protocols/bundle/bundle.ts";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import { memo } from "../../protocols/lib/memo.ts";
import { readCertificate, type CertificateFacts } from "./certificate.ts";
import { SvidError } from "./svid-error.ts";

/** Bundles whose certificates are kept parsed, at most 8 KB of text each: one is parsed at every handshake otherwise. */
export const BUNDLES_REMEMBERED_MAX = 512;

/**
 * Whether an authority of the bundle signed the leaf, and may: of this trust domain, for certificates, within its own validity.
 * @throws SvidError `untrusted`
 */
export function checkSigned(leaf: CertificateFacts, bundle: string, trustDomain: string, nowMs: number): void {
  const signer = readAuthorities(bundle).find((authority) => isSigned(leaf, authority));
  if (signer === undefined) throw new SvidError("untrusted", "no authority of the registry's own bundle signed the certificate");
  const problem = authorityProblem(signer, trustDomain, nowMs);
  if (problem !== undefined) throw new SvidError("untrusted", `the authority that signed the certificate ${problem}`);
}

/** What keeps a certificate from being an authority of the trust domain now (X509-SVID §4, §5.1); `undefined` for nothing. */
export function authorityProblem(authority: CertificateFacts, trustDomain: string, nowMs: number): string | undefined {
  const { isAuthority, isP256, keyUsage, uris } = authority;
  if (!isAuthority) return "is not marked as an authority (basicConstraints)";
  if (keyUsage?.keyCertSign !== true) return "may not sign certificates (keyUsage)";
  if (!isP256) return "has a key that is not on the curve P-256";
  const foreign = uris.find((uri) => uri !== `spiffe://${trustDomain}`);
  if (uris.length > 1 || foreign !== undefined) return "is of another trust domain, or has a path in its SPIFFE ID";
  if (nowMs >= authority.notAfterMs) return "has expired";
  if (nowMs < authority.notBeforeMs) return "is not valid yet";
  return undefined;
}

/** By name, key identifier and signature. */
function isSigned(leaf: CertificateFacts, authority: CertificateFacts): boolean {
  try {
    const issuer = authority.certificate;
    return leaf.hasStrongSignature && leaf.certificate.checkIssued(issuer) && leaf.certificate.verify(issuer.publicKey);
  } catch {
    // A key that cannot verify this kind of signature did not make it.
    return false;
  }
}

/** Of a bundle that cannot be read, nothing is trusted; one bad authority does not take the others with it. */
function readAuthorities(bundle: string): readonly CertificateFacts[] {
  try {
    return authoritiesIn(bundle);
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause;
    throw new SvidError("untrusted", `the registry's bundle cannot be read: ${cause.message}`, { cause });
  }
}

const authoritiesIn = memo(BUNDLES_REMEMBERED_MAX, (bundle) => decodeBundle(bundle).authorities.flatMap(tryRead));

function tryRead(der: Uint8Array): CertificateFacts[] {
  try {
    return [readCertificate(der)];
  } catch {
    return [];
  }
}
