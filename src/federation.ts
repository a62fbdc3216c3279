import type { Hello } from "../protocols/announce/hello.ts";
import type { CatalogPage, PageRefusal } from "../protocols/http/catalog-page.ts";
import { peerIdOfDid } from "../protocols/lib/did.ts";
import type { ActorRef, Reply } from "./actors/actor.ts";
import { answered } from "./answered.ts";
import { NodeError } from "./api.ts";
import type { CatalogMessage } from "./catalog/messages.ts";
import { CursorSeal } from "./cursor-seal.ts";
import type { FederationNode, KnownRegistry, OwnVersion } from "./federation-api.ts";
import type { MembershipMessage } from "./membership/messages.ts";
import type { Clock } from "./ports/clock.ts";
import type { Introduction } from "../protocols/http/introduction-documents.ts";
import { RequestLimiter } from "./replication/limiter.ts";

/** Another registry that waits for an answer gives up before long, and so do we. */
const ANSWER_MS = 10_000;
/** Later pages of syncs that one registry may ask for in a minute: a million agents in one. */
export const CONTINUATIONS_PER_PEER_PER_MINUTE_MAX = 1_200;

export interface FederationParts {
  readonly clock: Clock;
  readonly sign: (bytes: Uint8Array) => Uint8Array;
  readonly catalog: ActorRef<CatalogMessage>;
  readonly membership: ActorRef<MembershipMessage>;
  /** The budget that libp2p counts on, too. */
  readonly limiter: RequestLimiter;
  /** DIDs of the registries that the operator follows by name. */
  readonly followed: ReadonlySet<string>;
  /** The newest version of our own catalogue, and who is told of the next ones. */
  readonly version: () => OwnVersion | undefined;
  readonly versionListeners: Set<(version: OwnVersion) => void>;
}

/** The questions of other registries that come over HTTP, put to the actors. */
export function federationOf(parts: FederationParts): FederationNode {
  const { clock, sign, catalog, membership, limiter, followed, version, versionListeners } = parts;
  const cursors = new CursorSeal(sign);
  const continuations = new RequestLimiter(CONTINUATIONS_PER_PEER_PER_MINUTE_MAX);
  const asked = <R>(make: (reply: Reply<R>) => MembershipMessage): Promise<R> => answered(membership.ask(make, ANSWER_MS));
  return {
    introduction: async () => told(await asked<Introduction | undefined>((reply) => ({ type: "introduction", reply }))),
    version,
    onVersion: (listener) => void versionListeners.add(listener),
    announced: async (introduction) =>
      told(await asked<Hello | undefined>((reply) => ({ type: "announced", introduction, reply }))),
    catalogPage: async (sealed, asker) => {
      const request = cursors.open(sealed, asker);
      if (request === undefined) return "bad_cursor";
      const asking = catalog.ask<CatalogPage | PageRefusal>((reply) => ({ type: "page", request, reply }), ANSWER_MS);
      const page = await answered(asking);
      return typeof page === "string" ? page : cursors.seal(page, request, asker);
    },
    isContinuation: (request, asker) => request.cursor !== undefined && cursors.open(request, asker) !== undefined,
    knownRegistry: async (did) => {
      const known = await asked<KnownRegistry | undefined>((reply) => ({ type: "known", did, reply }));
      return known && { ...known, isWanted: known.isWanted || followed.has(did) };
    },
    takeRequest: (did, kind = "request") =>
      (kind === "request" ? limiter : continuations).take(peerIdOfDid(did), clock.monotonic()),
    facadeChanged: () => void membership.tell({ type: "facade_changed" }),
  };
}

function told<T>(answer: T | undefined): T {
  if (answer === undefined) throw new NodeError("paused", "this registry has no descriptor yet: try again in a moment");
  return answer;
}
