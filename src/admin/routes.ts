import { LIST_LIMIT_MAX, type MutationResult, type RegistryNode } from "../api.ts";
import type { Clock } from "../ports/clock.ts";
import type { Credentials, Svid } from "../ports/credentials.ts";
import { AdminError } from "./errors.ts";
import {
  checkAddress,
  checkCertificateOrder,
  checkListQuery,
  checkMutations,
  checkName,
  checkNothing,
  checkSyncRequest,
  type AdminOwner,
  type CertificatesAnswer,
  type ExportLine,
  type PeersAnswer,
  type SyncLine,
} from "./messages.ts";

/** A node that can be told from outside to drain and end; it returns at once. */
export type StoppableNode = RegistryNode & {
  requestStop(): void;
  /** Absent without an HTTPS interface. */
  readonly credentials?: Credentials;
};

export interface RouteContext {
  readonly node: StoppableNode;
  readonly clock: Clock;
  /** Resolves when the server closes, which is the last thing that the process does. */
  readonly closed: Promise<void>;
}

/** `json` answers once from the query (GET, DELETE) or the JSON body (POST); `stream` answers line by line. */
export type Route =
  | { readonly kind: "json"; run(context: RouteContext, input: unknown): Promise<unknown> }
  | { readonly kind: "stream"; run(context: RouteContext, input: unknown): AsyncIterable<unknown> }
  /** Lines in, lines out, both at once. */
  | { readonly kind: "duplex"; run(context: RouteContext, lines: AsyncIterable<unknown>): AsyncIterable<unknown> };

/**
 * Batches of one mutation stream that wait in the node at a time. The node commits at most four times a second, so that what is
 * in flight bounds the speed of an import; each costs up to a line of memory.
 */
export const BATCHES_IN_FLIGHT_MAX = 16;

/** How often a running sync tells where it stands, in milliseconds. */
const SYNC_PROGRESS_MS = 100;

const json = (run: (context: RouteContext, input: unknown) => Promise<unknown>): Route => ({ kind: "json", run });

/** Path, then method: the whole admin API. */
export const ROUTES: Readonly<Record<string, Readonly<Record<string, Route>>>> = {
  "/admin/process": { GET: json(async ({ node }, input) => (checkNothing(input), owner(node))) },
  "/admin/identity": { GET: json(async ({ node }, input) => (checkNothing(input), node.identity())) },
  "/admin/status": { GET: json(async ({ node }, input) => (checkNothing(input), node.status())) },
  "/admin/agent": { GET: json(getAgent) },
  "/admin/proof": { GET: json(async ({ node }, input) => node.proveAgent(checkName(input))) },
  "/admin/agents": { GET: json(async ({ node }, input) => node.listAgents(checkListQuery(input))) },
  "/admin/export": { GET: { kind: "stream", run: exportAgents } },
  "/admin/mutations": { POST: { kind: "duplex", run: mutate } },
  "/admin/peers": {
    GET: json(listPeers),
    POST: json(async ({ node }, input) => node.addPeer(checkAddress(input))),
    DELETE: json(async ({ node }, input) => (await node.removePeer(checkAddress(input)), {})),
  },
  "/admin/sync": {
    GET: json(async ({ node }, input) => (checkNothing(input), { sync: await node.syncStatus() })),
    POST: { kind: "stream", run: syncNow },
  },
  "/admin/doctor": { GET: json(async ({ node }, input) => (checkNothing(input), node.diagnose())) },
  "/admin/certificates": { GET: json(showCertificates), POST: json(issueCertificate) },
  "/admin/stop": { POST: { kind: "stream", run: stop } },
};

function owner(node: RegistryNode): AdminOwner {
  const { name, did } = node.identity();
  return { pid: process.pid, name, did };
}

