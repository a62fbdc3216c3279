import { signDescriptor } from "../../protocols/descriptor/codec.ts";
import { encodeIntroduction } from "../../protocols/http/introduction-documents.ts";
import { createRegistryIdentity, type RegistryIdentity } from "../../src/identity/registry-identity.ts";

export const BIRCH: RegistryIdentity = createRegistryIdentity(Buffer.alloc(32, 3), "birch");

/** What birch tells everybody at `/federation/public`, with a descriptor of a minute. */
export function introduction(issuedAt: number = Date.now()): string {
  const { did, name, peerId, spiffeId } = BIRCH;
  const lifetime = { sequence: 1, issuedAt, expiresAt: issuedAt + 60_000 };
  const fields = { did, name, peerId, spiffeId, multiaddrs: [], catalog: { epoch: 0 }, ...lifetime };
  const descriptor = signDescriptor(fields, (bytes) => BIRCH.sign(bytes));
  return Buffer.from(encodeIntroduction({ descriptor })).toString();
}
