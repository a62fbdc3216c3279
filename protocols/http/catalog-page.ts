import type { SignedHead } from "../checkpoint/head.ts";
import type { MapMultiproof } from "../checkpoint/map-multiproof.ts";
import type { MapProof } from "../checkpoint/map-proof.ts";

/** `POST /federation/sync/catalog` as values; the documents that travel are in `catalog-documents.ts` (rest.md). */
export const CATALOG_SYNC_PATH = "/federation/sync/catalog";

/** Changes of one page, also without `max_batch_size`: what one multiproof may cover. */
export const PAGE_CHANGES_MAX = 1_000;
/** Record bytes of one page; a single large record may exceed it. */
export const PAGE_RECORD_BYTES_MAX = 2_097_152;
/** Leaf hashes of the log in one page. */
export const PAGE_LOG_LEAVES_MAX = 16_384;
export const PAGE_CURSOR_LENGTH_MAX = 512;

export type ProofFormat = "change" | "multi" | "none";

/** What the asker has, and how it wants the changes since. Without `baseRoot` and `lastSyncMs`: from the beginning. */
export interface PageRequest {
  /** Map root of the version that the asker completed, 32 bytes; takes precedence over `lastSyncMs`. */
  readonly baseRoot?: Uint8Array;
  /** Unix milliseconds: the last commit at or before it is the base. */
  readonly lastSyncMs?: number;
  /** `nextCursor` of the page before, as it came; the base must be as it was. */
  readonly cursor?: string;
  /** Changes wanted at most, 1 to PAGE_CHANGES_MAX. */
  readonly limit: number;
  readonly proofs: ProofFormat;
  /** Leaf hashes of this epoch's log that the asker holds: those that follow are added to the page. */
  readonly logSize?: number;
}

export type PageChange =
  | {
      /** `create` when the base cannot have held it: everything from the beginning, or a first revision. */
      readonly op: "create" | "update";
      readonly did: string;
      /** Exact record bytes. */
      readonly record: Uint8Array;
      /** Only with proofs `change`. */
      readonly proof?: MapProof;
    }
  | { readonly op: "delete"; readonly did: string; readonly proof?: MapProof };

/** One page. Its changes ascend by key and hold in the version of `head`, which may be newer than that of the page before. */
export interface CatalogPage {
  readonly changes: readonly PageChange[];
  /** The version of this page; the proofs verify against the map root of its commit. */
  readonly head: SignedHead;
  /** Only with proofs `multi` and at least one change. */
  readonly multiproof?: MapMultiproof;
  /**
   * What an asker that took all pages so far has completed: on the last page the version of the *first* page, since keys passed by
   * earlier pages may have changed meanwhile; on the others the base of the request (EMPTY and 0 from the beginning).
   */
  readonly syncedRoot: Uint8Array;
  readonly syncedAtMs: number;
  /** Absent on the last page. */
  readonly nextCursor?: string;
  /** Whole leaf hashes from the request's `logSize`, at most PAGE_LOG_LEAVES_MAX and not beyond `head`. */
  readonly logLeaves?: Uint8Array;
}

/** Why there is no page; none of these need be the asker's fault. */
export type PageRefusal =
  /** The base is not a version of this catalogue, or older than its change log: begin again without one. */
  | "unknown_base"
  /** The cursor was not given to this asker for this base, or has ended, as by a restart: ask again without it. */
  | "bad_cursor"
  /** Nothing has been committed yet. */
  | "empty"
  /** Try again in a moment. */
  | "busy";
