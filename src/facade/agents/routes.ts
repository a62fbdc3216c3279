import { RECORD_BYTES_MAX } from "../../../protocols/record/record.ts";
import type { RegistryConfig } from "../../config.ts";
import type { FacadeContext } from "../context.ts";
import type { AnswerDescription, Route } from "../route.ts";
import { agentInputDocument, agentParams, listParams, pageDocument, proofDocument, recordDocument } from "./documents.ts";
import { Idempotency } from "./idempotency.ts";
import { listing, proveAgent, readAgent } from "./reading.ts";
import { SelfRegistered } from "./self-registered.ts";
import { OwnWrites } from "./own-writes.ts";
import { createAgent, deleteAgent, replaceAgent, type Writing } from "./writing.ts";

const record = (description: string): AnswerDescription => ({ description, schema: recordDocument });
const says = (description: string): AnswerDescription => ({ description });

const REFUSALS: Readonly<Record<number, AnswerDescription>> = {
  400: says("the record does not hold"),
  401: says("nothing was presented that allows it, or the agent's signature does not hold"),
  403: says(
    "what was presented does not suffice, or the agent is another registry's, or only the operator registers agents here",
  ),
  409: says("the agent exists, its name is taken, or the same request is still running"),
  413: says("the record is too large"),
  422: says("the Idempotency-Key belongs to another request"),
};

const REGISTRATION_REFUSALS: Readonly<Record<number, AnswerDescription>> = {
  429: says("too many agents were registered from this address: see Retry-After"),
  507: says("no more agents are registered by their own keys alone"),
};

export type AgentLimits = Pick<RegistryConfig, "selfRegisteredAgentsMax">;

/** The agents of all catalogues that this registry holds for readers, its own for writers. */
export function agentRoutes(context: FacadeContext, { selfRegisteredAgentsMax }: AgentLimits): Route[] {
  const idempotency = new Idempotency(context);
  const selfRegistered = new SelfRegistered(context, selfRegisteredAgentsMax);
  const writing: Writing = { context, idempotency, selfRegistered, ownWrites: new OwnWrites(context.clock) };
  return [...readers(context), ...writers(writing)];
}

function readers(context: FacadeContext): Route[] {
  return [
    {
      ...{ method: "GET", path: "/agents", access: "public", query: listParams },
      summary: "Agents of all registries that are held here, page by page: this registry's first",
      answers: {
        200: { description: "a page", schema: pageDocument },
        404: says("the registry is not held here"),
        503: says("too many listings at once: see Retry-After"),
      },
      handle: listing(context),
    },
    {
      ...{ method: "GET", path: "/agents/{did}", access: "public", params: agentParams },
      summary: "The record of an agent, byte for byte as its home's tree commits to it; the ETag is its value hash",
      answers: {
        200: record("the record"),
        304: says("it is the one that If-None-Match names"),
        404: says("no such agent is held here"),
      },
      handle: (call) => readAgent(context, call),
    },
    {
      ...{ method: "GET", path: "/agents/{did}/proof", access: "public", params: agentParams },
      summary: "The record with the proof that its home has signed it",
      answers: {
        200: { description: "the proof document", schema: proofDocument },
        404: says("no such agent is held here"),
        409: says("its catalogue is being synced: try again in a moment"),
      },
      handle: (call) => proveAgent(context, call),
    },
  ];
}

function writers(writing: Writing): Route[] {
  const body = { body: agentInputDocument, bodyBytesMax: RECORD_BYTES_MAX };
  return [
    {
      ...{ method: "POST", path: "/agents", access: "owner", ...body },
      summary: "Registers an agent; without a DID one is minted from its humanReadableId",
      answers: { 201: record("the record as it is published"), ...REFUSALS, ...REGISTRATION_REFUSALS },
      handle: (call) => createAgent(writing, call),
    },
    {
      ...{ method: "PUT", path: "/agents/{did}", access: "owner", params: agentParams, ...body },
      summary: "Registers or replaces an agent; If-Match and If-None-Match take the ETag of a GET",
      answers: {
        200: record("the record as it is published"),
        201: record("the same, of a new agent"),
        ...REFUSALS,
        ...REGISTRATION_REFUSALS,
        412: says("the agent is not what the condition says"),
      },
      handle: (call) => replaceAgent(writing, call),
    },
    {
      ...{ method: "DELETE", path: "/agents/{did}", access: "owner", params: agentParams },
      summary: "Removes an agent from this registry",
      answers: {
        204: says("it is removed"),
        ...REFUSALS,
        404: says("this registry publishes no such agent"),
        412: says("the agent is not what the condition says"),
      },
      handle: (call) => deleteAgent(writing, call),
    },
  ];
}
