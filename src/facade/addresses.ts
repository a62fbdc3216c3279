import { isIPv6 } from "node:net";
import type { NetworkInterfaceInfo } from "node:os";

const HTTPS_PORT = 443;
const WILDCARDS = new Set(["0.0.0.0", "::"]);
/** How programs on this machine name it, by what the server is bound to. Before it is bound, `localhost` may be either. */
const LOCAL: Readonly<Record<string, readonly string[]>> = {
  "0.0.0.0": ["localhost", "127.0.0.1"],
  "127.0.0.1": ["localhost", "127.0.0.1"],
  "::1": ["localhost", "::1"],
  "::": ["localhost", "127.0.0.1", "::1"],
  localhost: ["localhost", "127.0.0.1", "::1"],
};

export interface BoundFacade {
  /** As bound: an address, maybe a wildcard. */
  readonly host: string;
  readonly port: number;
  /** Origins that the operator gave. */
  readonly urls: readonly string[];
  readonly domain: string | null;
  /** Of this machine, as `os.networkInterfaces()` gives them. */
  readonly interfaces: readonly NetworkInterfaceInfo[];
}

/** Where the web face is: origins, and the host names in them. */
export interface FacadeAddresses {
  /** What others are told, best first: those of the operator; else that of the domain and those of the bound addresses. */
  readonly announced: readonly string[];
  /** All under which it answers; signed requests may name no other. */
  readonly served: readonly string[];
  /** DNS names and IP addresses in `served`, for the certificate. */
  readonly names: readonly string[];
}

export function facadeAddresses({ host, port, urls, domain, interfaces }: BoundFacade): FacadeAddresses {
  const isWildcard = WILDCARDS.has(host);
  const outside = interfaces.filter(({ internal, address }) => !internal && !address.startsWith("fe80:"));
  const reachable = isWildcard
    ? outside.filter(({ family }) => host === "::" || family === "IPv4").map(({ address }) => address)
    : [host];
  const local = LOCAL[host] ?? [];
  const given = urls.map((url) => new URL(url).origin);
  const own = [...(domain === null ? [] : [domain]), ...reachable].map((name) => origin(name, port));
  const announced = unique(given.length > 0 ? given : own.length > 0 ? own : local.map((name) => origin(name, port)));
  const served = unique([...announced, ...own, ...local.map((name) => origin(name, port))]);
  return { announced, served, names: unique(served.map((url) => new URL(url).hostname.replace(/^\[|\]$/g, ""))) };
}

/** The URL that a program on this machine uses. */
export function localUrl({ host, port }: Pick<BoundFacade, "host" | "port">): string {
  return origin(WILDCARDS.has(host) ? "127.0.0.1" : host, port);
}

function origin(host: string, port: number): string {
  const name = isIPv6(host) ? `[${host}]` : host;
  return new URL(`https://${name}${port === HTTPS_PORT ? "" : `:${port}`}`).origin;
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}
