import type { X509Certificate } from "node:crypto";
import { didKey, publicKeyOfTrustDomain } from "../../protocols/lib/did.ts";
import { checkSigned } from "./authority-check.ts";
import { readCertificate, type CertificateFacts } from "./certificate.ts";
import { parseSpiffeId, type SpiffeId } from "./spiffe-id.ts";
import { SvidError } from "./svid-error.ts";

/** Certificates that a peer may present; ours present the leaf alone. */
export const CHAIN_LENGTH_MAX = 4;

/** A registry and the trust bundle of its own descriptor: a descriptor can be given as it is. */
export interface BundledRegistry {
  readonly did: string;
  /** SPIFFE bundle (protocols/bundle). */
  readonly bundle: string;
}

/** Who holds the private key of a certificate, proved. */
export interface PeerSvid {
  readonly spiffeId: string;
  readonly trustDomain: string;
  /** With its leading slash, such as `/registry/tokyo` or `/operator/alice`. */
  readonly path: string;
  /** DID of the registry whose trust domain it is; another spelling of the same key. */
  readonly did: string;
  readonly notBeforeMs: number;
  /** From here on it proves nothing: sessions that rest on it end. */
  readonly notAfterMs: number;
}

/**
 * Checks a peer's X509-SVID (SPIFFE X509-SVID §4 and §5) against the bundle of one registry, whose leaf it must be: bundles are
 * never pooled (T1). The leaf must be signed by an authority of the bundle itself, so what follows it in the chain is passed over.
 * Times count without grace.
 * @param chain DER, the leaf first, 1 to CHAIN_LENGTH_MAX
 * @throws SvidError
 */
export function checkSvid(chain: readonly Uint8Array[], registry: BundledRegistry, nowMs: number): PeerSvid {
  const { leaf, svid } = readLeaf(chain);
  if (svid.did !== registry.did) {
    throw new SvidError("wrong_trust_domain", `the certificate is of ${svid.did}, expected one of ${registry.did}`);
  }
  if (nowMs >= svid.notAfterMs) throw new SvidError("expired", `the certificate ended at ${iso(svid.notAfterMs)}; renew it`);
  if (nowMs < svid.notBeforeMs) {
    const message = `the certificate begins at ${iso(svid.notBeforeMs)}, here it is ${iso(nowMs)}; compare the clocks`;
    throw new SvidError("not_yet_valid", message);
  }
  checkSigned(leaf, registry.bundle, svid.trustDomain, nowMs);
  return svid;
}

/**
 * The DID of the registry that the leaf claims to be of: whose bundle to look up for `checkSvid`. It proves nothing.
 * @throws SvidError for what no bundle could make valid
 */
export function claimedDid(chain: readonly Uint8Array[]): string {
  return readLeaf(chain).svid.did;
}

/**
 * The chain for `checkSvid` from `tls.TLSSocket.getPeerX509Certificate()`; empty where no certificate was presented. TLS has
 * proved possession of the leaf's key, whatever was decided about its authority (`rejectUnauthorized: false`).
 */
export function chainOfPeer(certificate: Pick<X509Certificate, "raw"> | undefined): Uint8Array[] {
  return certificate === undefined ? [] : [certificate.raw];
}

function readLeaf(chain: readonly Uint8Array[]): { readonly leaf: CertificateFacts; readonly svid: PeerSvid } {
  const [der] = chain;
  if (der === undefined) throw new SvidError("malformed", "no certificate was presented; present an X509-SVID");
  if (chain.length > CHAIN_LENGTH_MAX) {
    throw new SvidError("malformed", `a chain of ${chain.length} certificates, at most ${CHAIN_LENGTH_MAX} are taken`);
  }
  const leaf = readCertificate(der);
  const spiffeId = onlyUri(leaf.uris);
  const { trustDomain, path } = parseLeafId(spiffeId);
  checkLeafUse(leaf);
  const { notBeforeMs, notAfterMs } = leaf;
  return { leaf, svid: { ...{ spiffeId, trustDomain, path, did: didOf(trustDomain) }, ...{ notBeforeMs, notAfterMs } } };
}

function onlyUri(uris: readonly string[]): string {
  const [uri] = uris;
  if (uri === undefined) throw new SvidError("no_spiffe_id", "the certificate has no URI among its subject alternative names");
  if (uris.length > 1) throw new SvidError("two_uris", `the certificate has ${uris.length} URIs, an X509-SVID has exactly one`);
  return uri;
}

const URI_SHOWN_MAX = 200;

function parseLeafId(uri: string): SpiffeId {
  const id = parseSpiffeId(uri);
  const shown = JSON.stringify(uri.slice(0, URI_SHOWN_MAX));
  if (id === undefined) throw new SvidError("bad_spiffe_id", `${shown} is not a SPIFFE ID`);
  if (id.path === "") throw new SvidError("bad_spiffe_id", `${shown} names a trust domain; a leaf's SPIFFE ID has a path`);
  return id;
}

function checkLeafUse(leaf: CertificateFacts): void {
  if (leaf.isAuthority) throw new SvidError("is_authority", "the certificate is an authority's; present a leaf");
  const { keyUsage } = leaf;
  if (keyUsage?.isCritical !== true) throw new SvidError("bad_key_usage", "key usage must be there and critical");
  if (!keyUsage.digitalSignature) throw new SvidError("bad_key_usage", "key usage must include digitalSignature");
  if (keyUsage.keyCertSign || keyUsage.cRLSign) {
    throw new SvidError("bad_key_usage", "key usage of a leaf includes neither keyCertSign nor cRLSign");
  }
  if (!leaf.isForTls) {
    throw new SvidError("bad_key_usage", "extended key usage, where it is there, includes serverAuth and clientAuth");
  }
  if (!leaf.isP256) throw new SvidError("wrong_key", "the certificate's key must be on the curve P-256");
}

function didOf(trustDomain: string): string {
  try {
    return didKey(publicKeyOfTrustDomain(trustDomain));
  } catch (cause) {
    const message = `the trust domain ${JSON.stringify(trustDomain.slice(0, URI_SHOWN_MAX))} is not a registry's key`;
    throw new SvidError("wrong_trust_domain", message, { cause });
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
