import type { SignedHead } from "../../protocols/checkpoint/head.ts";
import { fromUtf8, hex, utf8 } from "../../protocols/lib/bytes.ts";

/** The row that says what a catalogue's other rows are: written in the same batch as they. */
export interface HeadRow {
  readonly home: string;
  readonly epoch: number;
  /** Added to a log size gives the sequence number of that version; it keeps sequences ascending across epochs. */
  readonly sequenceBase: number;
  /** The last completed version; absent before the first. */
  readonly head?: SignedHead;
  /** Depth of the stored buckets. */
  readonly depth: number;
  /** The oldest sequence after which all changes are known. */
  readonly floor: number;
  /** Of our own catalogue: no agent without rows of its own ever reached a higher revision (see `reached.ts`). */
  readonly revisionFloor: number;
  /** `partial`: a bulk sync is under way, the map is between versions; `fresh` when it began from nothing. */
  readonly state: "complete" | "partial" | "fresh";
  /** A replica's records of the last bulk sync are not all checked for admission yet (`replication/admission-pass.ts`). */
  readonly unchecked: boolean;
  /** Unix ms of the last completed sync; 0 before. */
  readonly syncedAtMs: number;
  /** The last checkpoint of the epoch before, once the epoch was raised. */
  readonly previous?: string;
}

const VERSION = 1;

export function encodeHeadRow(row: HeadRow): Uint8Array {
  const { head, ...rest } = row;
  const stored = head && { note: head.note, commit: fromUtf8(head.commit), logProof: head.logProof.map(hex) };
  return utf8(JSON.stringify({ version: VERSION, ...rest, head: stored }));
}

/** The store's checksum vouches for the bytes; only the version is checked. */
export function decodeHeadRow(bytes: Uint8Array): HeadRow {
  const { version, head, ...stored } = JSON.parse(fromUtf8(bytes)) as Omit<HeadRow, "head" | "revisionFloor"> & {
    version: number;
    revisionFloor?: number;
    head?: { note: string; commit: string; logProof: string[] };
  };
  if (version !== VERSION) throw new Error(`the catalogue's rows have version ${version}, this program reads ${VERSION}`);
  // An earlier version of this program let revisions go with the change log; none of them was above the number of versions.
  const rest = { ...stored, revisionFloor: stored.revisionFloor ?? stored.floor };
  if (head === undefined) return rest;
  const logProof = head.logProof.map((hash) => Buffer.from(hash, "hex"));
  return { ...rest, head: { note: head.note, commit: utf8(head.commit), logProof } };
}
