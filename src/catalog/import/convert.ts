import { publicKeyOfDid, mintDid, mintedNamespace } from "../../../protocols/lib/did.ts";
import { parseStrictJson } from "../../../protocols/lib/strict-json.ts";
import { fromUtf8 } from "../../../protocols/lib/bytes.ts";
import { completeAgent } from "../../../protocols/http/agent-input.ts";
import { ProtocolError } from "../../../protocols/lib/errors.ts";
import { encodeRecord } from "../../../protocols/record/codec.ts";
import { EPOCH_MAX, HOME_FIELDS, REVISION_MAX, type AgentFields, type AgentRecord } from "../../../protocols/record/record.ts";
import { checkFields } from "../../../protocols/record/schema.ts";
import type { AgentInput } from "../../api.ts";
import { fromAgentCard, isAgentCard } from "./a2a.ts";
import { fromAgentLine, isExported, keptDid } from "./agent-line.ts";
import { fromServerJson, isServerJson } from "./mcp.ts";
import type { Converted, SourceObject } from "./format.ts";
import { objectOf, type Warn } from "./normalise.ts";

export type DocumentFormat = "jsonl" | "a2a" | "mcp";

/**
 * Media types of the original documents. The agent card's is the one of the AI Catalog specification (Agent-Card/ai-catalog,
 * "type"); MCP's registry document has no registered one and follows its pattern; plain agents are JSON (RFC 8259).
 */
const MEDIA_TYPES: Readonly<Record<DocumentFormat, string>> = {
  a2a: "application/a2a-agent-card+json",
  mcp: "application/mcp-server+json",
  jsonl: "application/json",
};

/** The deepest nesting of a source document that is read. */
export const SOURCE_DEPTH_MAX = 32;

/**
 * An agent from the bytes of one document, checked as a record of the importing registry would be.
 * @param format `undefined` to find out
 * @param own DID of the importing registry, whose minted DIDs are kept; without it all minted DIDs are minted anew
 * @throws ProtocolError `not_utf8`, `not_json`, `duplicate_key`, `too_deep`, `schema`, `bad_did`, `too_large`
 */
export function convertDocument(
  data: Uint8Array,
  format: DocumentFormat | undefined,
  own: string | undefined,
  warn: Warn,
): AgentInput {
  const document = fromUtf8(data);
  const source = objectOf(parseStrictJson(document, SOURCE_DEPTH_MAX));
  if (source === undefined) throw new ProtocolError("schema", "expected one JSON object");
  const namespace = own === undefined ? undefined : mintedNamespace(publicKeyOfDid(own));
  if ((format ?? "jsonl") === "jsonl" && isExported(source))
    return checked(exported(source, namespace, warn), data.length, false);
  const found = format ?? formatOf(source);
  const converted = convert(source, found, namespace, warn);
  if ("refused" in converted) throw new ProtocolError("schema", converted.refused);
  const agent = completeAgent({ ...converted.agent, original: { media_type: MEDIA_TYPES[found], document } });
  return checked(agent as unknown as AgentInput, data.length, true);
}

function convert(source: SourceObject, format: DocumentFormat, namespace: string | undefined, warn: Warn): Converted {
  if (format === "a2a") return fromAgentCard(source, warn);
  return format === "mcp" ? fromServerJson(source, warn) : fromAgentLine(source, namespace, warn);
}

/** A `humanReadableId` is only ever ours; the other two are told apart by fields that they must have. */
function formatOf(source: SourceObject): DocumentFormat {
  if (Object.hasOwn(source, "humanReadableId")) return "jsonl";
  if (isServerJson(source)) return "mcp";
  return isAgentCard(source) ? "a2a" : "jsonl";
}

/** Our own export: every field as it is, without what the home sets. */
function exported(source: SourceObject, namespace: string | undefined, warn: Warn): AgentInput {
  const fields: Record<string, unknown> = { ...source };
  for (const name of HOME_FIELDS) delete fields[name];
  if (typeof fields["did"] === "string" && keptDid(fields["did"], namespace, warn).did === undefined) delete fields["did"];
  return fields as unknown as AgentInput;
}

// Stand-ins of the greatest length for what the home will set, so that what passes here fits whatever it sets.
const SOME_KEY = Buffer.alloc(32, 1);
const HOME_PART = {
  registry: "did:key:z6Mkeu2i3bWGfSCX1PTWjTNvXqGJ9VQKMvUxTkqvJEGtKXhk",
  epoch: EPOCH_MAX,
  revision: REVISION_MAX,
  hlc: "f".repeat(16),
  prev: "f".repeat(64),
  reputation_score: 0.99,
};

/** A record has less than 12 times the bytes of its source (escapes double the original, fields repeat parts of it). */
const SURELY_FITS_BYTES = 8_192;

function checked(agent: AgentInput, sourceBytes: number, withOriginal: boolean): AgentInput {
  const { reputation_score: _, ...input } = agent;
  const did = agent.did ?? mintDid(SOME_KEY, agent.humanReadableId);
  const fields: AgentFields = checkFields({ ...input, did });
  if (sourceBytes <= SURELY_FITS_BYTES) return agent;
  const record: AgentRecord = { ...fields, ...HOME_PART };
  try {
    encodeRecord(record);
  } catch (error) {
    if (!(withOriginal && error instanceof ProtocolError && error.code === "too_large")) throw error;
    throw new ProtocolError(
      "too_large",
      `${error.message}: its original document is kept with it and must be shorter`,
      error.detail,
    );
  }
  return agent;
}
