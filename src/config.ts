import { multiaddr } from "@multiformats/multiaddr";
import { z } from "zod";
import { publicKeyOfDid, publicKeyOfPeerId } from "../protocols/lib/did.ts";
import { registryNameProblem } from "./identity/name.ts";

/** All that an operator decides about a registry. One schema for every way to say it: flags, environment, files, code. */
export interface RegistryConfig {
  /** Shown to the federation and last segment of the SPIFFE ID: 1 to REGISTRY_NAME_LENGTH_MAX of `A-Z a-z 0-9 . - _`. */
  readonly name: string;
  /** Claimed alias (`did:web`), a host name in lower case; `null` for none. */
  readonly domain: string | null;
  /** Absolute path. Everything durable is in it: key, catalogue, replicas, admin socket. */
  readonly dataDir: string;
  /** Multiaddrs to listen on, `/ip4|ip6/…/tcp/<port>`; port 0 takes a free one. */
  readonly listen: readonly string[];
  /** Multiaddrs that others shall dial; empty means those on which we listen. */
  readonly announce: readonly string[];
  /** Registries to meet first: multiaddrs that end in `/p2p/<peer id>`, or `https:` URLs, with `#<DID>` as a pin where it is known. */
  readonly peers: readonly string[];
  /** `HOST:PORT` of the web face, port 0 takes a free one; `null` for none. */
  readonly http: string | null;
  /** `https:` origins under which others reach the web face; empty means those of `domain` and of the bound addresses. */
  readonly httpUrls: readonly string[];
  /** PEM files of a certificate chain of the public web for `domain`, and of its key; `null` for none. */
  readonly tlsCertificate: string | null;
  readonly tlsKey: string | null;
  /** Lifetime of our own TLS certificates, in seconds. */
  readonly svidLifetimeSeconds: number;
  /** Whether URLs and multiaddrs that others name may lead to addresses that are not public (a federation inside one network). */
  readonly allowPrivateAddresses: boolean;
  readonly follow: FollowPolicy;
  readonly logLevel: LogLevel;
  /** Agents kept of one followed registry; what exceeds it is not taken. */
  readonly agentsPerReplicaMax: number;
  /** Registries followed at the same time. */
  readonly replicasMax: number;
  /** Registries remembered, whether followed or not. */
  readonly registriesMax: number;
  /** Open connections to other registries. */
  readonly connectionsMax: number;
  /** Requests that one peer may make of us in a minute; a whole sync session counts as one. */
  readonly requestsPerPeerPerMinuteMax: number;
  /** HTTPS requests that one address (IPv6: one /64) may make of us in a minute, whoever is behind it. */
  readonly requestsPerAddressPerMinuteMax: number;
  /** Agents that their own keys alone may register over HTTPS, in all; 0 leaves registering to the operator. */
  readonly selfRegisteredAgentsMax: number;
}

/** Every registry that is met, none, or exactly these (DIDs). */
export type FollowPolicy = "all" | "none" | readonly string[];

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The registry's Ed25519 key in the data directory (PKCS#8 PEM, 0600). */
export const KEY_FILE_NAME = "registry.key";

export const DEFAULT_PORT = 9470;
export const DEFAULT_HTTP_PORT = 8443;

export const CONFIG_DEFAULTS: RegistryConfig = {
  // Not the machine's host name: it is published to strangers.
  name: "registry",
  domain: null,
  // Beside the .env that configures it, so that one directory is one registry: two on a machine never meet in a shared
  // home directory, and a trial leaves nothing behind. Relative to the working directory.
  dataDir: ".registry",
  listen: [`/ip4/0.0.0.0/tcp/${DEFAULT_PORT}`],
  announce: [],
  peers: [],
  http: `0.0.0.0:${DEFAULT_HTTP_PORT}`,
  httpUrls: [],
  tlsCertificate: null,
  tlsKey: null,
  svidLifetimeSeconds: 3_600,
  allowPrivateAddresses: false,
  follow: "all",
  logLevel: "info",
  agentsPerReplicaMax: 2_000_000,
  replicasMax: 512,
  registriesMax: 4_096,
  connectionsMax: 300,
  requestsPerPeerPerMinuteMax: 100,
  requestsPerAddressPerMinuteMax: 6_000,
  selfRegisteredAgentsMax: 10_000,
};

