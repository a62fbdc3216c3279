import { equal, fromUtf8, hex } from "../lib/bytes.ts";
import { decodeCanonical, encodeCanonical } from "../lib/canonical.ts";
import { hasMintedSegments, isMinted, mintedNamespace, ownerOfMinted, publicKeyOfDid } from "../lib/did.ts";
import { ProtocolError } from "../lib/errors.ts";
import { keyOf } from "../lib/hash.ts";
import { HLC_AHEAD_MS_MAX, hlcTime } from "./hlc.ts";
import { RECORD_BYTES_MAX, recordJson, type AgentRecord } from "./record.ts";
import { checkRecord, readRecord } from "./schema.ts";
import { checkAgentSignature } from "./signature.ts";

/** @throws ProtocolError `schema`, `too_large` */
export function encodeRecord(record: AgentRecord): Uint8Array {
  const bytes = encodeCanonical(recordJson(checkRecord(record)));
  if (bytes.length > RECORD_BYTES_MAX) {
    const detail = { bytes: bytes.length, bytesMax: RECORD_BYTES_MAX };
    throw new ProtocolError("too_large", `the record has ${bytes.length} bytes, at most ${RECORD_BYTES_MAX} are taken`, detail);
  }
  return bytes;
}

/** @throws ProtocolError `too_large`, `not_utf8`, `not_json`, `too_deep`, `not_canonical`, `schema` */
export function decodeRecord(bytes: Uint8Array): AgentRecord {
  // The text of what is too large is not worth making; the slow way says so.
  const record = bytes.length <= RECORD_BYTES_MAX ? readRecord(fromUtf8(bytes)) : undefined;
  return record ?? checkRecord(decodeCanonical(bytes, RECORD_BYTES_MAX));
}

export interface AdmissionContext {
  /** DID of the registry in whose catalogue the record stands. */
  readonly home: string;
  /** Epoch of that catalogue. */
  readonly epoch: number;
  /** Our clock, Unix milliseconds. */
  readonly nowMs: number;
}

/**
 * The one check for every way in: a record that passes may be indexed and shown (sync.md, "Replicated is not admitted").
 * @param key the map key under which the record stands
 * @throws ProtocolError of any of its steps: the codec's, then `wrong_key`, `wrong_registry`, `wrong_epoch`, `foreign_did`,
 *   `clock_ahead`, and the signature's
 */
export function admit(bytes: Uint8Array, key: Uint8Array, context: AdmissionContext): AgentRecord {
  const record = decodeRecord(bytes);
  if (!equal(keyOf(record.did), key)) {
    throw new ProtocolError("wrong_key", `${record.did} does not belong under key ${hex(key)}`);
  }
  if (record.registry !== context.home) {
    throw new ProtocolError(
      "wrong_registry",
      `the record names ${record.registry} as its home, the catalogue is ${context.home}'s`,
    );
  }
  if (record.epoch > context.epoch) {
    throw new ProtocolError("wrong_epoch", `epoch ${record.epoch} is ahead of the catalogue's ${context.epoch}`);
  }
  checkOwnership(record.did, context.home);
  if (hlcTime(record.hlc) > context.nowMs + HLC_AHEAD_MS_MAX) {
    throw new ProtocolError("clock_ahead", `hlc ${record.hlc} is more than ${HLC_AHEAD_MS_MAX} ms ahead of our clock`);
  }
  checkAgentSignature(record);
  return record;
}

/** A minted DID is its registry's own namespace. @throws ProtocolError `foreign_did`, `bad_did` */
export function checkOwnership(did: string, home: string): void {
  if (!isMinted(did) || (did.startsWith(namespaceOf(home)) && hasMintedSegments(did))) return;
  ownerOfMinted(did);
  throw new ProtocolError("foreign_did", `${did} was minted by another registry than ${home}`);
}

/** Homes whose namespace is kept at hand: to spell a key in another base costs 30 µs. The oldest leave first. */
const NAMESPACES_KEPT_MAX = 1_024;
const namespaces = new Map<string, string>();

function namespaceOf(home: string): string {
  const known = namespaces.get(home);
  if (known !== undefined) return known;
  const namespace = mintedNamespace(publicKeyOfDid(home));
  if (namespaces.size >= NAMESPACES_KEPT_MAX) namespaces.delete(namespaces.keys().next().value as string);
  namespaces.set(home, namespace);
  return namespace;
}
