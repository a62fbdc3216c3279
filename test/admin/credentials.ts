import { certificateIssuer } from "../../src/adapters/certificates/issuer.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { openCredentials } from "../../src/identity/credentials.ts";
import { createRegistryIdentity } from "../../src/identity/registry-identity.ts";
import type { AuthorityFiles, StoredAuthority } from "../../src/ports/certificates.ts";
import type { Credentials } from "../../src/ports/credentials.ts";
import { OWN_SEED, realClock, silentLog } from "./map-node.ts";

/** Certificates of the MapNode's own trust domain, with authorities that live no longer than the test. */
export function ownCredentials(): Promise<Credentials> {
  const identity = createRegistryIdentity(OWN_SEED, "alder");
  const random = systemRandom();
  const issuer = certificateIssuer(identity.trustDomain, random);
  return openCredentials({ identity, issuer, files: new MapFiles(), names: () => [], clock: realClock, random, log: silentLog });
}

class MapFiles implements AuthorityFiles {
  readonly #authorities = new Map<number, StoredAuthority>();
  #bundle: string | undefined;

  read(): ReturnType<AuthorityFiles["read"]> {
    const bundle = this.#bundle === undefined ? undefined : { path: "bundle", text: this.#bundle };
    return Promise.resolve({ authorities: [...this.#authorities.values()], bundle });
  }

  addAuthority(number: number, text: string): Promise<void> {
    this.#authorities.set(number, { number, path: `authority ${number}`, text });
    return Promise.resolve();
  }

  writeBundle(text: string): Promise<void> {
    this.#bundle = text;
    return Promise.resolve();
  }

  removeAuthority(number: number): Promise<void> {
    this.#authorities.delete(number);
    return Promise.resolve();
  }
}
