import type { SessionResult } from "../../protocols/catalog-sync/client.ts";
import { peerIdOfDid } from "../../protocols/lib/did.ts";
import type { ReplicaOptions } from "./options.ts";
import type { ReplicaSession } from "./session.ts";
import { runSession } from "./stream.ts";
import { runWebSession } from "./web-session.ts";

export interface Approach {
  /** One of `Followed.sources`. */
  readonly source: string;
  /** How to compare maps, after a version that we named led nowhere. */
  readonly descend: "short" | "full" | undefined;
}

/** Runs one session with a source, over HTTP where it is the home's web face. @throws as `runSession` and `runWebSession` */
export function runFrom(
  { source, descend }: Approach,
  session: ReplicaSession,
  options: ReplicaOptions,
  signal: AbortSignal,
): Promise<SessionResult> {
  const { followed, web, network, clock, home, kept } = options;
  const peer = followed.web;
  if (web !== undefined && peer !== undefined && peer.url === source)
    return runWebSession({ session, web, peer, whole: descend !== undefined, clock, signal });
  const keep = source === peerIdOfDid(home);
  return runSession({ session, peerId: source, descend, keep, network, clock, signal }, kept);
}
