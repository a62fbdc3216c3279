export type SvidErrorCode =
  /** Not one DER certificate of a bounded size, or one that says what a reader must not ignore and we do not know. */
  | "malformed"
  | "no_spiffe_id"
  | "two_uris"
  | "bad_spiffe_id"
  /** An authority's certificate is presented as a leaf. */
  | "is_authority"
  /** Key usage or extended key usage is not that of an X509-SVID. */
  | "bad_key_usage"
  /** The key is not on the curve P-256. */
  | "wrong_key"
  /** It is of another registry than the one whose bundle it is checked against, or of none. */
  | "wrong_trust_domain"
  /** None of the registry's authorities signed it. */
  | "untrusted"
  | "expired"
  | "not_yet_valid";

/** A certificate does not prove what it claims. `message` says which rule it breaks. */
export class SvidError extends Error {
  override readonly name = "SvidError";
  readonly code: SvidErrorCode;

  constructor(code: SvidErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
