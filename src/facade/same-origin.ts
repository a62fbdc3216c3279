import { isIP } from "node:net";
import type { FacadeContext } from "./context.ts";
import { ProblemError } from "./problem.ts";
import type { Call } from "./route.ts";

/** Names of this machine that a page elsewhere cannot take for its own. */
const LOCAL_NAMES: readonly string[] = ["localhost", "ip6-localhost"];

/**
 * Refuses what a page of another site makes a browser send: such requests carry the browser's client certificate, and may reach
 * listeners that only this machine can. Other clients send neither `Origin` nor `Sec-Fetch-Site`.
 * @throws ProblemError `cross_origin`
 */
export function refuseCrossOrigin({ urls }: Pick<FacadeContext, "urls">, { headers }: Pick<Call, "headers">): void {
  const { origin } = headers;
  const site = headers["sec-fetch-site"];
  const isOurs = origin === undefined || urls().some((url) => new URL(url).origin === origin);
  const isSameSite = site === undefined || site === "same-origin" || site === "none";
  if (isOurs && isSameSite) return;
  throw new ProblemError(
    403,
    "cross_origin",
    "web pages of other sites may not do this: call it from this registry's own origin",
  );
}

/**
 * Refuses a name that is not ours: a page whose name was pointed at this machine (DNS rebinding) is of the same origin to the
 * browser, but its requests name it. Addresses and this machine's own names are no page's.
 * @throws ProblemError `wrong_authority`
 */
export function refuseForeignHost({ urls }: Pick<FacadeContext, "urls">, { headers }: Pick<Call, "headers">): void {
  const authority = (headers[":authority"] as string | undefined) ?? headers.host ?? "";
  const name = hostnameOf(`https://${authority}`);
  const isOurs = name !== undefined && urls().some((url) => hostnameOf(url) === name);
  if (name !== undefined && (isOurs || LOCAL_NAMES.includes(name) || isIP(name.replace(/^\[|\]$/g, "")) !== 0)) return;
  throw new ProblemError(421, "wrong_authority", `"${authority.slice(0, AUTHORITY_SHOWN_MAX)}" is no name of this registry`);
}

const AUTHORITY_SHOWN_MAX = 255;

function hostnameOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).hostname : undefined;
}
