/** A SPIFFE ID as a whole, in bytes (SPIFFE-ID §2.4). */
export const SPIFFE_ID_LENGTH_MAX = 2_048;
/** A trust domain name, in characters (SPIFFE-ID §2.4). */
export const TRUST_DOMAIN_LENGTH_MAX = 255;

export interface SpiffeId {
  readonly trustDomain: string;
  /** With its leading slash; empty for the trust domain itself. */
  readonly path: string;
}

const SCHEME = "spiffe://";
const TRUST_DOMAIN = /^[a-z0-9._-]+$/;
const SEGMENT = /^[A-Za-z0-9._-]+$/;

/**
 * The parts of a SPIFFE ID (SPIFFE-ID §2), `undefined` for anything else: user information, a port, a query, a fragment,
 * percent-encoding, upper case in the trust domain and empty or relative segments are not part of the grammar.
 */
export function parseSpiffeId(text: string): SpiffeId | undefined {
  if (text.length > SPIFFE_ID_LENGTH_MAX || !text.startsWith(SCHEME)) return undefined;
  const rest = text.slice(SCHEME.length);
  const slash = rest.indexOf("/");
  const trustDomain = slash === -1 ? rest : rest.slice(0, slash);
  const path = slash === -1 ? "" : rest.slice(slash);
  if (trustDomain.length > TRUST_DOMAIN_LENGTH_MAX || !TRUST_DOMAIN.test(trustDomain)) return undefined;
  return path === "" || isSpiffePath(path) ? { trustDomain, path } : undefined;
}

/** Whether it is one or more segments, each after a slash (SPIFFE-ID §2.2). */
export function isSpiffePath(path: string): boolean {
  const [first, ...segments] = path.split("/");
  return (
    first === "" &&
    segments.length > 0 &&
    segments.every((segment) => SEGMENT.test(segment) && segment !== "." && segment !== "..")
  );
}
