import type { Json } from "../lib/canonical.ts";

/**
 * An agent as its home registry publishes it: one flat JSON document whose canonical form is what the tree commits to.
 * The first group is the agent's own, the second is set by the home and is the trail of the record.
 */
export interface AgentRecord extends AgentFields {
  /** DID of the home registry. */
  readonly registry: string;
  /** The home's epoch in which this revision was written, from 0. */
  readonly epoch: number;
  /** From 1; counts up and never restarts for a DID within an epoch, not after a delete either (README, "Revisions"). */
  readonly revision: number;
  /** Hybrid logical clock of the write, see `hlc.ts`. */
  readonly hlc: string;
  /** Value hash (hex) of the revision before; absent on the first, and on the first after a delete. */
  readonly prev?: string;
  /** 0 to 1 in steps of 0.01; absent where the home has no opinion. */
  readonly reputation_score?: number;
}

export interface AgentFields {
  readonly did: string;
  /** `acme/translator`: 1 to SEGMENTS_MAX segments; unique within a home. */
  readonly humanReadableId: string;
  readonly name: string;
  readonly description: string;
  /** A path taxonomy: `translation/en-fr` is also `translation`. Ascending, no duplicates. */
  readonly capabilities: readonly string[];
  readonly tags: readonly string[];
  readonly endpoints: readonly Endpoint[];
  readonly version: string;
  readonly status: AgentStatus;
  /** The document from which the agent was imported, kept as a string for a lossless export. */
  readonly original?: OriginalDocument;
  /** Base64 Ed25519 signature by the key in a `did:key` DID, see `signature.ts`. */
  readonly agent_signature?: string;
}

export interface Endpoint {
  readonly url: string;
  readonly protocol: string;
}

export interface OriginalDocument {
  readonly media_type: string;
  readonly document: string;
}

export const AGENT_STATUSES = ["active", "inactive", "deprecated"] as const;
export type AgentStatus = (typeof AGENT_STATUSES)[number];

/** Bytes of the whole record in its canonical form, the original document included. */
export const RECORD_BYTES_MAX = 131_072;
export const HUMAN_READABLE_ID_LENGTH_MAX = 200;
export const SEGMENTS_MAX = 8;
export const NAME_LENGTH_MAX = 256;
export const DESCRIPTION_LENGTH_MAX = 16_384;
export const CAPABILITIES_MAX = 512;
export const CAPABILITY_LENGTH_MAX = 128;
export const TAGS_MAX = 256;
export const TAG_LENGTH_MAX = 128;
export const ENDPOINTS_MAX = 64;
export const URL_LENGTH_MAX = 2_048;
export const PROTOCOL_LENGTH_MAX = 64;
export const VERSION_LENGTH_MAX = 64;
export const MEDIA_TYPE_LENGTH_MAX = 128;
/** Epochs and revisions stay far below the largest safe integer, so that arithmetic on them is exact. */
export const EPOCH_MAX = 4_294_967_295;
export const REVISION_MAX = 281_474_976_710_655;

/** Reputation scores are multiples of 1 / SCORE_STEPS. */
export const SCORE_STEPS = 100;

/** The fields that the home sets; they are not covered by the agent's signature, except `registry` and `revision`. */
export const HOME_FIELDS = ["registry", "epoch", "revision", "hlc", "prev", "reputation_score"] as const;

/** The record as plain JSON, for the canonical encoder. */
export function recordJson(record: AgentRecord | AgentFields): Json {
  return record as unknown as Json;
}
