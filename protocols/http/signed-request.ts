import { base64, fromBase64 } from "../lib/bytes.ts";
import { publicKeyOfDid } from "../lib/did.ts";
import { ProtocolError } from "../lib/errors.ts";
import { SIGNATURE_BYTES, verifySignature } from "../lib/keys.ts";
import { checkContentDigest } from "./content-digest.ts";
import { badHeader, headerCount, onlyHeader, shown } from "./header-fields.ts";
import { MESSAGE_SIGNATURE_TAG, readMessageSignature, SIGNATURE_HEADER, SIGNATURE_INPUT_HEADER } from "./message-signature.ts";
import {
  AUDIENCE_HEADER,
  fieldHeaders,
  ID_HEADER,
  NONCE_HEADER,
  readRequestFields,
  requestFieldsOf,
  requestSignatureBase,
  SKEW_MS_MAX,
  TIMESTAMP_HEADER,
  type RequestFields,
  type RequestLine,
  type UnsignedRequest,
} from "./request-fields.ts";

/** Requests from one registry to another (signing.md). Reading checks syntax alone; the checks are apart, so that a server can do them in its order. */

export const REGISTRY_SIGNATURE_HEADER = "x-registry-signature";

const SIGNING_HEADERS = [ID_HEADER, AUDIENCE_HEADER, TIMESTAMP_HEADER, NONCE_HEADER, REGISTRY_SIGNATURE_HEADER];

export interface SignedRequest extends RequestFields {
  /** SIGNATURE_BYTES. */
  readonly signature: Uint8Array;
  /** What it signs, in the form that was used. */
  readonly base: Uint8Array;
}

/**
 * @param sign Ed25519 by the key of `request.id`
 * @returns all headers to send, names in lower case
 * @throws ProtocolError `bad_header` for what no reader would take
 */
export function signRequest(request: UnsignedRequest, sign: (bytes: Uint8Array) => Uint8Array): Record<string, string> {
  const base = requestSignatureBase(requestFieldsOf(request));
  return { ...fieldHeaders(request), [REGISTRY_SIGNATURE_HEADER]: base64(sign(base)) };
}

/**
 * Reads either form of signature. `undefined` when the request carries none of the signing headers.
 * @param rawHeaders names and values in turn, as they were sent (`rawHeaders` of Node's requests)
 * @throws ProtocolError `bad_header`; its `detail.header` names the header or part
 */
export function readSignedRequest(rawHeaders: readonly string[], line: RequestLine): SignedRequest | undefined {
  const isMessage = headerCount(rawHeaders, SIGNATURE_INPUT_HEADER) + headerCount(rawHeaders, SIGNATURE_HEADER) > 0;
  const hasSigningHeader = SIGNING_HEADERS.some((name) => headerCount(rawHeaders, name) > 0);
  if (!hasSigningHeader && !(isMessage && namesOurTag(rawHeaders))) return undefined;
  if (isMessage && headerCount(rawHeaders, REGISTRY_SIGNATURE_HEADER) > 0) {
    throw badHeader(REGISTRY_SIGNATURE_HEADER, "stands beside Signature or Signature-Input: sign in one form only");
  }
  const fields = readRequestFields(line, rawHeaders);
  if (isMessage) return { ...fields, ...readMessageSignature(fields, rawHeaders) };
  return { ...fields, signature: readRegistrySignature(rawHeaders), base: requestSignatureBase(fields) };
}

/** T14: the sender's clock is at most SKEW_MS_MAX from ours. @throws ProtocolError `clock_skew` */
export function checkSkew(request: SignedRequest, nowMs: number): void {
  const skewMs = request.timestampMs - nowMs;
  if (Math.abs(skewMs) <= SKEW_MS_MAX) return;
  throw new ProtocolError(
    "clock_skew",
    `X-Registry-Timestamp is ${Math.abs(skewMs)} ms ${skewMs > 0 ? "ahead of" : "behind"} our clock, at most ${SKEW_MS_MAX} are taken: set your clock and sign anew`,
    { skewMs, skewMsMax: SKEW_MS_MAX },
  );
}

/** T12: it was meant for us. @throws ProtocolError `wrong_audience` */
export function checkAudience(request: SignedRequest, ourDid: string): void {
  if (request.audience === ourDid) return;
  throw new ProtocolError("wrong_audience", `the request is for ${request.audience}, but this registry is ${ourDid}`);
}

/**
 * T12: it was sent to one of our addresses.
 * @param authorities of the configured URLs: `new URL(url).host`
 * @throws ProtocolError `wrong_authority`
 */
export function checkAuthority(request: SignedRequest, authorities: readonly string[]): void {
  if (authorities.includes(request.authority)) return;
  throw new ProtocolError(
    "wrong_authority",
    `the request is for ${shown(request.authority)}, which is no address of this registry: use a URL of its descriptor`,
  );
}

/** T16. @param body as it came, before any content coding is undone @throws ProtocolError `bad_digest` */
export function checkDigest(request: SignedRequest, body: Uint8Array): void {
  checkContentDigest(request.contentDigest, body);
}

/** T15: the key of `id` signed all of it. @throws ProtocolError `bad_signature` */
export function checkSignature(request: SignedRequest): void {
  if (verifySignature(publicKeyOfDid(request.id), request.base, request.signature)) return;
  throw new ProtocolError("bad_signature", `the signature of the request does not verify under the key of ${request.id}`);
}

/** @throws ProtocolError `bad_header` unless it is SIGNATURE_BYTES in canonical padded base64 (T18) */
export function readRegistrySignature(rawHeaders: readonly string[]): Uint8Array {
  const text = onlyHeader(rawHeaders, REGISTRY_SIGNATURE_HEADER);
  try {
    const signature = fromBase64(text);
    if (signature.length === SIGNATURE_BYTES) return signature;
  } catch {
    // Fall through: whatever was wrong with it, the answer is the same.
  }
  throw badHeader(REGISTRY_SIGNATURE_HEADER, `is not ${SIGNATURE_BYTES} bytes in canonical padded base64 but ${shown(text)}`);
}

/** Signatures for other purposes (RFC 9421 §3.2) are none of our business. */
function namesOurTag(rawHeaders: readonly string[]): boolean {
  return rawHeaders.some((value, i) => i % 2 === 1 && value.includes(`tag="${MESSAGE_SIGNATURE_TAG}"`));
}
