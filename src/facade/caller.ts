/** Who makes a request, as far as it has been proved. Each proof is checked when a route asks for it. */
export interface Caller {
  /** Address of the other end of the connection. */
  readonly address: string;
  /** The registry that was admitted, on routes for registries. */
  readonly registry: AdmittedRegistry | undefined;
  /** The verified SVID of the session; `undefined` without a client certificate. @throws ProblemError for one that does not hold */
  svid(): Promise<CallerSvid | undefined>;
  /**
   * The DID whose key signed this request (protocols/http), checked in full: skew, audience, authority, digest, signature, nonce.
   * `undefined` when it is not signed. @throws ProblemError
   */
  signedBy(): Promise<string | undefined>;
  /** Whether the operator's token was presented. @throws ProblemError for a wrong one */
  isOperator(): boolean;
  /**
   * A request that was counted as a continuation goes on with nothing: it is taken from the budget of requests as well.
   * @throws ProblemError `too_many_requests`
   */
  countAsRequest(): void;
}

export interface AdmittedRegistry {
  readonly did: string;
  /** The operator named it: as a contact or as one to follow. */
  readonly isWanted: boolean;
}

export interface CallerSvid {
  readonly spiffeId: string;
  /** DID of the registry whose trust domain it is. */
  readonly did: string;
  /** Path of the SPIFFE ID, with its leading slash. */
  readonly path: string;
}
