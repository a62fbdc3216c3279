/** An answer of RFC 9457 (Problem Details for HTTP APIs): what the caller is told, and nothing else. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";
  readonly status: number;
  /** Stable, lower case with underscores; `type` of the document is `urn:theprotocol:problem:<code>`. */
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Further members of the document. */
  readonly extra: Readonly<Record<string, unknown>>;

  /** @param detail what was wrong and what to do */
  constructor(
    status: number,
    code: string,
    detail: string,
    options: {
      readonly headers?: Record<string, string>;
      readonly extra?: Record<string, unknown>;
      readonly cause?: unknown;
    } = {},
  ) {
    super(detail, { cause: options.cause });
    this.status = status;
    this.code = code;
    this.headers = options.headers ?? {};
    this.extra = options.extra ?? {};
  }
}
