import { peerIdOf, trustDomainOf } from "../../../protocols/lib/did.ts";
import type { DescriptorFields } from "../../../protocols/descriptor/descriptor.ts";
import { ACME, type TestKey } from "../checkpoint/support.ts";

/** Unix milliseconds at which test descriptors are issued. */
export const NOW = 1_760_000_000_000;

export function fieldsOf(key: TestKey, fields: Partial<DescriptorFields> = {}, name = "acme"): DescriptorFields {
  const peerId = peerIdOf(key.publicKey);
  return {
    did: key.did,
    name,
    peerId,
    spiffeId: `spiffe://${trustDomainOf(key.publicKey)}/registry/${name}`,
    multiaddrs: [`/ip4/127.0.0.1/tcp/4001/p2p/${peerId}`],
    sequence: 3,
    issuedAt: NOW,
    expiresAt: NOW + 86_400_000,
    catalog: { epoch: 0 },
    ...fields,
  };
}

export function acmeFields(fields: Partial<DescriptorFields> = {}): DescriptorFields {
  return fieldsOf(ACME, fields);
}
