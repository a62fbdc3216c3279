import type { Connection } from "@libp2p/interface";
import type { CancelTimer, Clock } from "../../ports/clock.ts";
import type { Log } from "../../ports/log.ts";
import { Pinger } from "./echo.ts";

/** A new connection must echo within this time, or it is dropped. */
const CONFIRM_MS_MAX = 5_000;
/** Two connections whose ages differ by less were dialled by both sides at once. */
const SIMULTANEOUS_MS_MAX = 3_000;
/** A connection that is being closed may take this long to flush. */
const CLOSE_MS_MAX = 500;
/** Peers connected at a time; further connections are refused. */
export const CONNECTIONS_MAX = 512;

/** One connection to a peer, from the proof of its key until it ends. */
export interface Link {
  readonly peerId: string;
  readonly connection: Connection;
  readonly pinger: Pinger;
  /** Monotonic milliseconds. */
  readonly openedAt: number;
  /** Whether it became the peer's connection; false when it was dropped before. */
  readonly settled: Promise<boolean>;
}

export type Admission = "pending" | "refused" | "duplicate";

export interface LinkEvents {
  onReady(link: Link): void;
  onGone(link: Link): void;
}

/**
 * Which connection is *the* connection to each peer.
 *
 * A connection counts once the peer has answered an echo on it: until then the peer may still refuse it, and libp2p tells
 * nobody. When two peers dial each other at the same time, the one with the smaller peer id decides: it drops whichever
 * connection reached it second, before any stream is open there, and the other side never sees an echo on that one. So both
 * keep the same connection and no stream in use breaks. A later connection replaces an older one, whose peer has lost it.
 */
export class Links {
  readonly #self: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #events: LinkEvents;
  readonly #ready = new Map<string, Link>();
  readonly #pending = new Map<string, Set<PendingLink>>();
  readonly #watchers: (() => void)[] = [];

  constructor(options: { self: string; clock: Clock; log: Log; events: LinkEvents }) {
    this.#self = options.self;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#events = options.events;
  }

  ready(peerId: string): Link | undefined {
    return this.#ready.get(peerId);
  }

