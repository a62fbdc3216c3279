/**
 * Who a registry is and where it can be reached, signed by its DID key (README.md). Times are Unix milliseconds. A higher
 * sequence replaces a lower one; the same sequence with other content is evidence of misbehaviour.
 */
export interface DescriptorFields {
  readonly did: string;
  /** Letters, digits, `.`, `-`, `_`; also the last segment of the SPIFFE ID. */
  readonly name: string;
  /** libp2p PeerId of the same key. */
  readonly peerId: string;
  /** `spiffe://<trust domain of the same key>/registry/<name>`. */
  readonly spiffeId: string;
  /** Where libp2p can dial it, best first; what names a peer must name this one. */
  readonly multiaddrs: readonly string[];
  /** From 1, never reused for other content. */
  readonly sequence: number;
  readonly issuedAt: number;
  /** At most DESCRIPTOR_LIFETIME_MS_MAX after `issuedAt`. */
  readonly expiresAt: number;
  readonly catalog: CatalogPointer;
  /** A claimed alias, lower-case DNS name; nothing here proves it. */
  readonly domain?: string;
  readonly facade?: Facade;
  /** SPIFFE trust bundle, opaque to this contract. */
  readonly bundle?: string;
  /** SHA-256 (hex) of the 32-byte public key that may succeed this one. */
  readonly next?: string;
}

export interface CatalogPointer {
  readonly epoch: number;
  /** The final checkpoint (signed note) of an epoch before this one; absent in epoch 0 or when it was lost. */
  readonly previous?: string;
}

export interface Facade {
  /** `https:` URLs of the REST endpoints, best first. */
  readonly urls: readonly string[];
}

export interface Descriptor extends DescriptorFields {
  /** Base64 Ed25519 over DESCRIPTOR_DOMAIN ‖ the canonical document without this field. */
  readonly signature: string;
}

export const DESCRIPTOR_BYTES_MAX = 16_384;
export const DESCRIPTOR_LIFETIME_MS_MAX = 604_800_000;
/** How far another registry's clock may be from ours, in milliseconds: a clock that jumps by ten minutes does no lasting harm. */
export const DESCRIPTOR_SKEW_MS_MAX = 900_000;
export const REGISTRY_NAME_LENGTH_MAX = 64;
export const MULTIADDRS_MAX = 16;
export const MULTIADDR_LENGTH_MAX = 256;
export const FACADE_URLS_MAX = 8;
export const FACADE_URL_LENGTH_MAX = 512;
export const DOMAIN_LENGTH_MAX = 253;
export const BUNDLE_LENGTH_MAX = 8_192;
/** Far below the largest safe integer, so that counting on never loses exactness. */
export const SEQUENCE_MAX: number = 2 ** 48 - 1;

/** Whether `next` replaces `current`: of the same registry and of a higher sequence (T8). Both must have been opened. */
export function supersedes(next: DescriptorFields, current: DescriptorFields): boolean {
  return next.did === current.did && next.sequence > current.sequence;
}
