import { completeAgent } from "../../../protocols/http/agent-input.ts";
import { isDid, isMinted, isSelfCertified, mintDid } from "../../../protocols/lib/did.ts";
import { checkOwnership } from "../../../protocols/record/codec.ts";
import { ProtocolError } from "../../../protocols/lib/errors.ts";
import { HOME_FIELDS } from "../../../protocols/record/record.ts";
import { checkAgentSignature, type SignedFields } from "../../../protocols/record/signature.ts";
import type { AgentInput, Mutation, MutationResult } from "../../api.ts";
import type { FacadeContext } from "../context.ts";
import { ProblemError } from "../problem.ts";
import type { Answer, Call } from "../route.ts";
import { refuseCrossOrigin } from "../same-origin.ts";
import { authorise, insufficient, type Authority } from "./authority.ts";
import { entityTag, failed, hasCondition, writeCondition, type WriteCondition } from "./conditions.ts";
import type { AgentDocumentInput } from "./documents.ts";
import type { Idempotency, Outcome } from "./idempotency.ts";
import { lookUp, type Lookup } from "./own-records.ts";
import type { OwnWrites } from "./own-writes.ts";
import { pathOf } from "./reading.ts";
import type { SelfRegistered } from "./self-registered.ts";

/** A write goes to our own catalogue and nowhere else; the catalogue checks what is written, as on every way in. */
export interface Writing {
  readonly context: FacadeContext;
  readonly idempotency: Idempotency;
  readonly selfRegistered: SelfRegistered;
  readonly ownWrites: OwnWrites;
}

/** `POST /agents`. @throws ProblemError, ProtocolError, NodeError */
export async function createAgent(writing: Writing, call: Call): Promise<Answer> {
  const { context } = writing;
  refuseCrossOrigin(context, call);
  const body = call.body as AgentDocumentInput;
  const did = body.did ?? mintDid(context.identity.publicKey, body.humanReadableId);
  return put(writing, call, "POST", did, body);
}

/** `PUT /agents/{did}`. @throws ProblemError, ProtocolError, NodeError */
export async function replaceAgent(writing: Writing, call: Call): Promise<Answer> {
  refuseCrossOrigin(writing.context, call);
  const { did } = call.params as { did: string };
  const body = call.body as AgentDocumentInput;
  if (body.did !== undefined && body.did !== did) {
    throw new ProblemError(400, "did_mismatch", `the path names ${did}, the body ${body.did}`);
  }
  return put(writing, call, "PUT", did, body);
}

/** `DELETE /agents/{did}`. @throws ProblemError, ProtocolError, NodeError */
export async function deleteAgent({ context, idempotency, selfRegistered, ownWrites }: Writing, call: Call): Promise<Answer> {
  refuseCrossOrigin(context, call);
  const { did } = call.params as { did: string };
  checkIsOurs(context, did);
  const found = await lookUp(context.node, did);
  if (found.damaged !== undefined) throw found.damaged;
  const names = found.own === undefined ? [] : [found.own.record.humanReadableId];
  const target = { did, names, isPublished: found.own !== undefined, isSignedRecord: false };
  const authority = await authorise(context, call, target);
  return idempotency.once({ ...authority, method: "DELETE", call }, async () => {
    // Once more: what was known before may be what an earlier request under this key has changed.
    const { own, elsewhere } = await lookUp(context.node, did);
    // Before its conditions: they count only for what would be done without them (RFC 9110 §13.2.1).
    if (own === undefined) throw await notHere(context, did, elsewhere);
    const condition = writeCondition(call.headers, own);
    const { ifRevision } = condition;
    const remove: Mutation = { op: "delete", did, ...(ifRevision !== undefined && { ifRevision }) };
    const write = (): Promise<MutationResult> => selfRegistered.remove(did, () => mutate(context, remove));
    const result = await (authority.kind === "own_key" ? ownWrites.once(did, write) : write());
    if (result.outcome === "refused") throw refusal(result, condition, false);
    return { answer: { status: 204 }, wrote: true };
  });
}

