import { z } from "zod";
import { agentInputJsonSchema } from "../../../protocols/http/agent-input.ts";
import { DID_LENGTH_MAX } from "../../../protocols/lib/did.ts";
import { CAPABILITY_LENGTH_MAX, HUMAN_READABLE_ID_LENGTH_MAX } from "../../../protocols/record/record.ts";
import { recordJsonSchema } from "../../../protocols/record/schema.ts";
import { LIST_LIMIT_MAX, LIST_TEXT_LENGTH_MAX } from "../../api.ts";

/** What travels to and from `/agents`. Agents are described by the record's own rules, and checked by the catalogue. */

/** Agents of a page where `limit` is not given. */
export const LIST_LIMIT_DEFAULT = 100;
const CURSOR_LENGTH_MAX = 1_024;

export const recordDocument: z.ZodType = z.looseObject({}).meta(recordJsonSchema());

export const proofDocument: z.ZodType = z
  .looseObject({})
  .meta({ title: "Proof", description: "Record, inclusion proof, commit and checkpoint: protocols/checkpoint, proof document." });

/** An agent as its owner hands it in. What the home sets may stand in it, as after a GET, and is set anew. */
export interface AgentDocumentInput {
  readonly [name: string]: unknown;
  readonly did?: string | undefined;
  readonly humanReadableId: string;
  readonly registry?: string | undefined;
  readonly reputation_score?: number | undefined;
  readonly agent_signature?: string | undefined;
}

const named: z.ZodType = z.looseObject({
  did: z.string().max(DID_LENGTH_MAX).optional(),
  humanReadableId: z.string().min(1).max(HUMAN_READABLE_ID_LENGTH_MAX),
  registry: z.string().optional(),
  reputation_score: z.number().optional(),
  agent_signature: z.string().optional(),
});

/** The value stays as it came, so that the catalogue sees every member: what a schema gives lacks `__proto__`. */
export const agentInputDocument: z.ZodType<AgentDocumentInput> = z
  .custom<AgentDocumentInput>()
  .superRefine((value, context) => {
    for (const { path, message } of named.safeParse(value).error?.issues ?? []) {
      context.addIssue({ code: "custom", path, message });
    }
  })
  .meta(agentInputJsonSchema());

const didOrName = z.string().min(1).max(DID_LENGTH_MAX);

export const readParams: z.ZodType<{ did: string }> = z.strictObject({
  did: didOrName.meta({
    description: "DID, or a humanReadableId: of an agent of this registry, else of the only one that has it; percent-encoded",
  }),
});

export const writeParams: z.ZodType<{ did: string }> = z.strictObject({
  did: didOrName.meta({ description: "DID, percent-encoded" }),
});

export const listParams: z.ZodType = z.strictObject({
  capability: z
    .string()
    .max(CAPABILITY_LENGTH_MAX)
    .meta({ description: "path of the taxonomy; finds what is below it, too" })
    .optional(),
  text: z
    .string()
    .max(LIST_TEXT_LENGTH_MAX)
    .meta({ description: "words, each found in name, description, humanReadableId or tags" })
    .optional(),
  registry: z.string().max(DID_LENGTH_MAX).meta({ description: "DID of the home" }).optional(),
  minReputation: decimal(0, 1).meta({ description: "of the claimed score" }).optional(),
  limit: decimal(1, LIST_LIMIT_MAX, z.int())
    .meta({ description: "agents of a page at the most; a page may be shorter before the end", default: LIST_LIMIT_DEFAULT })
    .optional(),
  cursor: z.string().min(1).max(CURSOR_LENGTH_MAX).meta({ description: "of the page before" }).optional(),
});

/** A number in a query: an empty text or a hexadecimal one is none. */
function decimal(min: number, max: number, number: z.ZodNumber = z.number()): z.ZodType<number> {
  return z
    .string()
    .regex(/^\d+(?:\.\d+)?$/, "expected a decimal number")
    .transform(Number)
    .pipe(number.min(min).max(max));
}

const unavailableDocument = z
  .object({
    registry: z.string().meta({ description: "DID of the home" }),
    key: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .meta({ description: "map key of the agent's DID" }),
    reason: z
      .enum(["damaged"])
      .meta({ description: "damaged: its stored bytes fail their checksum; peers are asked for a copy" }),
  })
  .meta({ title: "Unavailable agent" });

export const pageDocument: z.ZodType = z
  .object({
    agents: z.array(recordDocument),
    unavailable: z
      .array(unavailableDocument)
      .meta({ description: "what belongs on this page and cannot be shown; the page is complete where this is empty" }),
    cursor: z.string().nullable().meta({ description: "for the next page; null at the end" }),
  })
  .meta({ title: "Agent page" });
