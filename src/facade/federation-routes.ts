import {
  decodePageRequest,
  encodePage,
  catalogPageSchema,
  PAGE_REQUEST_BYTES_MAX,
  pageRequestSchema,
} from "../../protocols/http/catalog-documents.ts";
import { CATALOG_SYNC_PATH, type PageRefusal, type PageRequest } from "../../protocols/http/catalog-page.ts";
import { headWaitSchema, readHeadWait, type HeadWaitQuery } from "../../protocols/http/head-wait.ts";
import { CHECKPOINT_PATH, encodeHeadDocument, headSchema } from "../../protocols/http/head-document.ts";
import {
  decodeIntroduction,
  encodeHelloDocument,
  helloSchema,
  INTRODUCTION_BYTES_MAX,
  INTRODUCTION_PATH,
  introductionSchema,
} from "../../protocols/http/introduction-documents.ts";
import { pageRefusalProblem } from "../../protocols/http/problem.ts";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import type { AdmittedRegistry, Caller } from "./caller.ts";
import type { FacadeContext } from "./context.ts";
import { HeldHeads } from "./held-heads.ts";
import { RETRY_AFTER_SECONDS } from "./limits.ts";
import { CHANGE_PROOF_COST, PAGE_COST, PageBudget } from "./page-budget.ts";
import { PageTurns } from "./page-turns.ts";
import { ProblemError } from "./problem.ts";
import type { Answer, Route } from "./route.ts";

/** What other registries may ask; by then admission has proved who they are. */
export function federationRoutes(context: FacadeContext): Route[] {
  const { node } = context;
  const servePage = pageServer(context);
  const heads = new HeldHeads(node, context.clock);
  return [
    {
      ...{ method: "POST", path: INTRODUCTION_PATH, access: "stranger" },
      summary: "Announce your registry; answered with what a registry tells another when they meet",
      ...{ body: introductionSchema, bodyBytesMax: INTRODUCTION_BYTES_MAX },
      answers: { 200: { description: "This registry, and some that it knows", schema: helloSchema } },
      handle: async ({ rawBody }) => {
        const hello = await node.announced(decodeIntroduction(rawBody));
        return { status: 200, body: encodeHelloDocument(hello) };
      },
    },
    {
      ...{ method: "POST", path: CATALOG_SYNC_PATH, access: "registry", summary: "Changes of this registry's own catalogue" },
      ...{ body: pageRequestSchema, bodyBytesMax: PAGE_REQUEST_BYTES_MAX },
      answers: {
        200: { description: "A page of changes, with proofs", schema: catalogPageSchema },
        404: { description: "Nothing has been committed yet" },
        409: { description: "The base is not known: ask from the beginning" },
      },
      isContinuation: (rawBody, caller) => isContinuation(context, rawBody, caller),
      handle: async ({ rawBody, caller }): Promise<Answer> => {
        const page = await servePage(decodePageRequest(rawBody), caller);
        if (typeof page !== "string") return { status: 200, body: page };
        // A cursor of ours that leads nowhere any more: the walk has to begin anew, as a request.
        if (page !== "busy") caller.countAsRequest();
        const { status, code, detail } = pageRefusalProblem(page);
        throw new ProblemError(status, code, detail, page === "busy" ? { headers: RETRY } : {});
      },
    },
    {
      ...{ method: "GET", path: CHECKPOINT_PATH, access: "registry", query: headWaitSchema },
      summary: "The newest version of this registry's catalogue, or the next one as soon as it is there",
      answers: {
        200: { description: "Checkpoint, commit and proof", schema: headSchema },
        404: { description: "Nothing has been committed yet" },
      },
      handle: async ({ caller, query, onEnding }) => {
        const head = await heads.newest(admitted(caller), readHeadWait(query as HeadWaitQuery), onEnding);
        if (head !== undefined) return { status: 200, body: encodeHeadDocument(head) };
        const { status, code, detail } = pageRefusalProblem("empty");
        throw new ProblemError(status, code, detail);
      },
    },
  ];
}

function admitted({ registry }: Caller): AdmittedRegistry {
  if (registry === undefined) throw new Error("this is for registries that were admitted");
  return registry;
}

/** Encoded pages within the turns and the budget of who asks. */
function pageServer({ node, clock }: FacadeContext): (request: PageRequest, caller: Caller) => Promise<Uint8Array | PageRefusal> {
  const turns = new PageTurns(clock);
  const budget = new PageBudget();
  return async (request, caller) => {
    const { did, isWanted } = admitted(caller);
    const check = (): void => budget.check(did, isWanted, clock.monotonic());
    // Who is in debt takes nobody's place; who has got its turn may have been charged for another page since.
    check();
    return turns.run(did, isWanted, async () => {
      check();
      let cost = PAGE_COST;
      try {
        const page = await node.catalogPage(request, did);
        if (typeof page === "string") return page;
        const body = encodePage(page, request);
        cost += body.length + (request.proofs === "change" ? page.changes.length * CHANGE_PROOF_COST : 0);
        return body;
      } finally {
        budget.charge(did, isWanted, cost, clock.monotonic());
      }
    });
  };
}

/**
 * A later page of a walk that we began with this caller: a whole sync counts as one request (T25). Whatever else names a cursor
 * is a request, and refused later.
 */
function isContinuation({ node }: FacadeContext, rawBody: Uint8Array, caller: Caller): boolean {
  try {
    return node.isContinuation(decodePageRequest(rawBody), admitted(caller).did);
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}

const RETRY = { "retry-after": String(RETRY_AFTER_SECONDS) };
