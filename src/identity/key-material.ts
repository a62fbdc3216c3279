import { createPrivateKey, createPublicKey, sign, type KeyObject } from "node:crypto";
import { didKey, peerIdOf, trustDomainOf } from "../../protocols/lib/did.ts";

/** An Ed25519 private key as RFC 8032 §5.1.5 gives it: 32 bytes from which the key pair is derived. */
export const SEED_BYTES = 32;

/** One Ed25519 key pair with the spellings of its public key. */
export interface KeyMaterial {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly did: string;
  readonly peerId: string;
  readonly trustDomain: string;
  /** The Ed25519 signature (64 bytes) over exactly these bytes; callers put a domain prefix first. */
  sign(bytes: Uint8Array): Uint8Array;
}

/** Derives the key pair once: importing a key costs as much as a signature. @throws RangeError unless the seed has SEED_BYTES bytes */
export function createKeyMaterial(seed: Uint8Array): KeyMaterial {
  const privateKey = importSeed(seed);
  const publicKey = rawPublicKey(privateKey);
  return {
    publicKey,
    did: didKey(publicKey),
    peerId: peerIdOf(publicKey),
    trustDomain: trustDomainOf(publicKey),
    sign: (bytes) => sign(null, bytes, privateKey),
  };
}

/** The PKCS#8 header of an Ed25519 private key (RFC 8410 §7); the seed follows. */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");
/** The SPKI header of an Ed25519 public key (RFC 8410 §4) has this length; the key follows. */
const SPKI_PREFIX_BYTES = 12;

function importSeed(seed: Uint8Array): KeyObject {
  if (seed.length !== SEED_BYTES) throw new RangeError(`an Ed25519 seed has ${SEED_BYTES} bytes, this one has ${seed.length}`);
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: "der", type: "pkcs8" });
}

function rawPublicKey(privateKey: KeyObject): Uint8Array {
  const spki = createPublicKey(privateKey).export({ format: "der", type: "spki" });
  return Uint8Array.from(spki.subarray(SPKI_PREFIX_BYTES));
}