  all(): Link[] {
    return [...this.#ready.values()];
  }

  find(connection: Connection): Link | undefined {
    return this.#of(connection.remotePeer.toString()).find((link) => link.connection === connection);
  }

  /** Decides about a connection in the tick in which it opened; what is not `pending` has been dropped. */
  admit(connection: Connection, allowed: boolean): Admission {
    const peerId = connection.remotePeer.toString();
    if (!allowed || this.#ready.size >= CONNECTIONS_MAX) {
      connection.abort(new Error("refused"));
      return "refused";
    }
    if (this.#isDuplicate(connection, peerId)) {
      connection.abort(new Error("duplicate connection"));
      return "duplicate";
    }
    const pending = new PendingLink(connection, this.#clock);
    const others = this.#pending.get(peerId);
    if (others === undefined) this.#pending.set(peerId, new Set([pending]));
    else others.add(pending);
    connection.addEventListener("close", () => this.#ended(pending.link, pending));
    void pending.confirm().then(
      () => this.#promote(pending),
      (error: Error) => this.#ended(pending.link, pending, error),
    );
    return "pending";
  }

  /**
   * The peer's connection: the present one, or the next within `waitMs`, and as long as one waits for its echo.
   * `undefined` when there is none by then or when the signal comes first.
   */
  async next(peerId: string, waitMs: number, signal: AbortSignal): Promise<Link | undefined> {
    let over = false;
    const notice = (): void => this.#changed();
    const cancel = this.#clock.after(waitMs, () => {
      over = true;
      notice();
    });
    signal.addEventListener("abort", notice, { once: true });
    const done = (): boolean => this.#ready.has(peerId) || signal.aborted || (over && !this.#pending.has(peerId));
    while (!done()) await new Promise<void>((resolve) => this.#watchers.push(resolve));
    signal.removeEventListener("abort", notice);
    cancel();
    return this.#ready.get(peerId);
  }

  /** Drops every connection to the peer at once and resolves when they are closed. */
  async drop(peerId: string): Promise<void> {
    const links = this.#of(peerId);
    for (const link of links) this.#ended(link, undefined);
    await Promise.all(links.map((link) => this.#close(link.connection)));
  }

  async dropAll(): Promise<void> {
    await Promise.all([...new Set([...this.#ready.keys(), ...this.#pending.keys()])].map((peerId) => this.drop(peerId)));
  }

  #of(peerId: string): Link[] {
    const ready = this.#ready.get(peerId);
    const pending = [...(this.#pending.get(peerId) ?? [])].map((each) => each.link);
    return ready === undefined ? pending : [ready, ...pending];
  }

  #isDuplicate(connection: Connection, peerId: string): boolean {
    // Our own dials start only where no connection is known, so a ready one came in meanwhile and both sides use it.
    if (connection.direction === "outbound" && this.#ready.has(peerId)) return true;
    const now = this.#clock.monotonic();
    const weDecide = this.#self < peerId;
    return weDecide && this.#of(peerId).some((link) => now - link.openedAt < SIMULTANEOUS_MS_MAX);
  }

  #promote(pending: PendingLink): void {
    const { link } = pending;
    if (!this.#forget(pending)) return;
    const older = this.#ready.get(link.peerId);
    if (older !== undefined) {
      this.#ended(older, undefined);
      older.connection.abort(new Error("replaced by a newer connection of the peer"));
    }
    this.#ready.set(link.peerId, link);
    pending.settle(true);
    this.#events.onReady(link);
    this.#changed();
  }

  #ended(link: Link, pending: PendingLink | undefined, error?: Error): void {
    for (const each of pending === undefined ? [...(this.#pending.get(link.peerId) ?? [])] : [pending]) {
      if (each.link === link && this.#forget(each)) each.settle(false);
    }
    if (error !== undefined) {
      this.#log.debug("a new connection was dropped", { peerId: link.peerId, cause: error.message });
      link.connection.abort(error);
    }
    if (this.#ready.get(link.peerId) === link) {
      this.#ready.delete(link.peerId);
      this.#events.onGone(link);
    }
    this.#changed();
  }

  #forget(pending: PendingLink): boolean {
    const { peerId } = pending.link;
    const others = this.#pending.get(peerId);
    const known = others?.delete(pending) ?? false;
    if (others?.size === 0) this.#pending.delete(peerId);
    return known;
  }

  #changed(): void {
    for (const watcher of this.#watchers.splice(0)) watcher();
  }

  /** Resets the streams, so that no half-sent transfer passes for a finished one, then lets the connection flush and close. */
  async #close(connection: Connection): Promise<void> {
    if (connection.status !== "open") return;
    const reason = new Error("disconnected");
    for (const stream of connection.streams.slice()) stream.abort(reason);
    const late = new AbortController();
    const cancel = this.#clock.after(CLOSE_MS_MAX, () => late.abort(reason));
    try {
      await connection.close({ signal: late.signal });
    } catch (error) {
      connection.abort(error as Error);
    } finally {
      cancel();
    }
  }
}

/** A link that has not echoed yet. */
class PendingLink {
  readonly link: Link;
  readonly settle: (ready: boolean) => void;
  readonly #clock: Clock;

  constructor(connection: Connection, clock: Clock) {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#clock = clock;
    this.settle = resolve;
    const pinger = new Pinger(connection, () => clock.monotonic());
    this.link = { peerId: connection.remotePeer.toString(), connection, pinger, openedAt: clock.monotonic(), settled: promise };
  }

  async confirm(): Promise<void> {
    const late = new AbortController();
    const cancel: CancelTimer = this.#clock.after(CONFIRM_MS_MAX, () => late.abort());
    try {
      await this.link.pinger.ping(late.signal);
    } finally {
      cancel();
    }
  }
}
