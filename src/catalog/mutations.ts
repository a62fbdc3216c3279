import { canonicalText } from "../../protocols/lib/canonical.ts";
import { isDid, isMinted, isSelfCertified, mintDid, publicKeyOfDid } from "../../protocols/lib/did.ts";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import { hex } from "../../protocols/lib/bytes.ts";
import { keyOf, sha256, valueOf } from "../../protocols/lib/hash.ts";
import { checkOwnership, decodeRecord, encodeRecord } from "../../protocols/record/codec.ts";
import { nextHlc } from "../../protocols/record/hlc.ts";
import { HOME_FIELDS, recordJson, type AgentFields, type AgentRecord } from "../../protocols/record/record.ts";
import { checkFields } from "../../protocols/record/schema.ts";
import { checkAgentSignature } from "../../protocols/record/signature.ts";
import { utf8 } from "../../protocols/lib/bytes.ts";
import type { Mutation, MutationResult } from "../api.ts";
import type { Change } from "./catalogue.ts";

/** What the home knows of an agent before a mutation. */
export interface Existing {
  /** Exact bytes of the published record. */
  readonly record?: Uint8Array;
  /** The revision that an agent has reached of which no record is there: it was deleted, or its bytes have rotted. */
  readonly reached?: number;
}

/** A mutation with its agent's name settled, or the reason why it cannot be. */
export type Prepared =
  | { readonly mutation: Mutation; readonly did: string; readonly key: Uint8Array; readonly fields?: AgentFields }
  | { readonly refusal: MutationResult };

/** The row under which a home finds the agent of a humanReadableId that the DID does not spell. */
export function nameKey(humanReadableId: string): Uint8Array {
  return sha256(utf8(humanReadableId));
}

/** Checks what needs no look-up: the schema, whose DID it is, that one is minted where none was given. */
export function prepare(mutation: Mutation, home: string): Prepared {
  const given = mutation.op === "put" ? (mutation.agent.did ?? null) : mutation.did;
  try {
    if (mutation.op === "delete") {
      if (!isDid(mutation.did)) throw new ProtocolError("bad_did", `"${mutation.did}" is not a DID`);
      return { mutation, did: mutation.did, key: keyOf(mutation.did) };
    }
    const { reputation_score: _score, ...agent } = mutation.agent;
    const did = agent.did ?? mintDid(publicKeyOfDid(home), String(agent.humanReadableId));
    const fields = checkFields({ ...agent, did });
    if (agent.did !== undefined) checkGivenDid(fields, home);
    return { mutation, did: fields.did, key: keyOf(fields.did), fields };
  } catch (error) {
    return { refusal: refused(given, error) };
  }
}

/** A DID of our own minting must be the one that we would mint; one of another registry's is not ours to publish. */
function checkGivenDid(fields: AgentFields, home: string): void {
  checkOwnership(fields.did, home);
  if (isMinted(fields.did) && fields.did !== mintDid(publicKeyOfDid(home), fields.humanReadableId)) {
    throw new ProtocolError("bad_did", `${fields.did} does not spell the humanReadableId "${fields.humanReadableId}"`);
  }
}

export interface WriteContext {
  readonly home: string;
  readonly epoch: number;
  readonly nowMs: number;
  /** What a DID of which nothing is known may have reached at the most. */
  readonly revisionFloor: number;
}

export interface Written {
  readonly result: MutationResult;
  readonly change?: Change;
  readonly hlc: string | undefined;
  /** The revision at which an agent was deleted, for its tombstone. */
  readonly deleted?: number;
}

/** Decides one prepared mutation against what exists. The clock only moves when something is written. */
export function write(
  prepared: Exclude<Prepared, { refusal: MutationResult }>,
  existing: Existing,
  hlc: string | undefined,
  context: WriteContext,
): Written {
  const { mutation, did, key, fields } = prepared;
  try {
    const before = existing.record && decodeRecord(existing.record);
    const reached = before?.revision ?? existing.reached ?? context.revisionFloor;
    if (mutation.ifRevision !== undefined && mutation.ifRevision !== reached) {
      return { hlc, result: conflict(did, `the agent is at revision ${reached}, not ${mutation.ifRevision}`) };
    }
    if (mutation.op === "delete" || fields === undefined) {
      if (before === undefined)
        return { hlc, result: { outcome: "refused", did, code: "not_found", reason: "no such agent here" } };
      return { hlc, result: { outcome: "deleted", did, revision: reached }, change: { key }, deleted: reached };
    }
    if (mutation.mode === "create" && before !== undefined) {
      return { hlc, result: conflict(did, `the agent exists already, at revision ${reached}`) };
    }
    if (mutation.mode === "update" && before === undefined) {
      return { hlc, result: { outcome: "refused", did, code: "not_found", reason: "no such agent here" } };
    }
    const score = quantise(mutation.agent.reputation_score ?? before?.reputation_score);
    if (before !== undefined && sameFields(before, fields) && before.reputation_score === score) {
      return { hlc, result: { outcome: "unchanged", did, revision: reached } };
    }
    const next = nextHlc(hlc, context.nowMs);
    const record: AgentRecord = {
      ...fields,
      ...{ registry: context.home, epoch: context.epoch, revision: reached + 1, hlc: next },
      ...(existing.record && { prev: hex(valueOf(existing.record)) }),
      ...(score !== undefined && { reputation_score: score }),
    };
    const unsigned = signatureProblem(record);
    if (unsigned !== undefined) {
      return { hlc, result: { ...unsigned, ...(isSelfCertified(did) && { nextRevision: record.revision }) } };
    }
    const bytes = encodeRecord(record);
    const outcome = before === undefined ? "created" : "updated";
    return { hlc: next, result: { outcome, did, revision: reached + 1 }, change: { key, record: bytes, value: valueOf(bytes) } };
  } catch (error) {
    return { hlc, result: refused(did, error) };
  }
}

function signatureProblem(record: AgentRecord): Refused | undefined {
  if (!isSelfCertified(record.did) && record.agent_signature === undefined) return undefined;
  try {
    checkAgentSignature(record);
    return undefined;
  } catch (error) {
    return refused(record.did, error);
  }
}

type Refused = Extract<MutationResult, { outcome: "refused" }>;

/** The answer to an operator or owner for an input that cannot be taken. Anything but a ProtocolError is a bug and goes on. */
export function refused(did: string | null, error: unknown): Refused {
  if (!(error instanceof ProtocolError)) throw error;
  return { outcome: "refused", did, code: error.code, reason: error.message };
}

function conflict(did: string, reason: string): MutationResult {
  return { outcome: "refused", did, code: "revision_conflict", reason };
}

/** Scores move in steps of 0.01, so that small movements do not churn the tree. */
function quantise(score: number | undefined): number | undefined {
  return score === undefined ? undefined : Math.round(score * 100) / 100;
}

function sameFields(record: AgentRecord, fields: AgentFields): boolean {
  const own: Record<string, unknown> = { ...record };
  for (const name of HOME_FIELDS) delete own[name];
  return canonicalText(own as never) === canonicalText(recordJson(fields));
}
