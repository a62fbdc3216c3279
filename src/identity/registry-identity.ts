import { createKeyMaterial, type KeyMaterial } from "./key-material.ts";
import { spiffeId } from "./name.ts";

/** Who this registry is: its name, and one Ed25519 key in its three spellings (architecture, identity). */
export interface RegistryIdentity extends KeyMaterial {
  readonly name: string;
  readonly spiffeId: string;
}

/**
 * @param seed 32 bytes, see `createKeyMaterial`
 * @throws ProtocolError `schema` for a name that no SPIFFE ID can carry
 */
export function createRegistryIdentity(seed: Uint8Array, name: string): RegistryIdentity {
  const key = createKeyMaterial(seed);
  return { ...key, name, spiffeId: spiffeId(key.trustDomain, name) };
}
