import type { IncomingHttpHeaders } from "node:http";
import type { z } from "zod";
import type { Caller } from "./caller.ts";

/** One operation of the REST interface, as data: it is mounted on the server and described in `/openapi.json` from here. */
export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** OpenAPI form, such as `/agents/{did}`. */
  readonly path: string;
  readonly summary: string;
  readonly access: Access;
  /** Request headers that the route reads, for the description; those of signed requests are known from `access`. */
  readonly headers?: readonly RequestHeader[];
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  /** Only for the description and the check of JSON bodies; `call.body` is what it gives. */
  readonly body?: z.ZodType;
  /** Of a body of lines (`application/x-ndjson`) what each is; one alone may come as JSON. Only for the description. */
  readonly lines?: z.ZodType;
  /** Longest body in bytes; BODY_BYTES_MAX by default. */
  readonly bodyBytesMax?: number;
  readonly answers: Readonly<Record<number, AnswerDescription>>;
  /**
   * For `registry`: whether a body goes on where an earlier request of the same caller ended, so that it counts as a continuation.
   * Its sender is then limited when the body is there, else before.
   */
  isContinuation?(rawBody: Uint8Array, caller: Caller): boolean;
  /** Served whatever the load is: for those who watch this process. */
  readonly unlimited?: true;
  /** @throws ProblemError for what the caller is told; anything else is a 500 that says nothing */
  handle(call: Call): Promise<Answer>;
}

/**
 * Who may call: `public` anybody; `registry` another registry that is known, by mutual TLS and a signed request; `stranger` the
 * same, but its trust bundle is in the descriptor that the body carries; `owner` whoever may write the agent at hand (decided by
 * the route); `operator` a token or a certificate of our trust domain under `/operator/`.
 */
export type Access = "public" | "registry" | "stranger" | "owner" | "operator";

export type RequestHeader =
  | "If-Match"
  | "If-None-Match"
  | "Idempotency-Key"
  | "Content-Digest"
  | "X-Registry-ID"
  | "X-Registry-Audience"
  | "X-Registry-Timestamp"
  | "X-Registry-Nonce";

export type AnswerHeader =
  | "ETag"
  | "Last-Modified"
  | "Link"
  | "Location"
  | "X-Registry-Home"
  | "Retry-After"
  | "WWW-Authenticate"
  | "RateLimit"
  | "RateLimit-Policy"
  | "Content-Digest"
  | "X-Registry-ID"
  | "X-Registry-Signature";

export interface AnswerDescription {
  readonly description: string;
  readonly schema?: z.ZodType;
  /** `application/json` by default. */
  readonly mediaType?: string;
  /** Those that are more than what its status brings with it. */
  readonly headers?: readonly AnswerHeader[];
}

export interface Call {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
  /** The body as it came; empty where there was none. */
  readonly rawBody: Uint8Array;
  readonly headers: IncomingHttpHeaders;
  readonly caller: Caller;
  /** Path with query, as it was sent. */
  readonly target: string;
  /** Calls `listener` once an answer that waits is to be given now: the connection takes no new requests, or the caller is gone. */
  readonly onEnding: (listener: () => void) => void;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Bytes are sent as they are; anything else as JSON. */
  readonly body?: unknown;
}
