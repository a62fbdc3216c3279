import { NodeError } from "../api.ts";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import { CredentialsError } from "../ports/credentials.ts";
import { StoreError } from "../ports/store.ts";
import { WebError } from "../ports/web.ts";
import { SvidError } from "../identity/svid-error.ts";
import { RETRY_AFTER_SECONDS } from "./limits.ts";
import { ProblemError } from "./problem.ts";

/** Statuses of errors by their class and code; the first entry that fits counts, `*` fits all of a class. */
const STATUSES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  NodeError: {
    not_found: 404,
    not_provable: 409,
    invalid: 400,
    refused: 403,
    unreachable: 502,
    paused: 503,
    overloaded: 503,
    storage: 503,
    damaged: 503,
    stopped: 503,
  },
  ProtocolError: {
    too_large: 413,
    clock_skew: 401,
    bad_signature: 401,
    bad_digest: 400,
    wrong_audience: 421,
    wrong_authority: 421,
    "*": 400,
  },
  SvidError: { "*": 403 },
  CredentialsError: { invalid: 400 },
  WebError: { throttled: 503, timeout: 504, "*": 502 },
  StoreError: { "*": 503 },
  // Of the actors, whom the facade does not know.
  AskError: { "*": 503 },
};

/** What must not be told to strangers, as its message may name files and rows: the code and message that they get instead. */
const SILENT: Readonly<Record<string, readonly [code: string, detail: string]>> = {
  StoreError: ["storage", "the registry's store does not answer; try again later"],
  AskError: ["busy", "the registry is busy; try again later"],
};

/** The problem that a caller is told for whatever was thrown; `undefined` for a bug, about which nothing is said. */
export function problemOf(error: unknown): ProblemError | undefined {
  if (error instanceof ProblemError) return error;
  if (!(error instanceof Error) || !isCoded(error)) return undefined;
  const statuses = STATUSES[error.name];
  const status = statuses?.[error.code] ?? statuses?.["*"];
  if (status === undefined) return undefined;
  const [code, detail] = SILENT[error.name] ?? [error.code, error.message];
  return new ProblemError(status, code, detail, {
    cause: error,
    ...(status === 503 && { headers: retryAfter(error) }),
    ...(error instanceof ProtocolError && Object.keys(error.detail).length > 0 && { extra: { ...error.detail } }),
  });
}

/** A bug, as the caller sees it. */
export function internalProblem(): ProblemError {
  return new ProblemError(500, "internal", "the registry failed to answer; the cause is in its log");
}

export function busyProblem(detail: string): ProblemError {
  return new ProblemError(503, "busy", detail, { headers: { "retry-after": String(RETRY_AFTER_SECONDS) } });
}

export function closingProblem(): ProblemError {
  const headers = { "retry-after": String(RETRY_AFTER_SECONDS) };
  return new ProblemError(503, "closing", "this connection is closing; make a new one", { headers });
}

/** @param waitMs until a request would be served */
export function throttledProblem(detail: string, waitMs: number): ProblemError {
  return new ProblemError(429, "too_many_requests", detail, { headers: { "retry-after": String(Math.ceil(waitMs / 1_000)) } });
}

function retryAfter(error: Error): Record<string, string> {
  const waitMs = error instanceof WebError || error instanceof NodeError ? error.retryAfterMs : 0;
  return { "retry-after": String(Math.max(RETRY_AFTER_SECONDS, Math.ceil(waitMs / 1_000))) };
}

/** Errors of these classes are answers; a code on any other error is an accident. */
function isCoded(error: Error): error is Error & { readonly code: string } {
  const isOurs = [NodeError, ProtocolError, SvidError, CredentialsError, WebError, StoreError].some(
    (type) => error instanceof type,
  );
  return (isOurs || error.name === "AskError") && "code" in error && typeof error.code === "string";
}