async function showCertificates({ node }: RouteContext, input: unknown): Promise<CertificatesAnswer> {
  checkNothing(input);
  const credentials = credentialsOf(node);
  const { spiffeId, certificate, notBeforeMs, notAfterMs } = credentials.svid();
  return { svid: { spiffeId, certificate, notBeforeMs, notAfterMs }, bundle: credentials.bundle() };
}

async function issueCertificate({ node }: RouteContext, input: unknown): Promise<Svid> {
  const { path, lifetimeSeconds } = checkCertificateOrder(input);
  return credentialsOf(node).issue({ path, lifetimeMs: lifetimeSeconds * 1_000 });
}

function credentialsOf({ credentials }: StoppableNode): Credentials {
  if (credentials !== undefined) return credentials;
  throw new AdminError(
    "not_found",
    "this registry runs without an HTTPS interface and has no certificates: start it with --http",
  );
}

async function listPeers({ node }: RouteContext, input: unknown): Promise<PeersAnswer> {
  checkNothing(input);
  const { peers, contacts } = await node.status();
  return { peers, contacts };
}

async function getAgent({ node }: RouteContext, input: unknown): Promise<unknown> {
  const id = checkName(input);
  const view = await node.getAgent(id);
  if (view === undefined)
    throw new AdminError("not_found", `no agent ${id} is held here, by DID or by a name that one home alone uses`);
  return view;
}

async function* exportAgents({ node }: RouteContext, input: unknown): AsyncGenerator<ExportLine> {
  const query = checkListQuery({ limit: LIST_LIMIT_MAX, ...(input as object) });
  let cursor: string | null | undefined = query.cursor;
  do {
    const page = await node.listAgents(typeof cursor === "string" ? { ...query, cursor } : query);
    yield* page.agents;
    for (const unavailable of page.unavailable) yield { type: "unavailable", ...unavailable };
    cursor = page.cursor;
  } while (cursor !== null);
}

/** Hands batches to the node in the order in which they arrive, some at a time, and answers in the same order. */
async function* mutate({ node }: RouteContext, lines: AsyncIterable<unknown>): AsyncGenerator<unknown> {
  const inFlight: Promise<readonly MutationResult[]>[] = [];
  const answer = async (): Promise<unknown> => ({ type: "results", results: await inFlight.shift() });
  try {
    for await (const line of lines) {
      const batch = node.mutate(checkMutations(line));
      // It may fail while the next line is awaited; `answer` is where that is told.
      batch.catch(() => {});
      inFlight.push(batch);
      if (inFlight.length >= BATCHES_IN_FLIGHT_MAX) yield await answer();
    }
    while (inFlight.length > 0) yield await answer();
  } finally {
    // A stream that was cut still leaves what was handed in to the node.
    await Promise.allSettled(inFlight);
  }
}

async function* syncNow({ node, clock }: RouteContext, input: unknown): AsyncGenerator<SyncLine> {
  const session = node.syncNow(checkSyncRequest(input));
  const finished = session.then(
    () => true,
    () => true,
  );
  const tick = (): Promise<false> => new Promise((resolve) => clock.after(SYNC_PROGRESS_MS, () => resolve(false)));
  while (!(await Promise.race([finished, tick()]))) yield { type: "progress", sync: await node.syncStatus() };
  yield { type: "result", sync: await session };
}

async function* stop({ node, closed }: RouteContext, input: unknown): AsyncGenerator<unknown> {
  checkNothing(input);
  yield { type: "stopping", ...owner(node) };
  node.requestStop();
  await closed;
  yield { type: "stopped" };
}

/** @throws AdminError `no_such_route`, `method_not_allowed` */
export function findRoute(path: string, method: string): Route {
  const methods = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined;
  if (methods === undefined) throw new AdminError("no_such_route", `there is nothing at ${path.slice(0, 100)}`);
  const route = Object.hasOwn(methods, method) ? methods[method] : undefined;
  if (route === undefined) throw new AdminError("method_not_allowed", `${path} takes ${Object.keys(methods).join(", ")}`);
  return route;
}
