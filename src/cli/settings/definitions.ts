import { CONFIG_DEFAULTS, LOG_LEVELS, type RegistryConfig } from "../../config.ts";
import { REGISTRY_NAME_LENGTH_MAX } from "../../identity/name.ts";

/** One setting as operators meet it: the same value by flag, by environment variable, in an env file, or by default. */
export interface Setting {
  readonly field: keyof RegistryConfig;
  readonly variable: string;
  readonly flag: string;
  /** Placeholder of the flag's argument in the help. */
  readonly argument: string;
  /** `list`: comma-separated in a variable, repeatable (and comma-separated) as a flag. `optional`: a text, or `none`. */
  readonly kind: "text" | "integer" | "boolean" | "list" | "follow" | "optional";
  readonly help: string;
  /** What to write instead, shown with every mistake. */
  readonly fix: string;
}

export const SETTINGS: readonly Setting[] = [
  {
    field: "name",
    variable: "REGISTRY_NAME",
    flag: "--name",
    argument: "name",
    kind: "text",
    help: "name of this registry in the federation, last part of its SPIFFE ID",
    fix: `use 1 to ${REGISTRY_NAME_LENGTH_MAX} letters, digits, ".", "-" or "_", such as acme-agents`,
  },
  {
    field: "domain",
    variable: "REGISTRY_DOMAIN",
    flag: "--domain",
    argument: "host",
    kind: "text",
    help: "host name that this registry claims as its alias (did:web); shown as verified once it points back",
    fix: "use a lower-case host name, such as agents.example.org, or leave it empty",
  },
  {
    field: "dataDir",
    variable: "REGISTRY_DATA_DIR",
    flag: "--data-dir",
    argument: "directory",
    kind: "text",
    help: "directory of everything durable: key, catalogue, replicas, admin socket",
    fix: "name a directory that this user may write to",
  },
  {
    field: "listen",
    variable: "REGISTRY_LISTEN",
    flag: "--listen",
    argument: "multiaddr",
    kind: "list",
    help: "address to listen on; port 0 takes a free one",
    fix: "use /ip4/<address>/tcp/<port>, such as /ip4/0.0.0.0/tcp/9470",
  },
  {
    field: "announce",
    variable: "REGISTRY_ANNOUNCE",
    flag: "--announce",
    argument: "multiaddr",
    kind: "list",
    help: "address that others shall dial (containers, cloud NAT); those we listen on by default",
    fix: "use /dns4/<host>/tcp/<port> or /ip4/<address>/tcp/<port>",
  },
  {
    field: "peers",
    variable: "FEDERATION_PEERS",
    flag: "--peer",
    argument: "address",
    kind: "list",
    help: "registry to meet first, by URL or multiaddr; one is enough, the others are found by gossip",
    fix: "use https://<host>[:port], with #<DID> to pin it, or a multiaddr that ends in /p2p/<peer id>, as the other registry's `registry status` shows them",
  },
  {
    field: "http",
    variable: "REGISTRY_HTTP",
    flag: "--http",
    argument: "host:port",
    kind: "optional",
    help: "where the HTTPS interface listens; port 0 takes a free one, none switches it off",
    fix: "use <host>:<port>, such as 0.0.0.0:8443, or none",
  },
  {
    field: "httpUrls",
    variable: "REGISTRY_HTTP_URLS",
    flag: "--http-url",
    argument: "url",
    kind: "list",
    help: "origin under which others reach the HTTPS interface; found from the domain and the bound addresses by default",
    fix: "use https://<host>, with :<port> where it is not 443",
  },
  {
    field: "tlsCertificate",
    variable: "REGISTRY_TLS_CERTIFICATE",
    flag: "--tls-certificate",
    argument: "file",
    kind: "optional",
    help: "certificate chain (PEM) of the public web for the domain, for browsers and plain clients",
    fix: "name a PEM file, and its key with REGISTRY_TLS_KEY",
  },
  {
    field: "tlsKey",
    variable: "REGISTRY_TLS_KEY",
    flag: "--tls-key",
    argument: "file",
    kind: "optional",
    help: "private key (PEM) of that certificate",
    fix: "name a PEM file that this user can read, and not everybody",
  },
  {
    field: "svidLifetimeSeconds",
    variable: "REGISTRY_SVID_LIFETIME_SECONDS",
    flag: "--svid-lifetime-seconds",
    argument: "number",
    kind: "integer",
    help: "lifetime of this registry's own TLS certificates; they are renewed at half of it",
    fix: "use a whole number, such as 3600",
  },
  {
    field: "allowPrivateAddresses",
    variable: "FEDERATION_ALLOW_PRIVATE_ADDRESSES",
    flag: "--allow-private-addresses",
    argument: "true|false",
    kind: "boolean",
    help: "whether URLs and multiaddrs that others name may lead to addresses that are not public",
    fix: "use true for a federation inside one network, else false",
  },
  {
    field: "follow",
    variable: "REGISTRY_FOLLOW",
    flag: "--follow",
    argument: "all|none|DID",
    kind: "follow",
    help: "registries whose catalogues are replicated here",
    fix: "use all, none, or registry DIDs (did:key:z6Mk…)",
  },
  {
    field: "logLevel",
    variable: "REGISTRY_LOG_LEVEL",
    flag: "--log-level",
    argument: "level",
    kind: "text",
    help: `how much is said on stderr: ${LOG_LEVELS.join(", ")}`,
    fix: `use one of ${LOG_LEVELS.join(", ")}`,
  },
  {
    field: "agentsPerReplicaMax",
    variable: "REGISTRY_AGENTS_PER_REPLICA_MAX",
    flag: "--agents-per-replica-max",
    argument: "number",
    kind: "integer",
    help: "agents kept of one followed registry; raising it lets a registry fill more of this disk",
    fix: "use a whole number, such as 2000000",
  },
  {
    field: "replicasMax",
    variable: "REGISTRY_REPLICAS_MAX",
    flag: "--replicas-max",
    argument: "number",
    kind: "integer",
    help: "registries followed at the same time",
    fix: "use a whole number, such as 512",
  },
  {
    field: "registriesMax",
    variable: "FEDERATION_REGISTRIES_MAX",
    flag: "--registries-max",
    argument: "number",
    kind: "integer",
    help: "registries remembered, whether followed or not",
    fix: "use a whole number, such as 4096",
  },
  {
    field: "connectionsMax",
    variable: "FEDERATION_CONNECTIONS_MAX",
    flag: "--connections-max",
    argument: "number",
    kind: "integer",
    help: "open connections to other registries",
    fix: "use a whole number, such as 300",
  },
  {
    field: "requestsPerPeerPerMinuteMax",
    variable: "FEDERATION_REQUESTS_PER_PEER_PER_MINUTE_MAX",
    flag: "--requests-per-peer-per-minute-max",
    argument: "number",
    kind: "integer",
    help: "requests that one peer may make in a minute; a whole sync counts as one",
    fix: "use a whole number, such as 600",
  },
  {
    field: "requestsPerAddressPerMinuteMax",
    variable: "REGISTRY_REQUESTS_PER_ADDRESS_PER_MINUTE_MAX",
    flag: "--requests-per-address-per-minute-max",
    argument: "number",
    kind: "integer",
    help: "HTTPS requests that one address may make in a minute; raise it where many come from one, as behind a proxy",
    fix: "use a whole number, such as 6000",
  },
  {
    field: "selfRegisteredAgentsMax",
    variable: "REGISTRY_SELF_REGISTERED_AGENTS_MAX",
    flag: "--self-registered-agents-max",
    argument: "number",
    kind: "integer",
    help: "agents that anybody may register over HTTPS with nothing but their own keys; 0 leaves it to the operator",
    fix: "use a whole number, such as 10000, or 0",
  },
];

