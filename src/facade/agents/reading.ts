import { hlcTime } from "../../../protocols/record/hlc.ts";
import type { AgentDocument, ListQuery } from "../../api.ts";
import type { FacadeContext } from "../context.ts";
import { ProblemError } from "../problem.ts";
import { addressKeys } from "../address.ts";
import { PageTurns, type TurnBounds } from "../page-turns.ts";
import type { Answer, Call } from "../route.ts";
import { entityTag, hasAlready } from "./conditions.ts";
import { LIST_LIMIT_DEFAULT } from "./documents.ts";

/** Kept by anybody, but asked about before each use: an agent may change at any moment. */
const CACHE_CONTROL = "no-cache";

/**
 * A listing may hold megabytes: few are made at a time, one for each address. To wait costs little, and a late answer is worth more
 * to who reads than none (T25).
 */
const LISTINGS: TurnBounds = { inWorkMax: 4, waitingPerAskerMax: 16, waitingMax: 256, waitMsMax: 10_000 };

/** `GET /agents`. @throws NodeError; ProblemError `busy` */
export function listing({ node, clock }: FacadeContext): (call: Call) => Promise<Answer> {
  const turns = new PageTurns(clock, LISTINGS);
  return async ({ query, caller }) => {
    const wanted = { limit: LIST_LIMIT_DEFAULT, ...(query as Partial<ListQuery>) };
    const page = await turns.run(addressKeys(caller.address).single, false, () => node.listAgents(wanted));
    return { status: 200, body: page };
  };
}

/**
 * `GET /agents/{did}`: exact record bytes.
 * @throws ProblemError `not_found`; NodeError `invalid` for a name that several others have
 */
export async function readAgent({ node }: FacadeContext, { params, headers }: Call): Promise<Answer> {
  const { did } = params as { did: string };
  const document = await node.readAgent(did);
  if (document === undefined) throw unknownAgent(did);
  const answer = answerOf(document);
  return headers["if-none-match"] !== undefined && hasAlready(headers, document.hash) ? answer.unchanged : answer.whole;
}

/** `GET /agents/{did}/proof`. @throws NodeError `not_found`, `not_provable` */
export async function proveAgent({ node }: FacadeContext, { params }: Call): Promise<Answer> {
  const { did } = params as { did: string };
  return { status: 200, headers: { "cache-control": CACHE_CONTROL }, body: await node.proveAgent(did) };
}

export function unknownAgent(did: string): ProblemError {
  return new ProblemError(404, "not_found", `no agent "${did}" is known here, by its DID or by a name that it has alone`);
}

/** Where an agent is read and written. */
export function pathOf(did: string): string {
  return `/agents/${encodeURIComponent(did)}`;
}

interface Answers {
  readonly whole: Answer;
  readonly unchanged: Answer;
}

/** Made once for each document that the node keeps in memory: most requests ask for the same few. */
const answers = new WeakMap<AgentDocument, Answers>();

function answerOf(document: AgentDocument): Answers {
  const known = answers.get(document);
  if (known !== undefined) return known;
  const { did, home, hash, hlc, bytes } = document;
  const headers = {
    etag: entityTag(hash),
    "last-modified": new Date(hlcTime(hlc)).toUTCString(),
    "cache-control": CACHE_CONTROL,
    "x-registry-home": home,
    link: `<${pathOf(did)}/proof>; rel="describedby"; type="application/json"`,
  };
  const made = { whole: { status: 200, headers, body: bytes }, unchanged: { status: 304, headers } };
  answers.set(document, made);
  return made;
}
