import { base64, fromBase64 } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import { HASH_BYTES, sha256 } from "../lib/hash.ts";
import { badHeader, onlyHeader, shown } from "./header-fields.ts";

export const CONTENT_DIGEST_HEADER = "content-digest";

const FORM = /^sha-256=:([A-Za-z0-9+/]{43}=):$/;

/** `Content-Digest` (RFC 9530) of a body as it is sent, after any content coding; an empty body has one too. */
export function contentDigestOf(body: Uint8Array): string {
  return `sha-256=:${base64(sha256(body))}:`;
}

/** The header's one accepted form: SHA-256 alone, canonical base64. @throws ProtocolError `bad_header` */
export function readContentDigest(rawHeaders: readonly string[]): string {
  const value = onlyHeader(rawHeaders, CONTENT_DIGEST_HEADER);
  const encoded = FORM.exec(value)?.[1];
  if (encoded === undefined || bytesOf(encoded)?.length !== HASH_BYTES) {
    throw badHeader(CONTENT_DIGEST_HEADER, `is not "sha-256=:<base64 of 32 bytes>:" but ${shown(value)}`);
  }
  return value;
}

/** T16: the body is what the sender hashed. @throws ProtocolError `bad_digest` */
export function checkContentDigest(contentDigest: string, body: Uint8Array): void {
  if (contentDigest === contentDigestOf(body)) return;
  throw new ProtocolError("bad_digest", `the ${body.length} bytes of the body do not have the digest that Content-Digest names`);
}

function bytesOf(encoded: string): Uint8Array | undefined {
  try {
    return fromBase64(encoded);
  } catch {
    return undefined;
  }
}