async function put(
  { context, idempotency, selfRegistered, ownWrites }: Writing,
  call: Call,
  method: "POST" | "PUT",
  did: string,
  body: AgentDocumentInput,
): Promise<Answer> {
  checkIsOurs(context, did);
  if (body.registry !== undefined && body.registry !== context.identity.did) {
    throw new ProblemError(
      403,
      "wrong_registry",
      `the record is made for ${body.registry}; this registry is ${context.identity.did}`,
    );
  }
  const before = await lookUp(context.node, did);
  const isSignedRecord = body.agent_signature !== undefined;
  const target = { did, names: namesOf(did, body, before), isPublished: before.own !== undefined, isSignedRecord };
  const authority = await authorise(context, call, target);
  const { kind, caller, mayCreate } = authority;
  const isProven = authority.isProven || (call.headers["idempotency-key"] !== undefined && isSignedAnew(body, did, before));
  return idempotency.once({ kind, caller, isProven, method, call }, async () => {
    const found = await lookUp(context.node, did);
    if (!mayCreate && found.own === undefined) throw insufficient(caller, did);
    if (method === "POST" && found.own !== undefined) throw exists(`the agent exists, at revision ${found.own.revision}`);
    // A condition is about what cannot be read; without one it can be written anew, and is whole again.
    if (found.damaged !== undefined && hasCondition(call.headers)) throw found.damaged;
    const condition = method === "POST" ? CREATE : writeCondition(call.headers, found.own, found.elsewhere);
    const isOwnKeyAlone = kind === "own_key";
    // Whoever changes an agent that is deleted in this moment must not register it again without being counted, or allowed to.
    const isUpdate = found.own !== undefined && (isOwnKeyAlone || !mayCreate);
    const mode = isUpdate ? "update" : (condition.mode ?? "upsert");
    const { given: _given, ...rest } = { ...condition, mode };
    const agent = { ...inputOf(body, authority, found), did } as AgentInput;
    const write = (): Promise<MutationResult> => mutate(context, { op: "put", agent, ...rest });
    const counted = (): Promise<MutationResult> =>
      mode === "update" ? write() : selfRegistered.register(did, call.caller, write);
    const result = await (isOwnKeyAlone ? ownWrites.once(did, counted) : write());
    if (result.outcome === "refused") throw refusal(result, condition, isSignedRecord);
    return written(context, did, result);
  });
}

/** What a certificate for an agent must name. The name of what cannot be read is unknown, unless its DID spells it. */
function namesOf(did: string, { humanReadableId }: AgentDocumentInput, { own, damaged }: Lookup): string[] {
  if (damaged !== undefined && !isMinted(did)) return [];
  return [humanReadableId, ...(own === undefined ? [] : [own.record.humanReadableId])];
}