/** The text that gives `setting` its default; empty where the default is nothing. */
export function defaultText(setting: Setting): string {
  return settingText(setting, CONFIG_DEFAULTS);
}

/** What an env file says to give `setting` the value that it has in `config`. */
export function settingText({ field, kind }: Setting, config: RegistryConfig): string {
  const value = config[field];
  // An empty text means the default, so that nothing has a word of its own where the default is something.
  if (value === null) return kind === "optional" && CONFIG_DEFAULTS[field] !== null ? "none" : "";
  return Array.isArray(value) ? value.join(",") : String(value);
}

/** Texts of one source to the value that the schema checks; what does not convert is left for it to refuse. */
export function readSetting(setting: Setting, texts: readonly string[]): unknown {
  const last = texts.at(-1) ?? "";
  if (setting.kind === "text") return last;
  if (setting.kind === "optional") return last === "none" ? null : last;
  if (setting.kind === "boolean") return last === "true" ? true : last === "false" ? false : last;
  if (setting.kind === "integer") return /^\d{1,15}$/.test(last) ? Number(last) : last;
  const items = texts.flatMap((text) => text.split(",")).map((item) => item.trim());
  const entries = items.filter((item) => item !== "");
  const isPolicy = setting.kind === "follow" && entries.length === 1 && (entries[0] === "all" || entries[0] === "none");
  return isPolicy ? entries[0] : entries;
}
