import { createPublicKey, hash, verify, type KeyObject } from "node:crypto";
import { equal } from "./bytes.ts";

/** Ed25519 (RFC 8032) signatures are checked with node's own implementation; imported keys are cached, as an import costs 60 µs. */
export const PUBLIC_KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;

/**
 * Signatures remembered as valid, oldest out first: the same descriptors and checkpoints come by gossip and in every hello, and
 * a check costs a hundred times a look-up. What is remembered is the signature with its key and the hash of its message.
 */
export const VERIFIED_MAX = 8_192;
const verified = new Map<string, string>();

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
  if (key === undefined) return false;
  const name = latin1(signature);
  const what = latin1(publicKey) + hash("sha256", message, "binary");
  if (verified.get(name) === what) return true;
  if (!verify(null, message, key, signature)) return false;
  if (verified.size >= VERIFIED_MAX) verified.delete(verified.keys().next().value as string);
  verified.set(name, what);
  return true;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

function importKey(publicKey: Uint8Array): KeyObject | undefined {
  const name = latin1(publicKey);
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

/**
 * 32 bytes, y below the field prime (RFC 8032 §5.1.3, so that a key has one spelling), and none of the eight points of small
 * order. Whether the point lies on the curve shows when a signature is checked: by a key that does not, none is valid.
 */
export function isUsable(publicKey: Uint8Array): boolean {
  if (publicKey.length !== PUBLIC_KEY_BYTES) return false;
  const y = Buffer.from(publicKey);
  y[31] = (y[31] as number) & 0x7f;
  return y.reverse().compare(FIELD_PRIME) < 0 && !SMALL_ORDER.some((point) => equal(point, y));
}

/** 2^255 - 19, most significant byte first. */
const FIELD_PRIME = Buffer.from("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed", "hex");

// The y coordinates of the points of order 4, 1, 2 and 8 (two), most significant byte first.
const SMALL_ORDER: readonly Uint8Array[] = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000001",
  "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffec",
  "05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826",
  "7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7",
].map((text) => Buffer.from(text, "hex"));
