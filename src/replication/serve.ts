import { serveCatalogSync, type Answer, type SyncSource } from "../../protocols/catalog-sync/handler.ts";
import { FramesError, type Frames } from "../../protocols/lib/frames.ts";
import type { RefusalCode } from "../../protocols/catalog-sync/messages.ts";
import { AskError, type ActorRef, type Reply } from "../actors/actor.ts";
import type { CatalogueQuery } from "../catalog/messages.ts";
import type { Clock } from "../ports/clock.ts";
import { withDeadline } from "./deadline.ts";
import type { RequestLimiter } from "./limiter.ts";

/** A catalogue that does not answer in this time is busy. */
const ANSWER_MS = 10_000;
/** A follower that takes no frame for this long while an answer flows loses its stream; a kept stream may rest for long. */
const SEND_IDLE_MS = 30_000;
/** The longest that one answer may pin its snapshot. */
export const SNAPSHOT_AGE_MS_MAX = 60_000;
/** Sync streams that one peer may have open. */
export const SYNC_STREAMS_PER_PEER_MAX = 4;

export interface ServeOptions {
  readonly clock: Clock;
  readonly limiter: RequestLimiter;
  /** The actor that holds the catalogue of a registry: our own, or a replica. */
  readonly find: (did: string) => ActorRef<CatalogueQuery> | undefined;
}

/** The same answer, cut with its stream when it is not taken in time: a slow follower goes on from there with another one. */
function pinned(answer: Answer, clock: Clock, frames: Frames): Answer {
  const cancel = clock.after(SNAPSHOT_AGE_MS_MAX, () =>
    frames.abort(new FramesError("timeout", `the answer was not taken in ${SNAPSHOT_AGE_MS_MAX} ms`)),
  );
  const close = (): Promise<void> => {
    cancel();
    return answer.close();
  };
  return { ...answer, close };
}

/** Serves catalog-sync to one peer, from whatever catalogues we hold. */
export function serveFollower(options: ServeOptions, frames: Frames, peerId: string): Promise<void> {
  const { clock, limiter, find } = options;
  const asked = async <R>(
    did: string,
    ask: (actor: ActorRef<CatalogueQuery>) => Promise<R>,
  ): Promise<R | "unknown_registry" | "busy"> => {
    const actor = find(did);
    if (actor === undefined) return "unknown_registry";
    try {
      return await ask(actor);
    } catch (error) {
      if (error instanceof AskError) return "busy";
      throw error;
    }
  };
  /** An answer that comes when nobody waits for it any more gives its snapshot back. */
  const answered = (did: string, make: (reply: Reply<Answer | RefusalCode>) => CatalogueQuery): Promise<Answer | RefusalCode> =>
    asked(did, async (actor) => {
      let over = false;
      const guarded = (reply: Reply<Answer | RefusalCode>): Reply<Answer | RefusalCode> => ({
        reject: (error) => reply.reject(error),
        resolve: (made) => {
          if (over && typeof made !== "string") void made.close();
          else reply.resolve(made);
        },
      });
      try {
        const made = await actor.ask<Answer | RefusalCode>((reply) => make(guarded(reply)), ANSWER_MS);
        return typeof made === "string" ? made : pinned(made, clock, frames);
      } finally {
        over = true;
      }
    });
  const source: SyncSource = {
    retryAfterMs: () => limiter.retryAfterMs(peerId, clock.monotonic()),
    open: (request) => answered(request.registry, (reply) => ({ type: "serve", request, reply })),
    compare: (request) =>
      asked(request.registry, (actor) => actor.ask((reply) => ({ type: "compare", request, reply }), ANSWER_MS)),
    fetch: (request, since) => answered(request.registry, (reply) => ({ type: "fetch", request, since, reply })),
  };
  const sending = withDeadline(frames, clock, SEND_IDLE_MS);
  return serveCatalogSync({ ...sending, receive: () => frames.receive() }, source);
}
