import { NodeError, type NodeErrorCode } from "../api.ts";
import { CredentialsError } from "../ports/credentials.ts";

/** What the admin API answers when it does not do what was asked; `status` is its HTTP status. */
export class AdminError extends Error {
  override readonly name = "AdminError";
  readonly code: AdminErrorCode;
  readonly status: number;

  constructor(code: AdminErrorCode, message: string) {
    super(message);
    this.code = code;
    this.status = STATUS[code];
  }
}

/** The node's own codes, and those of the socket and of HTTP. */
export type AdminErrorCode =
  | NodeErrorCode
  | "bad_request"
  | "no_such_route"
  | "method_not_allowed"
  | "too_large"
  | "unsupported_media_type"
  /** A bug or an unforeseen failure of the node; its log says more. */
  | "internal";

const STATUS: Readonly<Record<AdminErrorCode, number>> = {
  invalid: 400,
  bad_request: 400,
  refused: 403,
  not_found: 404,
  no_such_route: 404,
  method_not_allowed: 405,
  not_provable: 409,
  too_large: 413,
  unsupported_media_type: 415,
  internal: 500,
  unreachable: 502,
  overloaded: 503,
  paused: 503,
  damaged: 503,
  stopped: 503,
  storage: 507,
};

export function isAdminErrorCode(code: unknown): code is AdminErrorCode {
  return typeof code === "string" && Object.hasOwn(STATUS, code);
}

/** Any failure as what goes over the socket; what is no error of ours is a bug, and its details stay in the log. */
export function toAdminError(error: unknown): AdminError {
  if (error instanceof AdminError) return error;
  if (error instanceof NodeError) return new AdminError(error.code, error.message);
  // Its other codes speak of key files.
  if (error instanceof CredentialsError) return new AdminError(error.code === "invalid" ? "invalid" : "storage", error.message);
  return new AdminError("internal", "the node failed in an unforeseen way; its log says more");
}

/** Nothing answers at the admin socket of this data directory. */
export class NodeUnreachableError extends Error {
  override readonly name = "NodeUnreachableError";
}

/** The admin socket cannot be opened: `message` names the owner or what stands in the way. */
export class AdminSocketError extends Error {
  override readonly name = "AdminSocketError";
}
