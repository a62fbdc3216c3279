import { utf8 } from "../lib/bytes.ts";
import { publicKeyOfDid } from "../lib/did.ts";
import { CONTENT_DIGEST_HEADER, contentDigestOf, readContentDigest } from "./content-digest.ts";
import { badHeader, headerCount, onlyHeader, rawHeadersOf, shown } from "./header-fields.ts";

/** What a signature of a request covers, whichever form it has (signing.md). */

export const ID_HEADER = "x-registry-id";
export const AUDIENCE_HEADER = "x-registry-audience";
export const TIMESTAMP_HEADER = "x-registry-timestamp";
export const NONCE_HEADER = "x-registry-nonce";

/** Milliseconds by which the clocks of sender and receiver may differ, either way. */
export const SKEW_MS_MAX = 30_000;
export const NONCE_BYTES = 16;
/** Characters: a name of 253 and a port. */
export const AUTHORITY_LENGTH_MAX = 259;
/** Characters of path and query. */
export const TARGET_LENGTH_MAX = 8_192;

const METHOD = /^[A-Z]{1,16}$/;
const AUTHORITY = /^(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?$/;
/** Origin form (RFC 9112 §3.2.1): printable ASCII, no fragment. */
const TARGET = /^\/[\x21\x22\x24-\x7e]*$/;
const TIMESTAMP = /^[1-9][0-9]{0,14}$/;
const NONCE = /^[A-Za-z0-9_-]{22}$/;

/** Where a request goes. */
export interface RequestLine {
  /** Capital letters, 1 to 16. */
  readonly method: string;
  /** `Host` or `:authority` as sent: host and port, lower case, without the default port. */
  readonly authority: string;
  /** Path with query, exactly as sent. */
  readonly target: string;
}

/** What both forms of a signature cover. */
export interface RequestFields extends RequestLine {
  /** Value of `Content-Digest`. */
  readonly contentDigest: string;
  /** DID of the sender (`did:key`, Ed25519). */
  readonly id: string;
  /** DID of the receiver. */
  readonly audience: string;
  /** Unix milliseconds, up to 15 digits. */
  readonly timestampMs: number;
  /** NONCE_BYTES. */
  readonly nonce: Uint8Array;
}

/** A request before it is signed. */
export interface UnsignedRequest extends Omit<RequestFields, "contentDigest"> {
  /** As it is sent, after any content coding; empty for none. */
  readonly body: Uint8Array;
}

/** The headers that both forms of a signature cover, names in lower case. */
export function fieldHeaders(request: UnsignedRequest): Record<string, string> {
  return {
    [CONTENT_DIGEST_HEADER]: contentDigestOf(request.body),
    [ID_HEADER]: request.id,
    [AUDIENCE_HEADER]: request.audience,
    [TIMESTAMP_HEADER]: String(request.timestampMs),
    [NONCE_HEADER]: nonceText(request.nonce),
  };
}

/**
 * The covered fields, each in its one form, so that what is signed can be built from the values.
 * @throws ProtocolError `bad_header`; its `detail.header` names the header or part
 */
export function readRequestFields(line: RequestLine, rawHeaders: readonly string[]): RequestFields {
  checkLine(line);
  checkHost(line.authority, rawHeaders);
  const timestamp = onlyHeader(rawHeaders, TIMESTAMP_HEADER);
  if (!TIMESTAMP.test(timestamp)) {
    throw badHeader(
      TIMESTAMP_HEADER,
      `is not a time in Unix milliseconds (1 to 15 digits, no leading zero) but ${shown(timestamp)}`,
    );
  }
  return {
    method: line.method,
    authority: line.authority,
    target: line.target,
    contentDigest: readContentDigest(rawHeaders),
    id: readDid(rawHeaders, ID_HEADER),
    audience: readDid(rawHeaders, AUDIENCE_HEADER),
    timestampMs: Number(timestamp),
    nonce: readNonce(rawHeaders),
  };
}

/** The covered fields of a request to be sent; what no reader would take is refused. @throws ProtocolError `bad_header` */
export function requestFieldsOf(request: UnsignedRequest): RequestFields {
  return readRequestFields(request, rawHeadersOf(fieldHeaders(request)));
}

/** The exact bytes that `X-Registry-Signature` signs. */
export function requestSignatureBase(fields: RequestFields): Uint8Array {
  const { method, authority, target, contentDigest, id, audience, timestampMs, nonce } = fields;
  const lines = [method, authority, target, contentDigest, id, audience, timestampMs, nonceText(nonce)];
  return utf8(`X-REGISTRY-SIG-V1\n${lines.join("\n")}\n`);
}

/** @throws ProtocolError `bad_header` unless it is a did:key of a usable Ed25519 key (T18) */
export function readDid(rawHeaders: readonly string[], name: string): string {
  const did = onlyHeader(rawHeaders, name);
  try {
    publicKeyOfDid(did);
    return did;
  } catch {
    throw badHeader(name, `is not a did:key of an Ed25519 key of full order but ${shown(did)}`);
  }
}

function checkLine({ method, authority, target }: RequestLine): void {
  if (!METHOD.test(method)) throw badHeader("method", `is not 1 to 16 capital letters but ${shown(method)}`);
  if (authority.length > AUTHORITY_LENGTH_MAX || !AUTHORITY.test(authority)) {
    throw badHeader("authority", `is not "host" or "host:port" in lower case but ${shown(authority)}`);
  }
  if (target.length > TARGET_LENGTH_MAX || !TARGET.test(target)) {
    throw badHeader("target", `is not a path with query of up to ${TARGET_LENGTH_MAX} printable characters but ${shown(target)}`);
  }
}

/** Servers differ in which of two names they route by, so no second one may stand beside the one that is signed. */
function checkHost(authority: string, rawHeaders: readonly string[]): void {
  for (const name of ["host", ":authority"]) {
    if (headerCount(rawHeaders, name) === 0) continue;
    const value = onlyHeader(rawHeaders, name);
    if (value !== authority) throw badHeader(name, `is ${shown(value)}, but the request is for ${shown(authority)}`);
  }
}

function readNonce(rawHeaders: readonly string[]): Uint8Array {
  const text = onlyHeader(rawHeaders, NONCE_HEADER);
  const nonce = Buffer.from(text, "base64url");
  if (!NONCE.test(text) || nonceText(nonce) !== text) {
    throw badHeader(NONCE_HEADER, `is not ${NONCE_BYTES} bytes in base64url without padding but ${shown(text)}`);
  }
  return nonce;
}

function nonceText(nonce: Uint8Array): string {
  return Buffer.from(nonce.buffer, nonce.byteOffset, nonce.byteLength).toString("base64url");
}
