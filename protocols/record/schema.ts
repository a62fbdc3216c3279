import { DID_LENGTH_MAX, isDid } from "../lib/did.ts";
import { ProtocolError } from "../lib/errors.ts";
import {
  ascendingList,
  integer,
  list,
  matching,
  object,
  oneOf,
  recurring,
  shapeIssues,
  shapeJsonSchema,
  steps,
  text,
  type ObjectShape,
} from "../lib/shape.ts";
import { shapeReader } from "../lib/shape-reader.ts";
import { HLC_LENGTH, HLC_PATTERN } from "./hlc.ts";
import {
  AGENT_STATUSES,
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
  SCORE_STEPS,
  TAG_LENGTH_MAX,
  TAGS_MAX,
  URL_LENGTH_MAX,
  VERSION_LENGTH_MAX,
  type AgentFields,
  type AgentRecord,
} from "./record.ts";
import { isAbsoluteUrl, isCapability, isHumanReadableId, isNfc, isOneLine, withinSegments } from "./text.ts";

const did = text(1, DID_LENGTH_MAX, { holds: isDid, message: "not a DID (W3C DID Core section 3.1)" });
const oneLine = { holds: isOneLine, message: "holds a control character" };
const nfc = { holds: isNfc, message: "not in Unicode NFC" };

const humanReadableId = text(
  1,
  HUMAN_READABLE_ID_LENGTH_MAX,
  { holds: isHumanReadableId, message: "expected segments joined by /, such as acme/translator" },
  { holds: withinSegments, message: "too many segments" },
  nfc,
);
const capability = text(1, CAPABILITY_LENGTH_MAX, {
  holds: isCapability,
  message: "not a lower-case path in Unicode NFC without white space, such as translation/en-fr",
});
const url = text(1, URL_LENGTH_MAX, {
  holds: isAbsoluteUrl,
  message: "not an absolute URL without credentials and white space",
});
const ED25519_SIGNATURE_BASE64_LENGTH = 88;
const HASH_HEX_LENGTH = 64;

const agentShape = {
  did,
  humanReadableId,
  name: text(1, NAME_LENGTH_MAX, oneLine),
  description: text(0, DESCRIPTION_LENGTH_MAX),
  capabilities: ascendingList(CAPABILITIES_MAX, capability),
  tags: list(TAGS_MAX, text(1, TAG_LENGTH_MAX, oneLine)),
  endpoints: list(ENDPOINTS_MAX, object({ url, protocol: recurring(text(1, PROTOCOL_LENGTH_MAX, oneLine)) })),
  version: recurring(text(0, VERSION_LENGTH_MAX, oneLine)),
  status: oneOf(...AGENT_STATUSES),
  "original?": object({ media_type: text(1, MEDIA_TYPE_LENGTH_MAX, oneLine), document: text(0, RECORD_BYTES_MAX) }),
  "agent_signature?": matching(/^[A-Za-z0-9+/]{86}==$/, ED25519_SIGNATURE_BASE64_LENGTH, "expected 64 bytes in padded base64"),
};

const fieldsShape = object(agentShape);

/** The rules of a record, from which the check, `schema.json` and the reader come. */
export const RECORD_SHAPE: ObjectShape = object({
  ...agentShape,
  registry: recurring(did),
  epoch: integer(0, EPOCH_MAX),
  revision: integer(1, REVISION_MAX),
  hlc: matching(HLC_PATTERN, HLC_LENGTH, "expected 16 lower-case hex digits"),
  "prev?": matching(/^[0-9a-f]{64}$/, HASH_HEX_LENGTH, "expected 64 lower-case hex digits"),
  "reputation_score?": steps(0, 1, SCORE_STEPS),
});

/** The record's JSON Schema (draft 2020-12) from the same rules, as far as JSON Schema can say them. */
export function recordJsonSchema(): Record<string, unknown> {
  const $schema = "https://json-schema.org/draft/2020-12/schema";
  return { $schema, title: "Agent record", ...shapeJsonSchema(RECORD_SHAPE) };
}

/** @throws ProtocolError `schema`, naming every field that does not fit */
export function checkRecord(value: unknown): AgentRecord {
  return check(value, RECORD_SHAPE) as AgentRecord;
}

/** The agent's own part, before the home adds its fields. @throws ProtocolError `schema` */
export function checkFields(value: unknown): AgentFields {
  return check(value, fieldsShape) as AgentFields;
}

/** A record from its canonical text, or `undefined` when it must be looked at step by step (`shape-reader.ts`). */
export const readRecord: (text: string) => AgentRecord | undefined = shapeReader(RECORD_SHAPE) as never;

/** Wrong fields that one message names. */
const ISSUES_NAMED_MAX = 32;

function check(value: unknown, shape: ObjectShape): unknown {
  const issues = shapeIssues(value, shape);
  if (issues.length === 0) return value;
  const more = issues.length > ISSUES_NAMED_MAX ? `; and ${issues.length - ISSUES_NAMED_MAX} more` : "";
  throw new ProtocolError("schema", issues.slice(0, ISSUES_NAMED_MAX).join("; ") + more, { fields: issues.length });
}
