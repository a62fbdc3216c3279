import type { Hello } from "../../protocols/announce/hello.ts";
import type { SignedHead } from "../../protocols/checkpoint/head.ts";
import type { CatalogPage, PageRefusal, PageRequest } from "../../protocols/http/catalog-page.ts";
import type { HeadWait } from "../../protocols/http/head-wait.ts";
import type { Introduction } from "../../protocols/http/introduction-documents.ts";

/**
 * Other registries' web faces, as a client: HTTP/2 over mutual TLS, signed requests and answers. Time and size of every answer
 * are bounded, redirects are refused, and addresses that are not public are reached only where the operator allows it (T52).
 * Every method rejects with `WebError`; ProtocolError where an answer has the wrong form.
 */
export interface Web {
  /** `GET /federation/public`: what anybody may know. The descriptor is opened, and is that of the server we spoke to. */
  introduction(target: WebTarget, options: { readonly signal: AbortSignal }): Promise<Introduction>;
  /** `POST /federation/public`: tells who we are, and learns what a hello over libp2p would say. */
  announce(peer: WebPeer, mine: Introduction, options: { readonly signal: AbortSignal }): Promise<Hello>;
  /**
   * `GET /federation/checkpoint`; `undefined` before the first commit. With `wait` the peer is asked to answer when it has
   * another version than the one named, or when the wait is over; who does not know how to wait answers at once.
   */
  head(peer: WebPeer, options: { readonly signal: AbortSignal; readonly wait?: HeadWait }): Promise<SignedHead | undefined>;
  /** `POST /federation/sync/catalog`. The form is checked here, proofs are not: `verifyCatalogPage` does that. */
  catalogPage(peer: WebPeer, request: PageRequest, options: { readonly signal: AbortSignal }): Promise<CatalogPage | PageRefusal>;
  close(): Promise<void>;
}

export interface WebTarget {
  /** `https:` origin, with or without a path prefix. */
  readonly url: string;
  /** Named by the operator, who thereby allows its address whatever it is. */
  readonly named: boolean;
}

export interface WebPeer extends WebTarget {
  readonly did: string;
  /** Its trust bundle, from its newest descriptor. */
  readonly bundle: string;
}

export type WebErrorCode =
  | "unreachable"
  | "timeout"
  | "too_large"
  /** The URL leads to an address that is not public, or redirects. */
  | "forbidden_address"
  /** The certificate is not of the registry that was expected, or its answer is not signed by it. */
  | "wrong_identity"
  /** 429 or 503: `retryAfterMs` says when to come again. */
  | "throttled"
  /** Any other status but success; `message` carries the problem's title and detail. */
  | "refused"
  | "bad_answer";

export class WebError extends Error {
  override readonly name = "WebError";
  readonly code: WebErrorCode;
  readonly retryAfterMs: number;

  constructor(code: WebErrorCode, message: string, options?: { cause?: unknown; retryAfterMs?: number }) {
    super(message, options);
    this.code = code;
    this.retryAfterMs = options?.retryAfterMs ?? 0;
  }
}
