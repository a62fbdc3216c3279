import { signDescriptor } from "../../protocols/descriptor/codec.ts";
import type { DescriptorFields } from "../../protocols/descriptor/descriptor.ts";
import { certificateIssuer } from "../../src/adapters/certificates/issuer.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import type { RegistryIdentity } from "../../src/identity/registry-identity.ts";
import type { Authority, Validity } from "../../src/ports/certificates.ts";
import type { Svid } from "../../src/ports/credentials.ts";

/** What a registry shows of itself: certificates and descriptors, made by hand. */

export const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** From a minute ago until in `ms`. */
export function validFor(ms: number): Validity {
  return { notBeforeMs: Date.now() - MINUTE_MS, notAfterMs: Date.now() + ms };
}

/** Of seven days, begun an hour ago. */
export function newAuthority(identity: RegistryIdentity): Promise<Authority> {
  return certificateIssuer(identity.trustDomain, systemRandom()).createAuthority({
    notBeforeMs: Date.now() - HOUR_MS,
    notAfterMs: Date.now() + 7 * DAY_MS,
  });
}

/** A leaf in the name of `identity`, whoever's authority signs it. @param path of its SPIFFE ID; the registry's own by default */
export function leafOf(
  identity: RegistryIdentity,
  authority: Authority,
  validity: Validity,
  path: string = `/registry/${identity.name}`,
): Promise<Svid> {
  const request = { ...validity, path, names: ["localhost", "127.0.0.1"] };
  return certificateIssuer(identity.trustDomain, systemRandom()).createLeaf(authority, request);
}

/** A signed descriptor of one day. */
export function descriptorOf(
  identity: RegistryIdentity,
  fields: Pick<DescriptorFields, "sequence" | "bundle"> & Partial<DescriptorFields>,
): Uint8Array {
  const { did, name, peerId, spiffeId } = identity;
  const nowMs = Date.now();
  const usual = {
    ...{ did, name, peerId, spiffeId, multiaddrs: [], issuedAt: nowMs, expiresAt: nowMs + DAY_MS },
    ...{ catalog: { epoch: 0 }, facade: { urls: [] } },
  };
  return signDescriptor({ ...usual, ...fields }, (bytes) => identity.sign(bytes));
}
