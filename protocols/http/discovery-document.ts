import { z } from "zod";
import { ANNOUNCE_TOPIC } from "../announce/announcement.ts";
import { HELLO_PROTOCOL } from "../announce/hello.ts";
import { CATALOG_SYNC_PROTOCOL } from "../catalog-sync/messages.ts";
import { peerIdOf, publicKeyOfDid, trustDomainOf } from "../lib/did.ts";
import { CATALOG_SYNC_PATH } from "./catalog-page.ts";
import { DID_DOCUMENT_PATH } from "./did-document.ts";
import { CHECKPOINT_PATH } from "./head-document.ts";
import { INTRODUCTION_PATH } from "./introduction-documents.ts";
import { encodeDocument } from "./json-document.ts";

/** `/.well-known/agent-registry.json`: what is where, for who has only a host name (rest.md). Unsigned: the descriptor is what counts. */
export const DISCOVERY_PATH = "/.well-known/agent-registry.json";

export interface DiscoveryFacts {
  readonly name: string;
  readonly did: string;
  readonly spiffeId: string;
  /** Claimed alias; `null` for none. */
  readonly domain: string | null;
  /** Origins of the REST interface, best first. */
  readonly urls: readonly string[];
  readonly multiaddrs: readonly string[];
}

/** Paths below each of `urls`. */
export const ENDPOINT_PATHS: Readonly<
  Record<"agents" | "federation" | "checkpoint" | "sync" | "did" | "bundle" | "openapi", string>
> = {
  agents: "/agents",
  federation: INTRODUCTION_PATH,
  checkpoint: CHECKPOINT_PATH,
  sync: CATALOG_SYNC_PATH,
  did: DID_DOCUMENT_PATH,
  bundle: "/.well-known/spiffe/bundle.json",
  openapi: "/openapi.json",
};

/** Contracts and the versions that are spoken, by name. */
const PROTOCOLS = {
  announce: [ANNOUNCE_TOPIC],
  hello: [HELLO_PROTOCOL],
  "catalog-sync": [CATALOG_SYNC_PROTOCOL],
  rest: ["1"],
} as const;

export const discoverySchema: z.ZodType = z.looseObject({
  name: z.string(),
  did: z.string(),
  peer_id: z.string(),
  spiffe_id: z.string(),
  trust_domain: z.string(),
  domain: z.string().nullable(),
  urls: z.array(z.string()),
  multiaddrs: z.array(z.string()),
  endpoints: z.record(z.string(), z.string()).meta({ description: "paths below each of urls" }),
  protocols: z.record(z.string(), z.array(z.string())).meta({ description: "versions that are spoken, by contract" }),
});

export function encodeDiscovery({ name, did, spiffeId, domain, urls, multiaddrs }: DiscoveryFacts): Uint8Array {
  const key = publicKeyOfDid(did);
  return encodeDocument({
    name,
    did,
    peer_id: peerIdOf(key),
    spiffe_id: spiffeId,
    trust_domain: trustDomainOf(key),
    domain,
    urls,
    multiaddrs,
    endpoints: ENDPOINT_PATHS,
    protocols: PROTOCOLS,
  });
}