export const ADDRESSES_MAX = 16;
export const PEERS_MAX = 256;
export const FOLLOW_MAX = 4_096;
const AGENTS_PER_REPLICA_CEILING = 100_000_000;
const REGISTRIES_CEILING = 1_000_000;
const CONNECTIONS_CEILING = 10_000;
const REQUESTS_CEILING = 1_000_000;
/** All of them are looked at when there is no room. */
const SELF_REGISTERED_CEILING = 100_000;
/** Shorter ones would be renewed more often than their handshakes are worth. */
const SVID_LIFETIME_SECONDS_MIN = 4;
const SVID_LIFETIME_SECONDS_MAX = 86_400;

const HOST_NAME = /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** What keeps `text` from being a TCP multiaddr with one of `hosts`, or `undefined`. */
function addressProblem(text: string, hosts: readonly string[], peerId: "required" | "optional" | "none"): string | undefined {
  let parts: readonly { name: string; value?: string | undefined }[];
  try {
    parts = multiaddr(text).getComponents();
  } catch {
    return `"${text}" is not a multiaddr`;
  }
  const [host, port, peer, ...rest] = parts;
  if (host === undefined || !hosts.includes(host.name))
    return `"${text}" must begin with ${hosts.map((h) => `/${h}`).join(" or ")}`;
  if (port?.name !== "tcp") return `"${text}" must continue with /tcp/<port>`;
  if (rest.length > 0) return `"${text}" has parts after its peer id`;
  if (peer === undefined) return peerId === "required" ? `"${text}" lacks /p2p/<peer id> at its end` : undefined;
  if (peer.name !== "p2p") return `"${text}" uses /${peer.name}, which is not served here`;
  if (peerId === "none") return `"${text}" names a peer id, which a listening address does not carry`;
  return isThrowing(() => publicKeyOfPeerId(peer.value ?? ""))
    ? `"${text}" names a peer id that is not an Ed25519 key`
    : undefined;
}

function isThrowing(run: () => unknown): boolean {
  try {
    run();
    return false;
  } catch {
    return true;
  }
}

const BOUND_HOSTS = ["ip4", "ip6"] as const;
const DIALLED_HOSTS = ["ip4", "ip6", "dns", "dns4", "dns6"] as const;

function address(hosts: readonly string[], peerId: "required" | "optional" | "none"): z.ZodType<string> {
  return z.string("not a text").superRefine((text, context) => refuse(context, addressProblem(text, hosts, peerId)));
}

/** What keeps `text` from being a peer: a multiaddr with its peer id, or the URL of a web face, maybe with the DID that it must be. */
export function peerProblem(text: string): string | undefined {
  return isUrl(text) ? peerUrlProblem(text) : addressProblem(text, DIALLED_HOSTS, "required");
}

/** Whether a peer is named by URL rather than by multiaddr. */
export function isUrl(text: string): boolean {
  return /^[a-z]+:/i.test(text);
}

const peer: z.ZodType<string> = z.string("not a text").superRefine((text, context) => refuse(context, peerProblem(text)));

const origin: z.ZodType<string> = z.string("not a text").superRefine((text, context) => {
  const isOrigin = URL.canParse(text) && new URL(text).origin === text.replace(/\/$/, "");
  refuse(
    context,
    isOrigin ? peerUrlProblem(text) : `"${text}" is not the origin of a URL: https://<host>, with :<port> where it is not 443`,
  );
});

function refuse(context: z.RefinementCtx, problem: string | undefined): void {
  if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
}

function peerUrlProblem(text: string): string | undefined {
  if (!URL.canParse(text)) return `"${text}" is not a URL`;
  const { protocol, username, password, search, hash } = new URL(text);
  if (protocol !== "https:") return `"${text}" must begin with https://`;
  if (username !== "" || password !== "") return `"${text}" carries a user or password, which are not used here`;
  if (search !== "") return `"${text}" has a query`;
  if (hash === "") return undefined;
  return isThrowing(() => publicKeyOfDid(hash.slice(1))) ? `"${text}" has a pin that is not the DID of a registry` : undefined;
}

const PORT_MAX = 65_535;

function httpAddressProblem(text: string): string | undefined {
  const [, host, port] = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined) return `"${text}" is not <host>:<port>`;
  return Number(port) > PORT_MAX ? `"${text}" has a port above ${PORT_MAX}` : undefined;
}

function bound(min: number, max: number): z.ZodType<number> {
  const message = `not a whole number from ${min} to ${max}`;
  return z.int(message).min(min, message).max(max, message);
}

