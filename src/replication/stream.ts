import { followCatalogue, type SessionResult } from "../../protocols/catalog-sync/client.ts";
import { CATALOG_SYNC_PROTOCOL } from "../../protocols/catalog-sync/messages.ts";
import { FramesError, type Frames } from "../../protocols/lib/frames.ts";
import { AbortAfter } from "../ports/abort-after.ts";
import type { Clock } from "../ports/clock.ts";
import type { Network } from "../ports/network.ts";
import { withDeadline } from "./deadline.ts";
import type { ReplicaSession } from "./session.ts";

/** A session in which no frame comes for this long is given up; another peer may be asked. */
export const SESSION_IDLE_MS = 10_000;
/** The longest session, so that nobody holds us with a trickle; what a long one brought stays, and the next one goes on. */
export const SESSION_MS_MAX = 120_000;

/** The stream that is kept open to the peer of the last session. It outlives a crash of its owner, so that none is lost. */
export class KeptStream {
  #kept: { readonly peerId: string; readonly frames: Frames } | undefined;

  get peerId(): string | undefined {
    return this.#kept?.peerId;
  }

  keep(peerId: string, frames: Frames): void {
    this.drop("another stream is kept");
    this.#kept = { peerId, frames };
  }

  /** Hands the stream over when it leads to `peerId`, else closes it. */
  take(peerId: string): Frames | undefined {
    const kept = this.#kept;
    if (kept?.peerId !== peerId) this.drop("another peer is asked");
    this.#kept = undefined;
    return kept?.peerId === peerId ? kept.frames : undefined;
  }

  drop(why: string): void {
    this.#kept?.frames.abort(new FramesError("closed", why));
    this.#kept = undefined;
  }
}

export interface StreamOptions {
  readonly session: ReplicaSession;
  readonly peerId: string;
  readonly descend: "short" | "full" | undefined;
  /** Whether the stream is kept for the next session: only to the home, since others count our idle streams against us. */
  readonly keep: boolean;
  readonly network: Network;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Runs one session over the kept stream or a new one, within its deadlines, and waits for what it has under way to the disk.
 * @throws ProtocolError, FramesError, NetworkError, StoreError
 */
export async function runSession(options: StreamOptions, kept: KeptStream): Promise<SessionResult> {
  const { session, peerId, descend, keep, network, clock, signal } = options;
  using deadline = new AbortAfter(clock, SESSION_MS_MAX, signal);
  const open = async (): Promise<Frames> => {
    using opening = new AbortAfter(clock, SESSION_IDLE_MS, deadline.signal);
    // Awaited here: the deadline ends with this block.
    return await network.open(peerId, CATALOG_SYNC_PROTOCOL, { signal: opening.signal });
  };
  const follow = async (frames: Frames): Promise<SessionResult> => {
    const timed = withDeadline(frames, clock, SESSION_IDLE_MS, deadline.signal);
    try {
      const result = await followCatalogue({ frames: timed, target: session, ...(descend && { descend }) });
      if (result.outcome === "not_foldable") frames.abort(new FramesError("closed", "the frontier does not fold"));
      else if (keep) kept.keep(peerId, frames);
      else await frames.close();
      return result;
    } catch (error) {
      frames.abort(error instanceof Error ? error : new Error(String(error)));
      throw error;
    } finally {
      await session.written();
    }
  };
  const old = kept.take(peerId);
  if (old !== undefined && descend === undefined) {
    try {
      return await follow(old);
    } catch (error) {
      // A kept stream may have died since the last session; that says nothing about the peer.
      if (!(error instanceof FramesError) || error.code === "timeout" || session.begun || signal.aborted) throw error;
    }
  } else old?.abort(new FramesError("closed", "a comparison takes a stream of its own"));
  return await follow(await open());
}
