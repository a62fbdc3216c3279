import { base36 } from "multiformats/bases/base36";
import { base58btc } from "multiformats/bases/base58";
import { concat, equal } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { isUsable, PUBLIC_KEY_BYTES } from "./keys.ts";

/**
 * One Ed25519 key, three spellings: `did:key` (W3C did:key, multicodec 0xed), libp2p PeerId (identity multihash of the
 * protobuf key, base58) and the SPIFFE trust domain (the PeerId as CIDv1 in base36). They convert without a look-up.
 */
const DID_KEY_PREFIX = "did:key:";
const MULTICODEC_ED25519 = Uint8Array.of(0xed, 0x01);
/** Identity multihash (0x00, length 36) of the protobuf public key {type: Ed25519, data: 32 bytes}. */
const PEER_ID_PREFIX = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20);
/** CIDv1, multicodec libp2p-key. */
const CID_PREFIX = Uint8Array.of(0x01, 0x72);

/** DIDs longer than this many characters are refused everywhere. */
export const DID_LENGTH_MAX = 512;

export function didKey(publicKey: Uint8Array): string {
  return DID_KEY_PREFIX + base58btc.encode(concat(MULTICODEC_ED25519, publicKey));
}

export function peerIdOf(publicKey: Uint8Array): string {
  return base58btc.baseEncode(concat(PEER_ID_PREFIX, publicKey));
}

export function trustDomainOf(publicKey: Uint8Array): string {
  return base36.encode(concat(CID_PREFIX, PEER_ID_PREFIX, publicKey));
}

/** @throws ProtocolError `bad_did` unless it is a canonical did:key of a usable Ed25519 key */
export function publicKeyOfDid(did: string): Uint8Array {
  return decode(did, DID_KEY_PREFIX, MULTICODEC_ED25519, (text) => base58btc.decode(text), didKey);
}

/** @throws ProtocolError `bad_did` unless it is the PeerId of a usable Ed25519 key */
export function publicKeyOfPeerId(peerId: string): Uint8Array {
  return decode(peerId, "", PEER_ID_PREFIX, (text) => base58btc.baseDecode(text), peerIdOf);
}

/** @throws ProtocolError `bad_did` unless it is a trust domain made by `trustDomainOf` */
export function publicKeyOfTrustDomain(trustDomain: string): Uint8Array {
  return decode(trustDomain, "", concat(CID_PREFIX, PEER_ID_PREFIX), (text) => base36.decode(text), trustDomainOf);
}

export function didOfPeerId(peerId: string): string {
  return didKey(publicKeyOfPeerId(peerId));
}

export function peerIdOfDid(did: string): string {
  return peerIdOf(publicKeyOfDid(did));
}

/** Whether the DID itself carries an Ed25519 key, so that its agent can sign for itself. */
export function isSelfCertified(did: string): boolean {
  return did.startsWith(DID_KEY_PREFIX);
}

const MINTED_PREFIX = "did:theprotocol:";

/**
 * The DID that a registry mints for an agent without one: `did:theprotocol:<registry key, base36>:<segments>`, each segment of
 * `humanReadableId` in NFC, percent-encoded. Deterministic, so that a second import finds the same agent.
 */
export function mintDid(registryKey: Uint8Array, humanReadableId: string): string {
  const segments = humanReadableId.normalize("NFC").split("/").map(encodeSegment);
  return `${MINTED_PREFIX}${trustDomainOf(registryKey)}:${segments.join(":")}`;
}

/** The registry key in a minted DID; `undefined` for DIDs of other methods. @throws ProtocolError `bad_did` for a malformed one */
export function ownerOfMinted(did: string): Uint8Array | undefined {
  if (!did.startsWith(MINTED_PREFIX)) return undefined;
  const [owner, ...segments] = did.slice(MINTED_PREFIX.length).split(":");
  if (segments.length === 0 || segments.some((segment) => segment === "" || encodeSegment(decodeSegment(segment)) !== segment)) {
    throw new ProtocolError("bad_did", `"${did.slice(0, 120)}" is not a minted DID: segments must be NFC and percent-encoded`);
  }
  return publicKeyOfTrustDomain(owner ?? "");
}

/** DID syntax (W3C DID Core §3.1), at most DID_LENGTH_MAX characters. */
export function isDid(text: string): boolean {
  return text.length <= DID_LENGTH_MAX && /^did:[a-z0-9]+:(?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2}|:(?=.))+$/.test(text);
}

function encodeSegment(segment: string): string {
  const escape = (character: string): string => "%" + character.charCodeAt(0).toString(16).toUpperCase();
  return encodeURIComponent(segment).replace(/[!'()*~]/g, escape);
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment).normalize("NFC");
  } catch {
    return "";
  }
}

function decode(
  text: string,
  prefix: string,
  head: Uint8Array,
  read: (text: string) => Uint8Array,
  spell: (key: Uint8Array) => string,
): Uint8Array {
  try {
    const bytes = read(text.slice(prefix.length));
    const key = bytes.subarray(head.length);
    const fits = text.length <= DID_LENGTH_MAX && text.startsWith(prefix) && equal(bytes.subarray(0, head.length), head);
    if (fits && key.length === PUBLIC_KEY_BYTES && isUsable(key) && spell(key) === text) return key;
  } catch {
    // Fall through: whatever the base decoder disliked, the answer is the same.
  }
  throw new ProtocolError("bad_did", `"${text.slice(0, 120)}" does not name an Ed25519 key`);
}
