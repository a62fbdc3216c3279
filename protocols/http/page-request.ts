import { z } from "zod";
import { LOG_SIZE_MAX } from "../checkpoint/log-proof.ts";
import { isEmpty } from "../checkpoint/map.ts";
import { JSON_DEPTH_MAX } from "../lib/canonical.ts";
import { ProtocolError } from "../lib/errors.ts";
import { PAGE_CHANGES_MAX, PAGE_CURSOR_LENGTH_MAX, type PageRequest, type ProofFormat } from "./catalog-page.ts";
import { checkDocument, encodeDocument, fromHexText, hashText, hexText, readDocument } from "./json-document.ts";

/** The request of `POST /federation/sync/catalog` (rest.md). */
export const PAGE_REQUEST_BYTES_MAX = 4_096;

const PROOF_FORMATS = ["change", "multi", "none"] as const satisfies readonly ProofFormat[];

/** Characters of a point in time with any fraction that is worth writing. */
const TIME_LENGTH_MAX = 40;
/** The last millisecond that RFC 3339, with its four digits of a year, can name. */
const TIME_MS_MAX = 253_402_300_799_999;

/** RFC 3339, with `Z` or an offset. */
export const timeText: z.ZodType<string> = z.iso.datetime({ offset: true }).max(TIME_LENGTH_MAX);
/** RFC 3986 unreserved characters, so that it can stand anywhere. */
export const cursorText: z.ZodType<string> = z
  .string()
  .max(PAGE_CURSOR_LENGTH_MAX)
  .regex(/^[A-Za-z0-9._~-]+$/, "not a cursor: hand back next_cursor as it came");

const requestShape = z.looseObject({
  last_sync: timeText.nullish().meta({ description: "sync_timestamp of the last page that was taken" }),
  merkle_root: hashText.nullish().meta({ description: "new_merkle_root of the last page that was taken; goes before last_sync" }),
  requested_changes: z
    .looseObject({
      max_batch_size: z
        .int()
        .min(1)
        .optional()
        .meta({ description: `changes wanted at most, ${PAGE_CHANGES_MAX} are given` }),
      include_proofs: z.boolean().optional().meta({ description: "true by default" }),
      proof_format: z.enum(PROOF_FORMATS).optional().meta({ description: "change by default" }),
    })
    .optional(),
  cursor: cursorText.nullish().meta({ description: "next_cursor of the page before" }),
  log_size: z.int().min(0).max(LOG_SIZE_MAX).nullish().meta({ description: "leaf hashes of the log that are held" }),
});

export const pageRequestSchema: z.ZodType = requestShape;

/** @throws ProtocolError `schema` for a time that RFC 3339 cannot name */
export function encodePageRequest(request: PageRequest): Uint8Array {
  return encodeDocument({
    last_sync: request.lastSyncMs === undefined ? null : writeTime(request.lastSyncMs),
    merkle_root: request.baseRoot === undefined ? null : hexText(request.baseRoot),
    requested_changes: {
      max_batch_size: request.limit,
      include_proofs: request.proofs !== "none",
      proof_format: request.proofs,
    },
    cursor: request.cursor,
    log_size: request.logSize,
  });
}

/**
 * Unknown members are passed over; missing ones have their defaults: PAGE_CHANGES_MAX changes, a proof with each. A `merkle_root`
 * of the empty map means from the beginning, whatever `last_sync` says: it is what the pages before the last one gave.
 * @throws ProtocolError `too_large`, `not_utf8`, `not_json`, `too_deep`, `duplicate_key`, `schema`
 */
export function decodePageRequest(bytes: Uint8Array): PageRequest {
  const document = checkDocument(requestShape, readDocument(bytes, PAGE_REQUEST_BYTES_MAX, JSON_DEPTH_MAX));
  const {
    max_batch_size: wanted,
    include_proofs: isProven = true,
    proof_format: format = "change",
  } = document.requested_changes ?? {};
  const [cursor, logSize] = [document.cursor ?? undefined, document.log_size ?? undefined];
  return {
    ...readBase(document),
    ...(cursor !== undefined && { cursor }),
    limit: Math.min(wanted ?? PAGE_CHANGES_MAX, PAGE_CHANGES_MAX),
    proofs: isProven ? format : "none",
    ...(logSize !== undefined && { logSize }),
  };
}

function readBase(document: z.infer<typeof requestShape>): Pick<PageRequest, "baseRoot" | "lastSyncMs"> {
  const [root, time] = [document.merkle_root ?? undefined, document.last_sync ?? undefined];
  const baseRoot = root === undefined ? undefined : fromHexText(root);
  if (baseRoot !== undefined && isEmpty(baseRoot)) return {};
  return { ...(baseRoot && { baseRoot }), ...(time !== undefined && { lastSyncMs: readTime(time) }) };
}

/** @param timeMs Unix milliseconds @throws ProtocolError `schema` */
export function writeTime(timeMs: number): string {
  if (timeMs >= 0 && timeMs <= TIME_MS_MAX) return new Date(timeMs).toISOString();
  throw new ProtocolError("schema", `${timeMs} ms is not a time from 1970 to 9999`, { timeMs });
}

/** Unix milliseconds, whole ones. @throws ProtocolError `schema` */
export function readTime(text: string): number {
  const timeMs = Date.parse(text);
  if (timeMs >= 0 && timeMs <= TIME_MS_MAX) return timeMs;
  throw new ProtocolError("schema", `${text} is not a time from 1970 to 9999`);
}
