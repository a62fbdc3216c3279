import { openCheckpoint } from "../checkpoint/note.ts";
import { base64, concat, fromBase64 } from "../lib/bytes.ts";
import { decodeCanonical, encodeCanonical, type Json } from "../lib/canonical.ts";
import { peerIdOf, publicKeyOfDid, trustDomainOf } from "../lib/did.ts";
import { DESCRIPTOR_DOMAIN } from "../lib/domains.ts";
import { ProtocolError } from "../lib/errors.ts";
import { verifySignature } from "../lib/keys.ts";
import { type Descriptor, DESCRIPTOR_BYTES_MAX, DESCRIPTOR_SKEW_MS_MAX, type DescriptorFields } from "./descriptor.ts";
import { checkDescriptor, checkFields } from "./schema.ts";

/**
 * The signed document as canonical JSON bytes: store, send and compare these.
 * @param sign Ed25519 by the registry's key over the given bytes, 64 bytes
 * @throws ProtocolError `schema`, `too_large`, `bad_did`, and those of a `catalog.previous` that does not hold
 */
export function signDescriptor(fields: DescriptorFields, sign: (bytes: Uint8Array) => Uint8Array): Uint8Array {
  const checked = checkFields(fields);
  checkIdentity(checked);
  checkCatalog(checked);
  const bytes = encodeCanonical({ ...json(checked), signature: base64(sign(signedBytes(checked))) });
  if (bytes.length > DESCRIPTOR_BYTES_MAX) {
    throw new ProtocolError("too_large", `the descriptor has ${bytes.length} bytes, at most ${DESCRIPTOR_BYTES_MAX} are taken`);
  }
  return bytes;
}

/**
 * Reads and checks everything at our clock `nowMs` (Unix milliseconds).
 * @throws ProtocolError `expired`, `not_yet_valid`, and those of `readDescriptor`
 */
export function openDescriptor(bytes: Uint8Array, nowMs: number): Descriptor {
  const descriptor = readDescriptor(bytes);
  const { issuedAt, expiresAt } = descriptor;
  if (nowMs > expiresAt + DESCRIPTOR_SKEW_MS_MAX) {
    throw new ProtocolError("expired", `the descriptor of ${descriptor.did} expired at ${expiresAt}, now is ${nowMs}`);
  }
  if (issuedAt > nowMs + DESCRIPTOR_SKEW_MS_MAX) {
    throw new ProtocolError(
      "not_yet_valid",
      `the descriptor of ${descriptor.did} is from ${issuedAt}, now is ${nowMs}: compare the clocks`,
    );
  }
  return descriptor;
}

/**
 * Everything except the clock: what a descriptor says remains evidence after it expired.
 * @throws ProtocolError `too_large`, `not_utf8`, `not_json`, `too_deep`, `not_canonical`, `schema`, `bad_did`, `bad_base64`,
 *   `bad_signature`, `wrong_origin`, and those of `openCheckpoint` for `catalog.previous`
 */
export function readDescriptor(bytes: Uint8Array): Descriptor {
  const descriptor = checkDescriptor(decodeCanonical(bytes, DESCRIPTOR_BYTES_MAX));
  const key = checkIdentity(descriptor);
  if (!verifySignature(key, signedBytes(descriptor), fromBase64(descriptor.signature))) {
    throw new ProtocolError("bad_signature", `the descriptor's signature does not verify under the key of ${descriptor.did}`);
  }
  checkCatalog(descriptor);
  return descriptor;
}

/** The exact bytes under the signature: domain ‖ canonical document without `signature`. */
export function signedBytes(fields: DescriptorFields | Descriptor): Uint8Array {
  const covered: Record<string, Json> = { ...json(fields) };
  delete covered["signature"];
  return concat(DESCRIPTOR_DOMAIN, encodeCanonical(covered));
}

function checkIdentity(fields: DescriptorFields): Uint8Array {
  const key = publicKeyOfDid(fields.did);
  if (fields.peerId !== peerIdOf(key)) throw new ProtocolError("bad_did", "peerId: not the key of the DID");
  if (fields.spiffeId !== `spiffe://${trustDomainOf(key)}/registry/${fields.name}`) {
    throw new ProtocolError("bad_did", "spiffeId: not spiffe://<trust domain of the DID's key>/registry/<name>");
  }
  const foreign = fields.multiaddrs.find((address) => address.includes("/p2p/") && !address.endsWith(`/p2p/${fields.peerId}`));
  if (foreign !== undefined) throw new ProtocolError("bad_did", `multiaddrs: ${foreign} leads to another peer`);
  return key;
}

function checkCatalog({ did, catalog }: DescriptorFields): void {
  if (catalog.previous === undefined) return;
  const previous = openCheckpoint(catalog.previous);
  if (previous.did !== did || previous.epoch >= catalog.epoch) {
    throw new ProtocolError(
      "wrong_origin",
      `catalog.previous: ${previous.origin} is not of an epoch before ${catalog.epoch} of ${did}`,
    );
  }
}

function json(fields: DescriptorFields): { readonly [key: string]: Json } {
  return fields as unknown as { readonly [key: string]: Json };
}
