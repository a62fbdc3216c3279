import { isIP } from "node:net";
import { CredentialsError } from "../../ports/credentials.ts";
import { LEAF_NAMES_MAX } from "../../ports/certificates.ts";

export interface AlternativeName {
  readonly type: "dns" | "ip" | "url";
  readonly value: string;
}

/** A DNS name without its final dot, in characters (RFC 1035 §2.3.4). */
const DNS_NAME_LENGTH_MAX = 253;
/** ASCII, as in a URL's host: international names come in their `xn--` form. */
const DNS_NAME =
  /^(?=.*[A-Za-z_-])(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?)(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?)*$/;

/** The SPIFFE ID as the only URI, then the names under which plain clients know us. @throws CredentialsError `invalid` */
export function alternativeNames(spiffeId: string, names: readonly string[]): AlternativeName[] {
  const distinct = [...new Set(names)];
  if (distinct.length > LEAF_NAMES_MAX) {
    throw new CredentialsError("invalid", `${distinct.length} names for one certificate, at most ${LEAF_NAMES_MAX} are taken`);
  }
  return [{ type: "url", value: spiffeId }, ...distinct.map(alternativeName)];
}

function alternativeName(name: string): AlternativeName {
  if (isIP(name) !== 0 && !name.includes("%")) return { type: "ip", value: name };
  if (name.length <= DNS_NAME_LENGTH_MAX && DNS_NAME.test(name)) return { type: "dns", value: name };
  const shown = JSON.stringify(name.slice(0, DNS_NAME_LENGTH_MAX));
  throw new CredentialsError("invalid", `${shown} is neither a DNS name nor an IP address; give a host without port or brackets`);
}