function list(item: z.ZodType<string>, max: number): z.ZodType<readonly string[]> {
  return z.array(item).max(max, `more than ${max} entries`);
}

const registryDid = z.string().refine((did) => !isThrowing(() => publicKeyOfDid(did)), {
  error: (issue) => `"${String(issue.input)}" is not the DID of a registry`,
});

const fields: z.ZodType<RegistryConfig> = z.strictObject({
  name: z.string().superRefine((name, context) => {
    const problem = registryNameProblem(name);
    if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
  }),
  domain: z
    .string()
    .refine((name) => HOST_NAME.test(name), { error: (issue) => `"${String(issue.input)}" is not a host name` })
    .nullable(),
  dataDir: z.string().min(1, "is empty"),
  listen: list(address(BOUND_HOSTS, "none"), ADDRESSES_MAX).refine((all) => all.length > 0, "names no address"),
  announce: list(address(DIALLED_HOSTS, "optional"), ADDRESSES_MAX),
  peers: list(peer, PEERS_MAX),
  http: z
    .string()
    .superRefine((text, context) => refuse(context, httpAddressProblem(text)))
    .nullable(),
  httpUrls: list(origin, ADDRESSES_MAX),
  tlsCertificate: z.string().min(1, "is empty").nullable(),
  tlsKey: z.string().min(1, "is empty").nullable(),
  svidLifetimeSeconds: bound(SVID_LIFETIME_SECONDS_MIN, SVID_LIFETIME_SECONDS_MAX),
  allowPrivateAddresses: z.boolean("is neither true nor false"),
  follow: z.union([
    z.literal("all"),
    z.literal("none"),
    z.array(registryDid).max(FOLLOW_MAX, `more than ${FOLLOW_MAX} registries`),
  ]),
  logLevel: z.enum(LOG_LEVELS, { error: (issue) => `"${String(issue.input)}" is not a log level` }),
  agentsPerReplicaMax: bound(1, AGENTS_PER_REPLICA_CEILING),
  replicasMax: bound(0, REGISTRIES_CEILING),
  registriesMax: bound(1, REGISTRIES_CEILING),
  connectionsMax: bound(1, CONNECTIONS_CEILING),
  requestsPerPeerPerMinuteMax: bound(1, REQUESTS_CEILING),
  requestsPerAddressPerMinuteMax: bound(1, REQUESTS_CEILING),
  selfRegisteredAgentsMax: bound(0, SELF_REGISTERED_CEILING),
});

/** A rule over several fields: the mistake is told of `field`, whatever else is wrong. */
interface Rule {
  readonly field: keyof RegistryConfig;
  readonly isKept: (config: RegistryConfig) => boolean;
  readonly problem: string;
  readonly fix: string;
}

const RULES: readonly Rule[] = [
  {
    field: "tlsCertificate",
    isKept: ({ tlsCertificate, tlsKey }) => tlsCertificate !== null || tlsKey === null,
    problem: "is missing, while its key is named",
    fix: "name the PEM file of the certificate chain too, or leave the key out",
  },
  {
    field: "tlsKey",
    isKept: ({ tlsCertificate, tlsKey }) => tlsKey !== null || tlsCertificate === null,
    problem: "is missing, while its certificate is named",
    fix: "name the PEM file of the certificate's private key too, or leave the certificate out",
  },
  {
    field: "domain",
    isKept: ({ domain, tlsCertificate }) => domain !== null || tlsCertificate === null,
    problem: "is missing, while a certificate of the public web is named, which is served for it",
    fix: "name the host for which that certificate was made, or leave the certificate out",
  },
  {
    field: "tlsCertificate",
    isKept: ({ http, tlsCertificate }) => http !== null || tlsCertificate === null,
    problem: "is never served: the HTTPS interface is switched off",
    fix: "name where the HTTPS interface listens, such as 0.0.0.0:8443, or leave the certificate out",
  },
];

/** Checks a whole configuration and names every mistake by its field (zod issue paths; `params.fix` where the usual one does not fit). */
export const registryConfigSchema: z.ZodType<RegistryConfig> = RULES.reduce<z.ZodType<RegistryConfig>>(
  (schema, { field, isKept, problem, fix }) =>
    // Also beside other mistakes, so that all are told at once.
    schema.refine(isKept, { path: [field], message: problem, params: { fix }, when: () => true }),
  fields,
);
