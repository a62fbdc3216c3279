import { base64, utf8 } from "../lib/bytes.ts";
import { publicKeyOfDid } from "../lib/did.ts";
import { ProtocolError } from "../lib/errors.ts";
import { verifySignature } from "../lib/keys.ts";
import { checkContentDigest, CONTENT_DIGEST_HEADER, contentDigestOf, readContentDigest } from "./content-digest.ts";
import { badHeader } from "./header-fields.ts";
import { ID_HEADER, readDid } from "./request-fields.ts";
import { readRegistrySignature, REGISTRY_SIGNATURE_HEADER } from "./signed-request.ts";

/** Answers to signed requests (signing.md): each is bound to the one request that it answers. */

const STATUS_MIN = 200;
const STATUS_MAX = 599;

export interface ResponseFields {
  /** 200 to 599. */
  readonly status: number;
  /** Value of `Content-Digest`. */
  readonly contentDigest: string;
  /** DID of the registry that answers. */
  readonly id: string;
  /** Signature of the request, SIGNATURE_BYTES, whichever form it had. */
  readonly requestSignature: Uint8Array;
}

/** An answer and the request that it belongs to. */
export interface SignedResponse {
  readonly status: number;
  /** As it is sent, after any content coding; empty for none. */
  readonly body: Uint8Array;
  readonly requestSignature: Uint8Array;
}

/** The exact bytes that `X-Registry-Signature` of an answer signs. */
export function responseSignatureBase({ status, contentDigest, id, requestSignature }: ResponseFields): Uint8Array {
  return utf8(`X-REGISTRY-RES-V1\n${status}\n${contentDigest}\n${id}\n${base64(requestSignature)}\n`);
}

/**
 * @param did of the registry that answers
 * @param sign Ed25519 by its key
 * @returns headers to add, names in lower case
 * @throws ProtocolError `bad_header` for a status that is not final
 */
export function signResponse(
  response: SignedResponse,
  did: string,
  sign: (bytes: Uint8Array) => Uint8Array,
): Record<string, string> {
  const contentDigest = contentDigestOf(response.body);
  const { status, requestSignature } = response;
  checkStatus(status);
  return {
    [CONTENT_DIGEST_HEADER]: contentDigest,
    [ID_HEADER]: did,
    [REGISTRY_SIGNATURE_HEADER]: base64(sign(responseSignatureBase({ status, contentDigest, id: did, requestSignature }))),
  };
}

/**
 * The registry `did` gave this answer to this request.
 * @param rawHeaders names and values in turn; `rawHeadersOf` makes them of a record
 * @throws ProtocolError `bad_header`, `wrong_registry`, `bad_digest`, `bad_signature`
 */
export function verifyResponse(response: SignedResponse, rawHeaders: readonly string[], did: string): void {
  const { status, body, requestSignature } = response;
  checkStatus(status);
  const contentDigest = readContentDigest(rawHeaders);
  const id = readDid(rawHeaders, ID_HEADER);
  const signature = readRegistrySignature(rawHeaders);
  if (id !== did) throw new ProtocolError("wrong_registry", `the answer is signed by ${id}, but ${did} was asked`);
  checkContentDigest(contentDigest, body);
  if (verifySignature(publicKeyOfDid(id), responseSignatureBase({ status, contentDigest, id, requestSignature }), signature))
    return;
  throw new ProtocolError(
    "bad_signature",
    `the signature of the answer does not verify under the key of ${id}, or answers another request`,
  );
}

function checkStatus(status: number): void {
  if (Number.isInteger(status) && status >= STATUS_MIN && status <= STATUS_MAX) return;
  throw badHeader("status", `is not a final status of ${STATUS_MIN} to ${STATUS_MAX} but ${status}`);
}
