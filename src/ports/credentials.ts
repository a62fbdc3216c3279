/**
 * The registry's own X509-SVID and trust bundle, which rotate while they are used. Nobody keeps what these methods return for
 * longer than one handshake.
 */
export interface Credentials {
  /** The leaf that is served and presented now. */
  svid(): Svid;
  /** The trust bundle that belongs into our descriptor: SPIFFE bundle format (protocols/bundle), with authorities to come. */
  bundle(): string;
  /** Called after each change; the returned function ends it. */
  onChange(listener: (what: "svid" | "bundle") => void): () => void;
  /** A certificate of our trust domain for somebody else, such as an operator. @throws CredentialsError `invalid` */
  issue(request: SvidRequest): Promise<Svid>;
  /** Ends the rotation. */
  close(): void;
}

export interface Svid {
  readonly spiffeId: string;
  /** PEM of the leaf alone: its authority is in the bundle. */
  readonly certificate: string;
  /** PKCS#8 PEM. */
  readonly key: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface SvidRequest {
  /** Path of the SPIFFE ID in our trust domain, such as `/operator/alice`. */
  readonly path: string;
  readonly lifetimeMs: number;
}

export type CredentialsErrorCode = "invalid" | "exposed" | "damaged" | "unreadable" | "not_created";

export class CredentialsError extends Error {
  override readonly name = "CredentialsError";
  readonly code: CredentialsErrorCode;

  constructor(code: CredentialsErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
