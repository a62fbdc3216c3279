import { z } from "zod";
import { DID_LENGTH_MAX, peerIdOf, publicKeyOfDid } from "../lib/did.ts";
import { encodeDocument } from "./json-document.ts";

/** `/.well-known/did.json`: the DID document (W3C DID Core 1.0) of a registry, by its key and by its domain (rest.md). */
export const DID_DOCUMENT_PATH = "/.well-known/did.json";
export const DID_DOCUMENT_MEDIA_TYPE = "application/did+json";
/** Bytes of a DID document that is fetched. */
export const DID_DOCUMENT_BYTES_MAX = 65_536;

const CONTEXT = ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"];
const DID_KEY_PREFIX = "did:key:";
/** Entries of a list in a DID document that is read. */
const ENTRIES_MAX = 64;

export interface DidDocumentFacts {
  /** The registry's did:key. */
  readonly did: string;
  /** Claimed alias, a DNS name; `null` for none. */
  readonly domain: string | null;
  /** Origins of the REST interface, best first. */
  readonly urls: readonly string[];
  /** libp2p addresses, best first. */
  readonly multiaddrs: readonly string[];
}

const service = z.looseObject({
  id: z.string(),
  type: z.string(),
  serviceEndpoint: z.union([z.array(z.string()), z.looseObject({ peerId: z.string(), multiaddrs: z.array(z.string()) })]),
});

/** The document as this registry writes it. */
export const didDocumentSchema: z.ZodType = z.looseObject({
  "@context": z.array(z.string()),
  id: z.string().max(DID_LENGTH_MAX),
  alsoKnownAs: z.array(z.string()),
  verificationMethod: z.array(
    z.looseObject({ id: z.string(), type: z.literal("Multikey"), controller: z.string(), publicKeyMultibase: z.string() }),
  ),
  authentication: z.array(z.string()),
  assertionMethod: z.array(z.string()),
  service: z.array(service),
});

/** `did:web` of a DNS name (did:web method specification §3.1). */
export function didWeb(domain: string): string {
  return `did:web:${domain}`;
}

/** With a domain the did:web document, which names the did:key as the same subject; without one that of the did:key. */
export function encodeDidDocument({ did, domain, urls, multiaddrs }: DidDocumentFacts): Uint8Array {
  const id = domain === null ? did : didWeb(domain);
  const key = publicKeyMultibase(did);
  const method = `${id}#${key}`;
  const libp2p = { peerId: peerIdOf(publicKeyOfDid(did)), multiaddrs };
  return encodeDocument({
    "@context": CONTEXT,
    id,
    alsoKnownAs: domain === null ? [] : [did],
    verificationMethod: [{ id: method, type: "Multikey", controller: id, publicKeyMultibase: key }],
    authentication: [method],
    assertionMethod: [method],
    service: [
      ...(urls.length > 0 ? [{ id: `${id}#agent-registry`, type: "AgentRegistry", serviceEndpoint: urls }] : []),
      { id: `${id}#libp2p`, type: "Libp2p", serviceEndpoint: libp2p },
    ],
  });
}

/** What a verifier of an alias reads; everything else is passed over. */
const foreign = z.object({
  id: z.string(),
  alsoKnownAs: z.array(z.unknown()).max(ENTRIES_MAX),
  verificationMethod: z.array(z.unknown()).max(ENTRIES_MAX),
  assertionMethod: z.array(z.unknown()).max(ENTRIES_MAX),
});
const multikey = z.object({ id: z.string(), controller: z.string(), publicKeyMultibase: z.string() });

/**
 * Whether the document of `did:web:<domain>` confirms that the registry may call itself by that domain: it is that DID's own, names
 * the registry's DID as the same subject, and lets the registry's key assert for it.
 * @param document parsed JSON, as it was fetched from the domain
 * @param did the registry's did:key
 */
export function pointsBack(document: unknown, did: string, domain: string): boolean {
  const read = foreign.safeParse(document);
  if (!read.success) return false;
  const { id, alsoKnownAs, verificationMethod, assertionMethod } = read.data;
  if (id !== didWeb(domain) || !alsoKnownAs.includes(did)) return false;
  const absolute = (reference: string): string => (reference.startsWith("#") ? id + reference : reference);
  const asserting = assertionMethod.map((each) => (typeof each === "string" ? absolute(each) : undefined));
  const embedded = assertionMethod.filter((each) => typeof each !== "string");
  return [...verificationMethod, ...embedded].some((each) => {
    const method = multikey.safeParse(each);
    if (!method.success || method.data.publicKeyMultibase !== publicKeyMultibase(did)) return false;
    if (method.data.controller !== id && method.data.controller !== did) return false;
    return embedded.includes(each) || asserting.includes(absolute(method.data.id));
  });
}

/** Of a did:key the identifier itself (did:key method specification); checked to name an Ed25519 key. @throws ProtocolError `bad_did` */
function publicKeyMultibase(did: string): string {
  publicKeyOfDid(did);
  return did.slice(DID_KEY_PREFIX.length);
}
