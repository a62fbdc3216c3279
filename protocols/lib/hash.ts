import { hash as cryptoHash } from "node:crypto";
import { KEY_DOMAIN, RECORD_DOMAIN } from "./domains.ts";

/** SHA-256 everywhere: 32 bytes. */
export const HASH_BYTES = 32;

export function sha256(bytes: Uint8Array): Uint8Array {
  return fromLatin1(cryptoHash("sha256", bytes, "binary"));
}

/** SHA-256 over a domain prefix and the bytes. */
export function domainHash(domain: Uint8Array, bytes: Uint8Array): Uint8Array {
  const length = domain.length + bytes.length;
  if (length > scratch.length) return sha256(Buffer.concat([domain, bytes]));
  scratch.set(domain, 0);
  scratch.set(bytes, domain.length);
  return fromLatin1(cryptoHash("sha256", scratch.subarray(0, length), "binary"));
}

/** The map's key of an agent: K = SHA-256(key domain ‖ DID). */
export function keyOf(did: string): Uint8Array {
  return fromLatin1(cryptoHash("sha256", KEY_DOMAIN_TEXT + did, "binary"));
}

/** The map's value of a record: V = SHA-256(record domain ‖ exact record bytes). */
export function valueOf(record: Uint8Array): Uint8Array {
  return domainHash(RECORD_DOMAIN, record);
}

// A text is hashed as UTF-8; the domain is ASCII, so it can stand in front of it.
const KEY_DOMAIN_TEXT = Buffer.from(KEY_DOMAIN).toString("latin1");

// One copy into a buffer that is reused and one binary (latin1) string out cost half of what createHash costs at 500 bytes.
const SCRATCH_BYTES = 262_144;
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

function fromLatin1(digest: string): Uint8Array {
  const out = Buffer.allocUnsafe(HASH_BYTES);
  out.write(digest, 0, HASH_BYTES, "latin1");
  return out;
}
