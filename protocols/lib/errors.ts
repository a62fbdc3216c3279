/**
 * The one error that contracts raise about bytes which somebody else made. `code` is stable and may be matched; `message` says
 * what was wrong and, where there is one, what to do. `detail` holds the numbers and names behind the message.
 */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  readonly code: ProtocolErrorCode;
  readonly detail: Readonly<Record<string, string | number>>;

  constructor(code: ProtocolErrorCode, message: string, detail: Readonly<Record<string, string | number>> = {}) {
    super(message);
    this.code = code;
    this.detail = detail;
  }
}

export type ProtocolErrorCode =
  // bytes and JSON
  | "too_large"
  | "truncated"
  | "not_utf8"
  | "not_json"
  | "not_canonical"
  | "duplicate_key"
  | "too_deep"
  | "schema"
  // names and keys
  | "bad_did"
  | "bad_base64"
  // signatures and clocks
  | "bad_signature"
  | "expired"
  | "not_yet_valid"
  | "clock_ahead"
  // records
  | "wrong_key"
  | "wrong_registry"
  | "wrong_epoch"
  | "foreign_did"
  | "agent_signature_missing"
  // signed requests and answers
  | "bad_header"
  | "clock_skew"
  | "wrong_audience"
  | "wrong_authority"
  | "bad_digest"
  // checkpoint, log and map
  | "bad_note"
  | "wrong_origin"
  | "bad_proof"
  | "not_the_last_commit"
  // frames
  | "bad_frame"
  | "out_of_order"
  | "bad_prefix"
  | "limit_exceeded";
