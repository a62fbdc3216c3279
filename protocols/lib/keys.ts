import { createPublicKey, verify, type KeyObject } from "node:crypto";
import { equal } from "./bytes.ts";

/** Ed25519 (RFC 8032) signatures are checked with node's own implementation; imported keys are cached, as an import costs 60 µs. */
export const PUBLIC_KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;

/** Imported public keys kept; the oldest leave first. */
export const KEY_CACHE_MAX = 4_096;

const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");
const cache = new Map<string, KeyObject | undefined>();

/**
 * True only for a valid signature by a key of full order: small-order keys, for which one signature fits many messages, are
 * refused, and so is every input of a wrong length. Never throws.
 */
export function verifySignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false;
  const key = importKey(publicKey);
  return key !== undefined && verify(null, message, key, signature);
}

function importKey(publicKey: Uint8Array): KeyObject | undefined {
  const name = Buffer.from(publicKey).toString("latin1");
  if (cache.has(name)) return cache.get(name);
  const key = isUsable(publicKey) ? tryImport(publicKey) : undefined;
  if (cache.size >= KEY_CACHE_MAX) cache.delete(cache.keys().next().value as string);
  cache.set(name, key);
  return key;
}

function tryImport(publicKey: Uint8Array): KeyObject | undefined {
  try {
    return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: "der", type: "spki" });
  } catch {
    return undefined;
  }
}

/** 32 bytes and none of the encodings of the eight points of small order. */
export function isUsable(publicKey: Uint8Array): boolean {
  if (publicKey.length !== PUBLIC_KEY_BYTES) return false;
  const unsigned = Buffer.from(publicKey);
  unsigned[31] = (unsigned[31] as number) & 0x7f;
  return !SMALL_ORDER.some((point) => equal(point, unsigned));
}

// The y coordinates of the points of order 1, 2, 4 and 8, and their non-canonical encodings (y + p), sign bit cleared.
const SMALL_ORDER: readonly Uint8Array[] = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
].map((text) => Buffer.from(text, "hex"));
