import { HASH_BYTES } from "../../protocols/lib/hash.ts";
import { readU48, u48 } from "./rows.ts";

/**
 * Where a walk over pages stands: version of this form, epoch, log size of the first page, base, last key. All of it travels with
 * the asker, so the catalogue keeps nothing of a walk. That it comes back as it went, and with the base of its request, is not
 * checked here: the node seals what it hands out.
 */
export interface PageCursor {
  readonly epoch: number;
  /** Log size in the version of the first page. */
  readonly firstSize: number;
  /** Sequence number of the base; 0 from the beginning. */
  readonly base: number;
  /** The last key of the page before. */
  readonly after: Uint8Array;
}

const VERSION = 2;
const CURSOR_BYTES = 1 + 3 * 6 + HASH_BYTES;

export function encodePageCursor({ epoch, firstSize, base, after }: PageCursor): string {
  return Buffer.concat([Buffer.of(VERSION), u48(epoch), u48(firstSize), u48(base), after]).toString("base64url");
}

/** `undefined` for what is not the form of a cursor. */
export function decodePageCursor(text: string): PageCursor | undefined {
  const bytes = Buffer.from(text, "base64url");
  if (bytes.length !== CURSOR_BYTES || bytes[0] !== VERSION || bytes.toString("base64url") !== text) return undefined;
  const [epoch, firstSize, base] = [1, 7, 13].map((at) => readU48(bytes.subarray(at))) as [number, number, number];
  return { epoch, firstSize, base, after: Uint8Array.from(bytes.subarray(19)) };
}
