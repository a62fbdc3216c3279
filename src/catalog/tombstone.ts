import { fromUtf8, utf8 } from "../../protocols/lib/bytes.ts";
import { readU48, u48 } from "./rows.ts";

/** Bytes before the DID: revision and time, u48 each. A row of an earlier version of this program ends there. */
const FIXED_BYTES = 12;

/** What stays of a deleted agent of ours: the revision that it had reached, when it was deleted (Unix ms), its DID. */
export function tombstoneRow(revision: number, deletedAtMs: number, did: string): Uint8Array {
  return Buffer.concat([u48(revision), u48(deletedAtMs), utf8(did)]);
}

export function tombstoneRevision(row: Uint8Array): number {
  return readU48(row);
}

/** Unix milliseconds. */
export function tombstoneTime(row: Uint8Array): number {
  return readU48(row.subarray(6));
}

/** `undefined` where the row does not name it. */
export function tombstoneDid(row: Uint8Array): string | undefined {
  return row.length > FIXED_BYTES ? fromUtf8(row.subarray(FIXED_BYTES)) : undefined;
}