/** Whether the agent's key has signed this for the revision that comes next, which nobody else can have seen yet. */
function isSignedAnew(body: AgentDocumentInput, did: string, { own }: Lookup): boolean {
  if (own === undefined || body.agent_signature === undefined || !isSelfCertified(did)) return false;
  const { registry, revision } = own.record;
  try {
    checkAgentSignature({ ...ownFields(body), did, registry, revision: revision + 1 } as SignedFields);
    return true;
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}

const CREATE: WriteCondition = { mode: "create", given: false };

/** What the home sets is set anew; its opinion of the agent is nobody else's to give. @throws ProblemError `not_yours` */
function inputOf(body: AgentDocumentInput, { kind }: Authority, { own }: Lookup): Record<string, unknown> {
  const input = ownFields(body);
  const { reputation_score: score } = body;
  if (score === undefined) return input;
  if (kind === "operator") return { ...input, reputation_score: score };
  if (score === own?.record.reputation_score) return input;
  throw new ProblemError(403, "not_yours", "reputation_score is set by the registry: leave it out");
}

function ownFields(body: AgentDocumentInput): Record<string, unknown> {
  const fields = completeAgent(body);
  for (const name of HOME_FIELDS) delete fields[name];
  return fields;
}

async function written(context: FacadeContext, did: string, { outcome }: MutationResult): Promise<Outcome> {
  const { own, damaged } = await lookUp(context.node, did);
  if (damaged !== undefined) throw damaged;
  // Deleted again in this moment by somebody else.
  if (own === undefined)
    throw new ProblemError(409, "revision_conflict", `${did} was written, and deleted by another request at once`);
  const isNew = outcome === "created";
  const headers = {
    ...{ etag: entityTag(own.hash), "x-registry-home": context.identity.did },
    ...(isNew && { location: pathOf(did) }),
  };
  const answer = { status: isNew ? 201 : 200, headers, body: own.bytes };
  // A record that was there already proves nothing about who sent it.
  return { answer, wrote: outcome !== "unchanged" };
}

/** One mutation. @throws NodeError */
async function mutate({ node }: FacadeContext, mutation: Mutation): Promise<MutationResult> {
  const [result] = await node.mutate([mutation]);
  if (result === undefined) throw new Error("a mutation was left unanswered");
  return result;
}

/** DIDs of another registry's minting are written there. @throws ProblemError `bad_did`, `foreign_did` */
function checkIsOurs({ identity }: FacadeContext, did: string): void {
  if (!isDid(did))
    throw new ProblemError(400, "bad_did", `"${did.slice(0, DID_SHOWN_MAX)}" is not a DID; agents are written under their DID`);
  if (!isMinted(did)) return;
  try {
    checkOwnership(did, identity.did);
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause;
    const where = cause.code === "foreign_did" ? "; write it there, its home is the registry whose key it names" : "";
    throw new ProblemError(cause.code === "foreign_did" ? 403 : 400, cause.code, `${cause.message}${where}`, { cause });
  }
}

const DID_SHOWN_MAX = 120;

async function notHere({ node }: FacadeContext, did: string, home: string | undefined): Promise<ProblemError> {
  const detail = `this registry publishes no agent ${did}`;
  if (home === undefined) return new ProblemError(404, "not_found", detail);
  const url = (await node.knownRegistry(home))?.url;
  const where = url === undefined ? home : `${home} (${url})`;
  const extra = { home, ...(url !== undefined && { url }) };
  return new ProblemError(404, "not_found", `${detail}; its home is ${where}, write it there`, { extra });
}

/** Statuses of what the catalogue refuses; all else is a document that does not hold. */
const REFUSED: Readonly<Record<string, number>> = {
  revision_conflict: 409,
  name_taken: 409,
  not_found: 404,
  foreign_did: 403,
  bad_signature: 401,
  too_large: 413,
  paused: 503,
  storage: 503,
};

function refusal(
  { code, reason, nextRevision }: Extract<MutationResult, { outcome: "refused" }>,
  { given, mode }: WriteCondition,
  isSigned: boolean,
): ProblemError {
  // The record was another one at the moment of the write than when the condition was looked at.
  if (given && (code === "revision_conflict" || code === "not_found")) return failed(undefined, reason);
  if (mode === "create" && code === "revision_conflict") return exists(reason);
  const status = REFUSED[code] ?? 400;
  return new ProblemError(status, code, reason + advice(code, nextRevision, isSigned), {
    ...(nextRevision !== undefined && { extra: { next_revision: nextRevision } }),
    headers: {
      ...(status === 401 && { "www-authenticate": "Bearer" }),
      ...(status === 503 && { "retry-after": RETRY_AFTER_SECONDS }),
    },
  });
}

function advice(code: string, nextRevision: number | undefined, isSigned: boolean): string {
  if (nextRevision !== undefined) return `; agent_signature covers this registry and the agent's next revision, ${nextRevision}`;
  if (code === "schema" && isSigned) return "; a signed record is published as it was signed, so nothing is filled in";
  return "";
}

function exists(reason: string): ProblemError {
  return new ProblemError(409, "exists", `${reason}: change it with PUT`);
}

const RETRY_AFTER_SECONDS = "2";
