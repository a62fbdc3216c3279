import { RECORD_BYTES_MAX } from "../../../protocols/record/record.ts";
import type { RegistryConfig } from "../../config.ts";
import type { FacadeContext } from "../context.ts";
import type { AnswerDescription, AnswerHeader, Route } from "../route.ts";
import {
  agentInputDocument,
  listParams,
  pageDocument,
  proofDocument,
  readParams,
  recordDocument,
  writeParams,
} from "./documents.ts";
import { Idempotency } from "./idempotency.ts";
import { listing, proveAgent, readAgent } from "./reading.ts";
import { SelfRegistered } from "./self-registered.ts";
import { OwnWrites } from "./own-writes.ts";
import { createAgent, deleteAgent, replaceAgent, type Writing } from "./writing.ts";

const record = (description: string, ...more: readonly AnswerHeader[]): AnswerDescription => ({
  ...{ description, schema: recordDocument, headers: ["ETag", "X-Registry-Home", ...more] },
});
const STORED_LATER: AnswerDescription = {
  description:
    "its stored record fails its checksum and is asked of other registries, or too much is asked at once: see Retry-After",
};
const says = (description: string): AnswerDescription => ({ description });

const REFUSALS: Readonly<Record<number, AnswerDescription>> = {
  400: says("the record does not hold"),
  401: says("nothing was presented that allows it, or the agent's signature does not hold"),
  403: says(
    "what was presented does not suffice, or the agent is another registry's, or only the operator registers agents here",
  ),
  409: { ...says("the agent exists, its name is taken, or the same request is still running"), headers: ["Retry-After"] },
  413: says("the record is too large"),
  422: says("the Idempotency-Key belongs to another request"),
};

const READ_HEADERS = ["Last-Modified", "Link"] as const;
const WRITE_HEADERS = ["If-Match", "If-None-Match", "Idempotency-Key"] as const;
const CHANGED: AnswerDescription = {
  ...says("the agent is not what the condition says; ETag is of what it is"),
  headers: ["ETag"],
};

const REGISTRATION_REFUSALS: Readonly<Record<number, AnswerDescription>> = {
  429: says("too many requests or registrations of this address, or changes by this agent: see Retry-After"),
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
      ...{ method: "GET", path: "/agents/{did}", access: "public", params: readParams, headers: ["If-None-Match"] },
      summary: "The record of an agent, byte for byte as its home's tree commits to it; the ETag is its value hash",
      answers: {
        200: record("the record", ...READ_HEADERS),
        304: { description: "it is one that If-None-Match names", headers: ["ETag", "X-Registry-Home", ...READ_HEADERS] },
        404: says("no such agent is held here"),
        503: STORED_LATER,
      },
      handle: (call) => readAgent(context, call),
    },
    {
      ...{ method: "GET", path: "/agents/{did}/proof", access: "public", params: readParams },
      summary: "The record with the proof that its home has signed it",
      answers: {
        200: { description: "the proof document", schema: proofDocument },
        404: says("no such agent is held here"),
        409: says("its catalogue is being synced: try again in a moment"),
        503: STORED_LATER,
      },
      handle: (call) => proveAgent(context, call),
    },
  ];
}

function writers(writing: Writing): Route[] {
  const body = { body: agentInputDocument, bodyBytesMax: RECORD_BYTES_MAX };
  return [
    {
      ...{ method: "POST", path: "/agents", access: "owner", ...body, headers: ["Idempotency-Key"] },
      summary: "Registers an agent; without a DID one is minted from its humanReadableId",
      answers: { 201: record("the record as it is published", "Location"), ...REFUSALS, ...REGISTRATION_REFUSALS },
      handle: (call) => createAgent(writing, call),
    },
    {
      ...{ method: "PUT", path: "/agents/{did}", access: "owner", params: writeParams, ...body, headers: WRITE_HEADERS },
      summary: "Registers or replaces an agent; If-Match and If-None-Match take the ETag of a GET",
      answers: {
        200: record("the record as it is published"),
        201: record("the same, of a new agent", "Location"),
        ...REFUSALS,
        ...REGISTRATION_REFUSALS,
        404: says("the agent was removed in this moment"),
        412: CHANGED,
        503: STORED_LATER,
      },
      handle: (call) => replaceAgent(writing, call),
    },
    {
      ...{ method: "DELETE", path: "/agents/{did}", access: "owner", params: writeParams, headers: WRITE_HEADERS },
      summary: "Removes an agent from this registry",
      answers: {
        204: says("it is removed"),
        ...REFUSALS,
        404: says("this registry publishes no such agent; `home` says which one does"),
        412: CHANGED,
        503: STORED_LATER,
      },
      handle: (call) => deleteAgent(writing, call),
    },
  ];
}
