import type { IncomingMessage } from "node:http";
import { Http2ServerRequest } from "node:http2";
import { badHeader, headerCount, shown } from "../../protocols/http/header-fields.ts";

/**
 * The authority that a request is for.
 * @throws ProtocolError `bad_header` where it names two: servers and proxies differ in which of them they go by (RFC 9112 §3.2,
 * RFC 9113 §8.3.1)
 */
export function authorityOf({ rawHeaders, headers, url = "" }: IncomingMessage | Http2ServerRequest): string {
  const host = headers.host;
  if (headerCount(rawHeaders, "host") > 1) throw badHeader("Host", "stands more than once: send it once");
  const authority = (headers[":authority"] as string | undefined) ?? host ?? "";
  for (const other of [host, ABSOLUTE_FORM.exec(url)?.[1]]) {
    if (other === undefined || other.toLowerCase() === authority.toLowerCase()) continue;
    throw badHeader("Host", `is ${shown(authority)}, but the request is for ${shown(other)}, too: send one name`);
  }
  return authority;
}

/** Whether a body may come; it may still turn out to be empty. */
export function mayHaveBody(request: IncomingMessage | Http2ServerRequest): boolean {
  if (request instanceof Http2ServerRequest) return !request.stream.endAfterHeaders;
  return request.headers["content-length"] !== undefined || request.headers["transfer-encoding"] !== undefined;
}

/** Of a request target as clients of proxies send it (RFC 9112 §3.2.2). */
const ABSOLUTE_FORM = /^[a-z][a-z\d+.-]*:\/\/([^/?#]*)/i;
