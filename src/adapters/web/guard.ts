import type { LookupAddress } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { callbackify } from "node:util";
import { WebError } from "../../ports/web.ts";
import type { NameLookup, Names } from "../names/names.ts";
import { isPublicAddress } from "../names/public-address.ts";

/**
 * Guards requests to URLs that a peer or a user gave (T52): what is checked is the very address to which the connection is
 * made, so that a name which resolves differently a moment later (DNS rebinding) gains nothing.
 */
export interface Guard {
  /** Whether addresses that are not public are reached: the operator named the URL, or allows them all. */
  readonly allowPrivate: boolean;
  readonly lookup: NameLookup;
}

/** @param named whether the operator gave the URL, who thereby allows its address whatever it is */
export function guardOf(named: boolean, allowPrivateAddresses: boolean, names: Names): Guard {
  return { allowPrivate: named || allowPrivateAddresses, lookup: named ? names.named : names.given };
}

/** Longest URL that is requested, in characters. */
export const URL_LENGTH_MAX = 2_048;

/**
 * The parsed URL of a request: `https:`, any port, without user, password and fragment.
 * @throws WebError `forbidden_address` for any other URL, and for a literal address that the guard refuses
 */
export function checkUrl(text: string, guard: Pick<Guard, "allowPrivate">): URL {
  const shown = text.slice(0, 200);
  const url = text.length <= URL_LENGTH_MAX && URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined)
    throw new WebError("forbidden_address", `"${shown}" is not a URL of at most ${URL_LENGTH_MAX} characters`);
  if (url.protocol !== "https:")
    throw new WebError("forbidden_address", `"${shown}" is not an https URL, and no other is requested`);
  if (url.username !== "" || url.password !== "")
    throw new WebError("forbidden_address", `"${url.origin}" was given with a user or password: give it without`);
  url.hash = "";
  const literal = hostOf(url);
  if (isIP(literal) !== 0 && !guard.allowPrivate && !isPublicAddress(literal)) throw privateAddress(literal, [literal]);
  return url;
}

/** Host name or address to connect to: an IPv6 literal without its brackets. */
export function hostOf(url: URL): string {
  return url.hostname.startsWith("[") ? url.hostname.slice(1, -1) : url.hostname;
}

/**
 * For `net.connect`: resolves a name to the addresses that the guard lets through, and to no others.
 * @param signal ends a lookup that nobody waits for any more: who dials does not tell
 */
export function guardedLookup({ allowPrivate, lookup }: Guard, signal: AbortSignal): LookupFunction {
  const taken = callbackify(async (hostname: string): Promise<[LookupAddress, ...LookupAddress[]]> => {
    const found = await lookup(hostname, signal);
    const [first, ...others] = allowPrivate ? found : found.filter(({ address }) => isPublicAddress(address));
    if (first !== undefined) return [first, ...others];
    throw privateAddress(
      hostname,
      found.map(({ address }) => address),
    );
  });
  return (hostname, options, callback) =>
    taken(hostname, (error, addresses) => {
      if (error !== null) return callback(error, "", 0);
      if (options.all === true) callback(null, addresses);
      else callback(null, addresses[0].address, addresses[0].family);
    });
}

function privateAddress(host: string, addresses: readonly string[]): WebError {
  const named = addresses.slice(0, 4).join(", ");
  const message = `${host} leads to ${named || "no address"}, which is not public: it is not requested unless private addresses are allowed`;
  return new WebError("forbidden_address", message);
}
