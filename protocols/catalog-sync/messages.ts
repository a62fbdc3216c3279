import type { SignedHead } from "../checkpoint/head.ts";
import type { Prefix } from "../checkpoint/prefix.ts";

/** Differential catalogue sync with proofs: one stream is kept open for each followed registry, sessions follow one another on it. */
export const CATALOG_SYNC_PROTOCOL = "/theprotocol/catalog-sync/1.0.0";

/** Changes under one prefix of a frontier: what a receiver holds before it can check the subtree. */
export const BATCH_RECORDS_MAX = 256;
/** A sender starts a new batch frame once one holds this many bytes; a single large record may exceed it. */
export const BATCH_FRAME_BYTES = 196_608;
/** Entries of one frontier: 131,072 batches carry 33 million records. */
export const FRONTIER_ENTRIES_MAX = 131_072;
export const FRONTIER_FRAME_ENTRIES = 4_096;
/** Leaf hashes of the log sent in one session: four months of a commit a second. */
export const LOG_LEAVES_MAX = 10_485_760;
export const LOG_FRAME_LEAVES = 4_096;
/** Prefixes of one descent question in all of its frames. */
export const DESCENT_PREFIXES_MAX = 65_536;
/** Hints of one `compare` in all of its frames: no more subtrees can differ than may be named in the next question. */
export const COMPARE_HINTS_MAX: number = DESCENT_PREFIXES_MAX;
/** Leaf hints of one `fetch` in all of its frames; a follower with more leaves names none under its last prefixes. */
export const DESCENT_HINTS_MAX = 1_048_576;
export const DESCENT_FRAME_BYTES = 131_072;
/** Rounds of one descent before its leaves; each halves what is left many times over. */
export const DESCENT_ROUNDS_MAX = 8;
/** Bits by which one descent question looks below each prefix. */
export const DESCENT_BITS_MAX = 14;
/** A hint is the first bytes of a salted hash; whole hashes are asked for when short ones collided. */
export const HINT_BYTES_SHORT = 8;
export const HINT_BYTES_FULL = 32;
export const SALT_BYTES = 8;

/** What the follower has: the map and log of the last version that it completed, or `descend` when its map is no such version. */
export interface SyncRequest {
  readonly kind: "request";
  /** DID of the catalogue's registry: the peer's own, or one that it replicates. */
  readonly registry: string;
  readonly epoch: number;
  /** Log size and map root of the base; 0 and EMPTY ask for everything. */
  readonly baseSize: number;
  readonly baseRoot: Uint8Array;
  /** Leaf hashes of this epoch's log that the follower holds; the answer carries those that come after. */
  readonly logSize: number;
}

/** Asks which subtrees differ: for each prefix the hints of its 2^bits descendants, in order. */
export interface CompareRequest {
  readonly kind: "compare";
  readonly registry: string;
  readonly salt: Uint8Array;
  readonly hintBytes: number;
  readonly bits: number;
  readonly prefixes: readonly Prefix[];
  /** 2^bits hints for each prefix, one after another. */
  readonly hints: Uint8Array;
  /** Whether the question goes on in the next frame. */
  readonly more: boolean;
}

/** Asks for the subtrees that differ: for each prefix the hints of the follower's leaves under it, ascending by key. */
export interface FetchRequest {
  readonly kind: "fetch";
  readonly registry: string;
  readonly epoch: number;
  readonly logSize: number;
  readonly salt: Uint8Array;
  readonly hintBytes: number;
  readonly prefixes: readonly Prefix[];
  /** Number of leaf hints of each prefix. */
  readonly leaves: readonly number[];
  readonly hints: Uint8Array;
  readonly more: boolean;
}

export type ClientMessage = SyncRequest | CompareRequest | FetchRequest;

/** Why there is no answer; none of these is the follower's or the server's fault. */
export type RefusalCode =
  /** We do not hold that registry's catalogue. */
  | "unknown_registry"
  /** The base is older than the change log, of another epoch, or not ours: compare and fetch instead. */
  | "unknown_base"
  /** Our copy is being brought up to date: ask again, or ask another. */
  | "busy"
  /** Too many requests: ask again after `retryAfterMs`. */
  | "throttled"
  /** Nothing has been committed yet. */
  | "empty"
  /** The request was malformed or out of turn. */
  | "bad_request";

export const REFUSAL_CODES: readonly RefusalCode[] = [
  "unknown_registry",
  "unknown_base",
  "busy",
  "throttled",
  "empty",
  "bad_request",
];

export interface Refusal {
  readonly kind: "refusal";
  readonly code: RefusalCode;
  readonly retryAfterMs: number;
}

/** The start of an answer: what will come, so that the follower can fold the frontier before it takes any data. */
export interface SyncHeader {
  readonly kind: "header";
  readonly head: SignedHead;
  /** Leaf hashes that follow, from the request's logSize to the checkpoint's size. */
  readonly logLeaves: number;
  readonly frontierEntries: number;
  /** Changes (or leaves, in an answer to `fetch`) in all batches. */
  readonly changes: number;
  /** `delta`: puts and deletes against the base. `replace`: all keys under each prefix. */
  readonly mode: "delta" | "replace";
}

/** A subtree that the answer brings: its hash over the keys under the prefix, in the version of the header. */
export interface FrontierEntry {
  readonly prefix: Prefix;
  readonly hash: Uint8Array;
  /** Changes in its batch, at most BATCH_RECORDS_MAX. */
  readonly changes: number;
}

export type BatchEntry =
  | { readonly op: "put"; readonly key: Uint8Array; readonly record: Uint8Array }
  | { readonly op: "delete"; readonly key: Uint8Array }
  /** Only in `replace`: the follower's own leaf, by its place among all leaf hints of the fetch. */
  | { readonly op: "keep"; readonly leaf: number };

export interface BatchFrame {
  readonly kind: "batch";
  /** Index into the frontier; batches come in its order. */
  readonly entry: number;
  /** Whether the batch of this entry ends here. */
  readonly last: boolean;
  readonly entries: readonly BatchEntry[];
}

export type ServerMessage =
  | Refusal
  | SyncHeader
  | { readonly kind: "log"; readonly leaves: Uint8Array }
  | { readonly kind: "frontier"; readonly entries: readonly FrontierEntry[] }
  | { readonly kind: "differs"; readonly more: boolean; readonly prefixes: readonly Prefix[] }
  | BatchFrame
  | { readonly kind: "end" };
