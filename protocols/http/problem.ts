import { z } from "zod";
import { JSON_DEPTH_MAX } from "../lib/canonical.ts";
import { ProtocolError } from "../lib/errors.ts";
import type { PageRefusal } from "./catalog-page.ts";
import { checkDocument, encodeDocument, readDocument, type Spliced } from "./json-document.ts";

/** Problem details (RFC 9457): the body of every answer that is no success. The codes are listed in rest.md. */
export const PROBLEM_MEDIA_TYPE = "application/problem+json";

export interface Problem {
  /** Stable: lower-case letters, digits and underscores. The document's `type` is PROBLEM_TYPE_PREFIX and this. */
  readonly code: string;
  /** HTTP status, 400 to 599. */
  readonly status: number;
  /** What was wrong and what to do. */
  readonly detail: string;
  /** Further members of the document; those named as one of its own are dropped. */
  readonly extra?: Readonly<Record<string, Spliced>>;
}

export const PROBLEM_TYPE_PREFIX = "urn:theprotocol:problem:";
/** Bytes of a problem document that a client reads. */
export const PROBLEM_BYTES_MAX = 16_384;
export const PROBLEM_CODE_LENGTH_MAX = 64;
/** Characters of `detail`; a longer one is cut when it is written. */
export const PROBLEM_DETAIL_LENGTH_MAX = 2_048;

const CODE = /^[a-z][a-z0-9_]*$/;
const OWN_MEMBERS: readonly string[] = ["type", "title", "status", "detail"];

const shape = z.looseObject({
  type: z.string().max(PROBLEM_TYPE_PREFIX.length + PROBLEM_CODE_LENGTH_MAX),
  title: z.string(),
  status: z.int().min(400).max(599),
  detail: z.string(),
});

export const problemSchema: z.ZodType = shape;

export function encodeProblem({ code, status, detail, extra }: Problem): Uint8Array {
  return encodeDocument({
    ...extra,
    type: PROBLEM_TYPE_PREFIX + code,
    title: titleOf(code),
    status,
    detail: detail.slice(0, PROBLEM_DETAIL_LENGTH_MAX).toWellFormed(),
  });
}

/** The same for all problems of one code (RFC 9457 §3.1.4). */
function titleOf(code: string): string {
  return (code.charAt(0).toUpperCase() + code.slice(1)).replaceAll("_", " ");
}

/**
 * What a registry says when it refuses. Other servers on the way answer otherwise, so a client is ready for an error here.
 * @throws ProtocolError `too_large`, `not_utf8`, `not_json`, `too_deep`, `duplicate_key`, `schema`
 */
export function decodeProblem(bytes: Uint8Array): Problem {
  const document = checkDocument(shape, readDocument(bytes, PROBLEM_BYTES_MAX, JSON_DEPTH_MAX));
  const code = document.type.slice(PROBLEM_TYPE_PREFIX.length);
  if (!document.type.startsWith(PROBLEM_TYPE_PREFIX) || !CODE.test(code)) {
    throw new ProtocolError("schema", `type: expected ${PROBLEM_TYPE_PREFIX}<code>`);
  }
  const extra = Object.entries(document).filter(([member]) => !OWN_MEMBERS.includes(member)) as [string, Spliced][];
  const detail = document.detail.slice(0, PROBLEM_DETAIL_LENGTH_MAX);
  return { code, status: document.status, detail, ...(extra.length > 0 && { extra: Object.fromEntries(extra) }) };
}

/** How `POST /federation/sync/catalog` says that there is no page. */
export const PAGE_REFUSAL_STATUS: Readonly<Record<PageRefusal, number>> = {
  bad_cursor: 400,
  empty: 404,
  unknown_base: 409,
  busy: 503,
};

const PAGE_REFUSAL_DETAIL: Readonly<Record<PageRefusal, string>> = {
  bad_cursor: "The cursor was not given to you for this base, or it has ended. Ask again without it.",
  empty: "Nothing has been committed to this catalogue yet. Ask again later.",
  unknown_base:
    "The base is not a version of this catalogue, or older than its change log. Ask from the beginning: without merkle_root and last_sync.",
  busy: "The catalogue cannot answer at the moment. Ask again after the time in Retry-After.",
};

export function pageRefusalProblem(refusal: PageRefusal): Problem {
  return { code: refusal, status: PAGE_REFUSAL_STATUS[refusal], detail: PAGE_REFUSAL_DETAIL[refusal] };
}

/** The refusal that a problem of this endpoint stands for; `undefined` for any other problem. */
export function pageRefusalOf({ code, status }: Problem): PageRefusal | undefined {
  const refusal = (Object.keys(PAGE_REFUSAL_STATUS) as PageRefusal[]).find((each) => each === code);
  return refusal !== undefined && PAGE_REFUSAL_STATUS[refusal] === status ? refusal : undefined;
}
