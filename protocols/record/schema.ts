import { z } from "zod";
import { DID_LENGTH_MAX, isDid } from "../lib/did.ts";
import { ProtocolError } from "../lib/errors.ts";
import { HLC_PATTERN } from "./hlc.ts";
import {
  CAPABILITIES_MAX,
  CAPABILITY_LENGTH_MAX,
  DESCRIPTION_LENGTH_MAX,
  ENDPOINTS_MAX,
  EPOCH_MAX,
  HUMAN_READABLE_ID_LENGTH_MAX,
  MEDIA_TYPE_LENGTH_MAX,
  NAME_LENGTH_MAX,
  PROTOCOL_LENGTH_MAX,
  RECORD_BYTES_MAX,
  REVISION_MAX,
  SEGMENTS_MAX,
  TAG_LENGTH_MAX,
  TAGS_MAX,
  URL_LENGTH_MAX,
  VERSION_LENGTH_MAX,
  type AgentFields,
  type AgentRecord,
} from "./record.ts";

/** Lengths are in UTF-16 code units. Unknown fields are refused: a newer schema is told apart from junk by its own version. */
const nfc = (text: string): boolean => text.normalize("NFC") === text;
const did = z.string().max(DID_LENGTH_MAX).refine(isDid, "not a DID (W3C DID Core section 3.1)");

// No control characters, no white space at either end, no empty segment.
const HUMAN_READABLE_ID = /^[^\s/\p{Cc}](?:[^/\p{Cc}]*[^\s/\p{Cc}])?(?:\/[^\s/\p{Cc}](?:[^/\p{Cc}]*[^\s/\p{Cc}])?)*$/u;
const humanReadableId = z
  .string()
  .max(HUMAN_READABLE_ID_LENGTH_MAX)
  .refine((id) => HUMAN_READABLE_ID.test(id), "expected segments joined by /, such as acme/translator")
  .refine((id) => id.split("/").length <= SEGMENTS_MAX, `at most ${SEGMENTS_MAX} segments`)
  .refine(nfc, "not in Unicode NFC");

// Lower case, NFC, no white space: what `normaliseCapability` makes of anything.
const capability = z
  .string()
  .max(CAPABILITY_LENGTH_MAX)
  .refine((c) => c !== "" && !/[\s\p{Cc}]|^\/|\/$|\/\//u.test(c), "empty segment, white space or control character")
  .refine((c) => nfc(c) && c === c.toLowerCase(), "not lower-case Unicode NFC");

const ascending = (items: readonly string[]): boolean => items.every((item, i) => i === 0 || (items[i - 1] as string) < item);

/** Any absolute URL without credentials: it is shown and routed to, never fetched from here. */
const url = z
  .string()
  .min(1)
  .max(URL_LENGTH_MAX)
  .refine((text) => URL.canParse(text) && !hasCredentials(text), "not an absolute URL without credentials");

function hasCredentials(text: string): boolean {
  const parsed = new URL(text);
  return parsed.username !== "" || parsed.password !== "";
}

const agentShape = {
  did,
  humanReadableId,
  name: z.string().min(1).max(NAME_LENGTH_MAX),
  description: z.string().max(DESCRIPTION_LENGTH_MAX),
  capabilities: z.array(capability).max(CAPABILITIES_MAX).refine(ascending, "not ascending and unique"),
  tags: z.array(z.string().min(1).max(TAG_LENGTH_MAX)).max(TAGS_MAX),
  endpoints: z.array(z.strictObject({ url, protocol: z.string().min(1).max(PROTOCOL_LENGTH_MAX) })).max(ENDPOINTS_MAX),
  version: z.string().max(VERSION_LENGTH_MAX),
  status: z.enum(["active", "inactive", "deprecated"]),
  original: z
    .strictObject({ media_type: z.string().min(1).max(MEDIA_TYPE_LENGTH_MAX), document: z.string().max(RECORD_BYTES_MAX) })
    .optional(),
  agent_signature: z.string().length(88).optional(),
};

const hundredth = (score: number): boolean => Math.round(score * 100) / 100 === score;

const fieldsSchema = z.strictObject(agentShape);
const recordSchema = z.strictObject({
  ...agentShape,
  registry: did,
  epoch: z.int().min(0).max(EPOCH_MAX),
  revision: z.int().min(1).max(REVISION_MAX),
  hlc: z.string().regex(HLC_PATTERN),
  prev: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  reputation_score: z.number().min(0).max(1).refine(hundredth, "not a multiple of 0.01").optional(),
});

/** @throws ProtocolError `schema`, naming every field that does not fit */
export function checkRecord(value: unknown): AgentRecord {
  return check(recordSchema, value) as AgentRecord;
}

/** The agent's own part, before the home adds its fields. @throws ProtocolError `schema` */
export function checkFields(value: unknown): AgentFields {
  return check(fieldsSchema, value) as AgentFields;
}

/** The record's JSON Schema (draft 2020-12), from the same source; `vectors` and `README.md` refer to it. */
export function recordJsonSchema(): unknown {
  return z.toJSONSchema(recordSchema);
}

function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.map((issue) => `${issue.path.join(".") || "(document)"}: ${issue.message}`);
  throw new ProtocolError("schema", issues.join("; "), { fields: issues.length });
}
