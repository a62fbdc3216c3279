import { RETRY_AFTER_SECONDS } from "./limits.ts";
import type { Access, AnswerDescription, AnswerHeader, RequestHeader, Route } from "./route.ts";

/** What the description of the interface says of headers and refusals, whatever a route does. */

interface HeaderDescription {
  readonly description: string;
  readonly schema: Readonly<Record<string, unknown>>;
}

const text = (description: string, pattern?: string): HeaderDescription => ({
  description,
  schema: { type: "string", ...(pattern !== undefined && { pattern }) },
});

const DIGEST = text("RFC 9530, sha-256 alone; over the body as it is sent", "^sha-256=:[A-Za-z0-9+/]{43}=:$");
const REGISTRY_DID = "^did:key:z6Mk[1-9A-HJ-NP-Za-km-z]+$";

/** Headers of answers. */
export const ANSWER_HEADERS: Readonly<Record<AnswerHeader, HeaderDescription>> = {
  ETag: text("Value hash of the record, a strong tag", '^"[0-9a-f]{64}"$'),
  "Last-Modified": text("When the home wrote the record (RFC 9110 section 5.6.7)"),
  Link: text("Where the proof of the record is, rel=describedby"),
  Location: text("Path of the new agent"),
  "X-Registry-Home": text("DID of the home whose record is shown", REGISTRY_DID),
  "Retry-After": { description: "Seconds after which to try again", schema: { type: "integer", minimum: 0 } },
  "WWW-Authenticate": text("Bearer, where the operator's token would be taken"),
  RateLimit: text("What is left of the sender's budget, to a registry that was counted (draft-ietf-httpapi-ratelimit-headers)"),
  "RateLimit-Policy": text("The sender's budget, to a registry that was counted"),
  "Content-Digest": { ...DIGEST, description: `${DIGEST.description}, to a registry that has shown its certificate and signed` },
  "X-Registry-ID": text("DID of this registry, to a registry that has shown its certificate and signed", REGISTRY_DID),
  "X-Registry-Signature": text(
    "Ed25519 over status, digest and the request's signature, to a registry that has shown its certificate and signed",
  ),
};

/** Headers of requests. */
export const REQUEST_HEADERS: Readonly<Record<RequestHeader, HeaderDescription>> = {
  "If-Match": text("Entity tags that the writer has read, or *: 412 where the record is another one by now, or there is none"),
  "If-None-Match": text("Entity tags that the caller has, or *: 304 to a GET, 412 to a write where the record is one of them"),
  "Idempotency-Key": text(
    "The same request of the same caller under the same key is done once, for 24 hours",
    "^[\\x21-\\x7e]{1,255}$",
  ),
  "Content-Digest": DIGEST,
  "X-Registry-ID": text("DID of the sender: a registry, or an agent with a key of its own", REGISTRY_DID),
  "X-Registry-Audience": text("DID of this registry", REGISTRY_DID),
  "X-Registry-Timestamp": text("Unix time in milliseconds", "^[1-9][0-9]{0,14}$"),
  "X-Registry-Nonce": text("16 random bytes, base64url", "^[A-Za-z0-9_-]{22}$"),
};

/** Of a signed request; its X-Registry-Signature is the security scheme. */
const SIGNED: readonly RequestHeader[] = [
  ...(["Content-Digest", "X-Registry-ID", "X-Registry-Audience", "X-Registry-Timestamp", "X-Registry-Nonce"] as const),
];

/** @returns names, and whether each has to be there */
export function requestHeadersOf({ access, headers = [] }: Route): (readonly [RequestHeader, boolean])[] {
  const isSigned = access === "registry" || access === "stranger";
  const own = headers.map((name) => [name, false] as const);
  return isSigned || access === "owner" ? [...own, ...SIGNED.map((name) => [name, isSigned] as const)] : own;
}

/** Every answer that has a description of its own: those of the route, and the refusals that come before it. */
export function answersOf(route: Route): Readonly<Record<number, AnswerDescription>> {
  return { ...(route.unlimited === true ? {} : refusalsOf(route)), ...route.answers };
}

function refusalsOf({ access, method, params, query, body }: Route): Record<number, AnswerDescription> {
  return {
    ...((params ?? query ?? body) !== undefined && { 400: says("a parameter, a header or the body does not fit") }),
    ...OF_ACCESS[access],
    ...(method !== "GET" && { 408: says("the body was not complete in time"), 413: says("the body is too large") }),
    ...(params !== undefined && { 414: says("a part of the path is too long") }),
    ...(body !== undefined && { 415: says("the body must be JSON: send it with Content-Type: application/json") }),
    429: says("too many requests: wait as long as Retry-After says"),
    503: says(`busy, or nothing can be done at the moment: see Retry-After (${RETRY_AFTER_SECONDS} s or more)`),
  };
}

const says = (description: string): AnswerDescription => ({ description });
const OTHER_REGISTRY = says("the request was made for another registry, or another name of this one");

const OF_REGISTRIES: Readonly<Record<number, AnswerDescription>> = {
  400: says("a header or the body has not the right form"),
  401: says("no client certificate, no signature, one that does not hold, or a request that was served before"),
  403: says("the certificate does not hold, is of another registry, or the registry is not known or isolated"),
  421: OTHER_REGISTRY,
};

const OF_ACCESS: Readonly<Record<Access, Readonly<Record<number, AnswerDescription>>>> = {
  public: {},
  registry: OF_REGISTRIES,
  stranger: OF_REGISTRIES,
  owner: {
    400: says("a parameter, a header or the body does not fit"),
    401: says("nothing was presented that allows it, or it does not hold"),
    403: says("what was presented does not suffice"),
    421: OTHER_REGISTRY,
  },
  operator: {
    400: says("a parameter or the body does not fit"),
    401: says("neither the operator's token nor a certificate was presented, or the token is another one"),
    403: says("what was presented is not the operator's, or a page of another site asks"),
    421: OTHER_REGISTRY,
  },
};

/** Headers that an answer may carry. */
export function answerHeadersOf(route: Route, status: number, { headers = [] }: AnswerDescription): Set<AnswerHeader> {
  const isBetweenRegistries = route.access === "registry" || route.access === "stranger";
  const isWaiting = status === 429 || status === 503;
  return new Set([
    ...headers,
    ...(isWaiting ? (["Retry-After"] as const) : []),
    ...(status === 401 && !isBetweenRegistries ? (["WWW-Authenticate"] as const) : []),
    ...(isBetweenRegistries ? BETWEEN_REGISTRIES : []),
  ]);
}

const BETWEEN_REGISTRIES: readonly AnswerHeader[] = [
  ...(["RateLimit", "RateLimit-Policy", "Content-Digest", "X-Registry-ID", "X-Registry-Signature"] as const),
];
