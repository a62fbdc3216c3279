import { base36 } from "multiformats/bases/base36";
import { base58btc } from "multiformats/bases/base58";
import { concat, equal } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { isUsable, PUBLIC_KEY_BYTES } from "./keys.ts";
import { memo } from "./memo.ts";

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

/** No spelling of a key is longer, in characters; the longest is the trust domain with 62. */
const SPELLING_LENGTH_MAX = 80;

/** DIDs longer than this many characters are refused everywhere. */
export const DID_LENGTH_MAX = 512;

/** Spellings remembered: a conversion costs 10 to 30 µs, and the same few registries stand in every record and frame. */
export const SPELLINGS_REMEMBERED_MAX = 4_096;

export function didKey(publicKey: Uint8Array): string {
  return didOfKey(latin1(publicKey));
}

const didOfKey = memo(
  SPELLINGS_REMEMBERED_MAX,
  (key) => DID_KEY_PREFIX + base58btc.encode(concat(MULTICODEC_ED25519, Buffer.from(key, "latin1"))),
);

export function peerIdOf(publicKey: Uint8Array): string {
  return peerId(latin1(publicKey));
}

const peerId = memo(SPELLINGS_REMEMBERED_MAX, (key) => base58btc.baseEncode(concat(PEER_ID_PREFIX, Buffer.from(key, "latin1"))));

export function trustDomainOf(publicKey: Uint8Array): string {
  return trustDomain(latin1(publicKey));
}

const trustDomain = memo(SPELLINGS_REMEMBERED_MAX, (key) =>
  base36.encode(concat(CID_PREFIX, PEER_ID_PREFIX, Buffer.from(key, "latin1"))),
);

/** @throws ProtocolError `bad_did` unless it is a canonical did:key of a usable Ed25519 key */
export function publicKeyOfDid(did: string): Uint8Array {
  return keyOfDid(did);
}

const keyOfDid = memo(SPELLINGS_REMEMBERED_MAX, (did) =>
  decode(did, DID_KEY_PREFIX, MULTICODEC_ED25519, (text) => base58btc.decode(text), didKey),
);

/** @throws ProtocolError `bad_did` unless it is the PeerId of a usable Ed25519 key */
export function publicKeyOfPeerId(peerId: string): Uint8Array {
  return keyOfPeerId(peerId);
}

const keyOfPeerId = memo(SPELLINGS_REMEMBERED_MAX, (peerId) =>
  decode(peerId, "", PEER_ID_PREFIX, (text) => base58btc.baseDecode(text), peerIdOf),
);

/** @throws ProtocolError `bad_did` unless it is a trust domain made by `trustDomainOf` */
export function publicKeyOfTrustDomain(trustDomain: string): Uint8Array {
  return keyOfTrustDomain(trustDomain);
}

const keyOfTrustDomain = memo(SPELLINGS_REMEMBERED_MAX, (text) =>
  decode(text, "", concat(CID_PREFIX, PEER_ID_PREFIX), (inner) => base36.decode(inner), trustDomainOf),
);

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
 * @throws ProtocolError `bad_did` for an empty segment, a lone surrogate, or when the DID would be longer than DID_LENGTH_MAX
 */
export function mintDid(registryKey: Uint8Array, humanReadableId: string): string {
  const segments = humanReadableId.normalize("NFC").split("/");
  if (!humanReadableId.isWellFormed() || segments.includes("")) {
    throw new ProtocolError(
      "bad_did",
      `no DID can be minted for "${humanReadableId.slice(0, 120)}": an empty segment or half a character`,
    );
  }
  const did = mintedNamespace(registryKey) + segments.map(encodeSegment).join(":");
  if (did.length <= DID_LENGTH_MAX) return did;
  const detail = { length: did.length, lengthMax: DID_LENGTH_MAX };
  throw new ProtocolError(
    "bad_did",
    `the minted DID has ${did.length} characters, at most ${DID_LENGTH_MAX} are taken: shorten the id`,
    detail,
  );
}

/** What every DID begins with that this registry mints. */
export function mintedNamespace(registryKey: Uint8Array): string {
  return `${MINTED_PREFIX}${trustDomainOf(registryKey)}:`;
}

export function isMinted(did: string): boolean {
  return did.startsWith(MINTED_PREFIX);
}

/** The registry key in a minted DID; `undefined` for DIDs of other methods. @throws ProtocolError `bad_did` for a malformed one */
export function ownerOfMinted(did: string): Uint8Array | undefined {
  if (!isMinted(did)) return undefined;
  const ownerEnd = did.indexOf(":", MINTED_PREFIX.length);
  if (did.length > DID_LENGTH_MAX || ownerEnd === -1 || !hasMintedSegments(did)) {
    throw new ProtocolError("bad_did", `"${did.slice(0, 120)}" is not a minted DID: segments must be NFC and percent-encoded`);
  }
  return publicKeyOfTrustDomain(did.slice(MINTED_PREFIX.length, ownerEnd));
}

const PLAIN_SEGMENTS = /^[\w.-]+(?::[\w.-]+)*$/;

/** Whether what follows the registry key is spelt as `mintDid` spells it. */
export function hasMintedSegments(did: string): boolean {
  const segments = did.slice(did.indexOf(":", MINTED_PREFIX.length) + 1);
  return PLAIN_SEGMENTS.test(segments) || segments.split(":").every(isMintedSegment);
}

function isMintedSegment(segment: string): boolean {
  const text = decodeSegment(segment);
  return text !== "" && !text.includes("/") && encodeSegment(text) === segment;
}

const PLAIN_DID = /^did:[a-z0-9]+(?::[A-Za-z0-9._-]+)+$/;
const DID = /^did:[a-z0-9]+:(?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2}|:(?=.))+$/;

/** DID syntax (W3C DID Core §3.1), at most DID_LENGTH_MAX characters. */
export function isDid(text: string): boolean {
  return text.length <= DID_LENGTH_MAX && (PLAIN_DID.test(text) || DID.test(text));
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
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
  // The length comes first: decoding a base that is no power of two takes time quadratic in it.
  if (text.length <= SPELLING_LENGTH_MAX && text.startsWith(prefix)) {
    try {
      const bytes = read(text.slice(prefix.length));
      const key = bytes.subarray(head.length);
      const fits = key.length === PUBLIC_KEY_BYTES && equal(bytes.subarray(0, head.length), head);
      if (fits && isUsable(key) && spell(key) === text) return key;
    } catch {
      // Fall through: whatever the base decoder disliked, the answer is the same.
    }
  }
  throw new ProtocolError("bad_did", `"${text.slice(0, 120)}" does not name an Ed25519 key`);
}
