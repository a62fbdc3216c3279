import { PAGE_CURSOR_LENGTH_MAX, type PageRequest } from "../../protocols/http/catalog-page.ts";
import { equal, utf8 } from "../../protocols/lib/bytes.ts";
import { HASH_BYTES, sha256 } from "../../protocols/lib/hash.ts";
import { readU48, u48 } from "./rows.ts";

/**
 * Where a walk over pages stands. All of it travels with the asker, so that a restart of the server loses no walk: version, a
 * digest of the request's base, epoch, log size of the first page, base, last key.
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

const VERSION = 1;
/** Tells requests apart; nothing secret depends on it, as whoever changes a cursor can ask for the same without one. */
const DIGEST_BYTES = 8;
const CURSOR_BYTES = 1 + DIGEST_BYTES + 3 * 6 + HASH_BYTES;

export function encodePageCursor(cursor: PageCursor, request: PageRequest): string {
  const { epoch, firstSize, base, after } = cursor;
  const bytes = [Buffer.of(VERSION), baseDigest(request), u48(epoch), u48(firstSize), u48(base), after];
  return Buffer.concat(bytes).toString("base64url");
}

/** `undefined` for what is not a cursor of ours, or belongs to a request with another base. */
export function decodePageCursor(text: string, request: PageRequest): PageCursor | undefined {
  if (text.length > PAGE_CURSOR_LENGTH_MAX) return undefined;
  const bytes = Buffer.from(text, "base64url");
  if (bytes.length !== CURSOR_BYTES || bytes[0] !== VERSION || bytes.toString("base64url") !== text) return undefined;
  if (!equal(bytes.subarray(1, 1 + DIGEST_BYTES), baseDigest(request))) return undefined;
  const numbers = bytes.subarray(1 + DIGEST_BYTES);
  const [epoch, firstSize, base] = [0, 6, 12].map((at) => readU48(numbers.subarray(at))) as [number, number, number];
  return { epoch, firstSize, base, after: Uint8Array.from(numbers.subarray(18)) };
}

function baseDigest({ baseRoot, lastSyncMs }: PageRequest): Uint8Array {
  const base = `${baseRoot === undefined ? "" : Buffer.from(baseRoot).toString("hex")} ${lastSyncMs ?? ""}`;
  return sha256(utf8(base)).subarray(0, DIGEST_BYTES);
}
