import type { Hello } from "../../protocols/announce/hello.ts";
import type { SignedHead } from "../../protocols/checkpoint/head.ts";
import { openCheckpoint, type Checkpoint } from "../../protocols/checkpoint/note.ts";
import { WAIT_SECONDS_MAX } from "../../protocols/http/head-wait.ts";
import { AbortAfter } from "../ports/abort-after.ts";
import type { Introduction } from "../../protocols/http/introduction-documents.ts";
import { WebError, type Web, type WebPeer } from "../ports/web.ts";
import { addressesOf } from "./dialler.ts";
import type { MembershipOptions } from "./options.ts";
import { MembershipPart } from "./part.ts";
import { noteRtt, type Member, type MemberTable } from "./table.ts";
import type { Tasks } from "./tasks.ts";

/** Who is met over the web is told who we are this often, ± WEB_JITTER. */
export const WEB_ANNOUNCE_MS = 30_000;
/** Who does not wait until there is news is asked for its newest head this often, ± WEB_JITTER. */
export const WEB_POLL_MS = 5_000;
/**
 * Who does is asked again this long after its answer, and after the request before: what changes meanwhile comes together, and
 * these requests and the syncs that they lead to stay below a registry's budget.
 */
export const WEB_PAUSE_MS = 1_000;
export const WEB_CYCLE_MS = 2_000;
/** An answer without news that took less was not waited for. */
const WEB_HELD_MS_MIN = 1_000;
const WEB_JITTER = 0.2;
/** Failed announcements wait this long, doubling up to the bound, ± half. */
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 60_000;
/** Time for one request, beside what the peer is asked to wait. */
export const WEB_TIMEOUT_MS = 10_000;
/** An announcement that takes so long doubles the wait for the next one, up to the bound; a faster one halves it. */
const WEB_SLOW_MS = 1_000;
const SLOWNESS_MAX = 8;
/** Announcements under way at the same time: to members that the operator named, and as many to others, who keep those not waiting. */
export const WEB_ANNOUNCEMENTS_MAX = 16;
/** Registries that are met over the web at the same time, each asked for its head beside the others; the operator's come first. */
export const WEB_PEERS_MAX = 128;
/** Dials in a row that fail before the web is tried. */
export const DIAL_FAILURES_BEFORE_WEB = 2;

interface Due {
  readonly member: Member;
  readonly peer: WebPeer;
  /** Monotonic time since which it waits. */
  readonly sinceMs: number;
}

export interface WebContactsParts {
  /** Who we are; `undefined` before we know it ourselves. */
  readonly introduction: () => Introduction | undefined;
  readonly received: (member: Member, hello: Hello) => void;
  readonly introduced: (introduction: Introduction) => void;
  readonly head: (head: SignedHead) => void;
}

/**
 * Meets the members whose libp2p addresses lead nowhere over their web faces: announces us, and waits for news of them. Dials go
 * on beside it, and win as soon as one succeeds. Announcements wait in one line, the operator's own in front, and who is slow is
 * told less often; each member's head is asked for beside all others: so registries that stall keep nobody waiting (T49).
 */
export class WebContacts extends MembershipPart {
  readonly #parts: WebContactsParts;
  /** By how much the wait for the next announcement is stretched. */
  readonly #slowness = new WeakMap<Member, number>();
  /** Members whose heads are being asked for. */
  readonly #polling = new WeakSet<Member>();
  readonly #announcements = { named: 0, others: 0 };
  #reported: ReadonlyMap<string, WebPeer> = new Map();

  constructor(options: MembershipOptions, tasks: Tasks, members: MemberTable, parts: WebContactsParts) {
    super(options, tasks, members);
    this.#parts = parts;
  }

  /** Does what is due. */
  tick(): void {
    const { web, clock } = this.options;
    if (web === undefined) return;
    const nowMs = clock.monotonic();
    const all = this.members.all();
    for (const member of all) this.#settle(member);
    this.report();
    for (const member of all) if (member.web.pollAtMs <= nowMs) this.#poll(web, member);
    let room = WEB_PEERS_MAX - all.filter((member) => member.web.peer !== undefined).length;
    const due = all.map((member) => this.#due(member, nowMs)).filter((one) => one !== undefined);
    due.sort((a, b) => Number(b.member.configured) - Number(a.member.configured) || a.sinceMs - b.sinceMs);
    for (const { member, peer } of due) {
      if (this.#announcements[laneOf(member)] >= WEB_ANNOUNCEMENTS_MAX) continue;
      if (member.web.peer === undefined && --room < 0) continue;
      this.#announce(web, member, peer);
    }
  }

  /** Tells who is met over the web, if that has changed. */
  report(): void {
    const peers = new Map<string, WebPeer>();
    for (const { did, web } of this.members.all()) if (web.peer !== undefined) peers.set(did, web.peer);
    const before = this.#reported;
    if (peers.size === before.size && [...peers].every(([did, peer]) => before.get(did) === peer)) return;
    this.#reported = peers;
    this.options.event({ type: "web", peers });
  }

  #due(member: Member, nowMs: number): Due | undefined {
    const { web: contact } = member;
    if (member.connected || contact.busy || contact.announceAtMs > nowMs) return undefined;
    if (contact.peer === undefined && !isOutOfReach(member)) return undefined;
    const targets = targetsOf(member);
    const peer = contact.peer ?? targets[contact.failures % targets.length];
    if (peer === undefined) return undefined;
    // What is due at once is so from now: newcomers do not overtake who waits already.
    if (contact.announceAtMs === Number.NEGATIVE_INFINITY) contact.announceAtMs = nowMs;
    return { member, peer, sinceMs: contact.announceAtMs };
  }

  /** libp2p wins; and what the newest descriptor says of URL and bundle counts. */
  #settle(member: Member): void {
    const { peer } = member.web;
    if (peer === undefined) return;
    if (member.connected) return void (member.web.peer = undefined);
    const targets = targetsOf(member);
    const now = targets.find(({ url, named }) => url === peer.url && named === peer.named) ?? targets[0];
    if (now === undefined) member.web.peer = undefined;
    else if (now.url !== peer.url || now.named !== peer.named || now.bundle !== peer.bundle) member.web.peer = now;
  }

  #announce(web: Web, member: Member, peer: WebPeer): void {
    const mine = this.#parts.introduction();
    if (mine === undefined) return;
    const { clock, log } = this.options;
    const startedMs = clock.monotonic();
    const lane = laneOf(member);
    member.web.busy = true;
    this.#announcements[lane] += 1;
    this.#request(
      member,
      WEB_TIMEOUT_MS,
      (signal) => announced(web, peer, mine, signal),
      () => {
        member.web.busy = false;
        this.#announcements[lane] -= 1;
        this.#noteTime(member, clock.monotonic() - startedMs);
      },
      (outcome) => {
        const { web: contact } = member;
        const nowMs = clock.monotonic();
        if ("hello" in outcome) {
          contact.announceAtMs = this.#soon(WEB_ANNOUNCE_MS * this.#factor(member));
          if (contact.peer === undefined) contact.pollAtMs = nowMs;
          Object.assign(contact, { peer: contact.peer ?? peer, failures: 0, problem: undefined });
          noteRtt(member, nowMs - startedMs);
          this.#parts.received(member, outcome.hello);
          this.#settle(member);
          this.report();
          if (contact.pollAtMs <= nowMs) this.#poll(web, member);
          return;
        }
        if ("introduction" in outcome) this.#parts.introduced(outcome.introduction);
        const { error } = outcome;
        if (error instanceof WebError && error.code === "throttled") {
          contact.announceAtMs = nowMs + Math.max(error.retryAfterMs, RETRY_MS_MIN);
          return;
        }
        log.debug("a registry could not be met over the web", { did: member.did, url: peer.url, error });
        const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** contact.failures) * this.#factor(member);
        contact.failures += 1;
        contact.problem = error;
        contact.announceAtMs = nowMs + waitMs * (0.5 + this.options.random.unit());
        contact.peer = undefined;
        this.report();
      },
    );
  }

  /** Asks for the newest head, and to be answered when there is another than the one that we know. */
  #poll(web: Web, member: Member): void {
    const { peer } = member.web;
    if (peer === undefined || member.connected || this.#polling.has(member)) return;
    const { clock, log } = this.options;
    const startedMs = clock.monotonic();
    const known = newestOf(member);
    const wait = known && { epoch: known.epoch, size: known.size, seconds: WAIT_SECONDS_MAX };
    this.#polling.add(member);
    this.#request(
      member,
      WEB_TIMEOUT_MS + (wait?.seconds ?? 0) * 1_000,
      async (signal) => ({ head: await web.head(peer, { signal, ...(wait && { wait }) }) }),
      () => void this.#polling.delete(member),
      (outcome) => {
        const { web: contact } = member;
        const nowMs = clock.monotonic();
        const wasHeld = nowMs - startedMs >= WEB_HELD_MS_MIN;
        const soonMs = Math.max(nowMs + WEB_PAUSE_MS, startedMs + WEB_CYCLE_MS);
        if ("head" in outcome) {
          member.seenAtMs = nowMs;
          if (outcome.head !== undefined) this.#parts.head(outcome.head);
          const newest = newestOf(member);
          const isNews = newest?.epoch !== known?.epoch || newest?.size !== known?.size;
          return this.#pollAt(web, member, isNews || wasHeld ? soonMs : this.#soon(WEB_POLL_MS));
        }
        const { error } = outcome;
        if (error instanceof WebError && error.code === "throttled") {
          const patienceMs = Math.max(error.retryAfterMs, WEB_CYCLE_MS);
          return this.#pollAt(web, member, nowMs + patienceMs * (1 + WEB_JITTER * this.options.random.unit()));
        }
        contact.pollAtMs = this.#soon(WEB_POLL_MS);
        log.debug("the newest head of a registry could not be had over the web", { did: member.did, error });
        // That a wait was cut short, as by a renewed certificate or by something in between, says little.
        if (wasHeld && error instanceof WebError && error.code === "unreachable") return this.#pollAt(web, member, soonMs);
        // Whether it is still there is told by the next announcement, which need not wait.
        contact.announceAtMs = Number.NEGATIVE_INFINITY;
      },
    );
  }

  /** At that monotonic time and not with the next tick, which may be half of a second later. */
  #pollAt(web: Web, member: Member, atMs: number): void {
    const contact = member.web;
    contact.pollAtMs = atMs;
    this.tasks.later(Math.max(0, atMs - this.options.clock.monotonic()), () => {
      if (contact.pollAtMs === atMs && this.members.get(member.did) === member) this.#poll(web, member);
    });
  }

  /** @param ended called in any case; `then` not for a member that left or is connected meanwhile */
  #request<T extends object>(
    member: Member,
    timeoutMs: number,
    run: (signal: AbortSignal) => Promise<T>,
    ended: () => void,
    then: (outcome: T | { readonly error: Error }) => void,
  ): void {
    const { clock } = this.options;
    this.tasks.task(
      async (signal) => {
        using deadline = new AbortAfter(clock, timeoutMs, signal);
        // Awaited here: the deadline ends with this block.
        return await run(deadline.signal);
      },
      (outcome) => {
        ended();
        if (this.members.get(member.did) !== member || member.connected) return;
        then(outcome.ok ? outcome.value : { error: outcome.error });
      },
    );
  }

  #noteTime(member: Member, tookMs: number): void {
    const slowness = this.#slowness.get(member) ?? 1;
    this.#slowness.set(member, tookMs >= WEB_SLOW_MS ? Math.min(SLOWNESS_MAX, slowness * 2) : Math.max(1, slowness / 2));
  }

  /** The operator's own are told as often however slow they are. */
  #factor(member: Member): number {
    return member.configured ? 1 : (this.#slowness.get(member) ?? 1);
  }

  #soon(periodMs: number): number {
    const { clock, random } = this.options;
    return clock.monotonic() + periodMs * (1 + WEB_JITTER * (2 * random.unit() - 1));
  }
}

/** The newest version that it has shown, also of an epoch that its descriptor does not name yet. */
function newestOf({ early, checkpoint }: Member): Checkpoint | undefined {
  return early === undefined ? checkpoint : openCheckpoint(early.note);
}

type Announced =
  | { readonly hello: Hello }
  /** We held an old trust bundle; this is what the registry says of itself now. */
  | { readonly introduction: Introduction; readonly error: Error };

async function announced(web: Web, peer: WebPeer, mine: Introduction, signal: AbortSignal): Promise<Announced> {
  try {
    return { hello: await web.announce(peer, mine, { signal }) };
  } catch (error) {
    if (!(error instanceof WebError) || error.code !== "wrong_identity") throw error;
    return { introduction: await web.introduction(peer, { signal }), error };
  }
}

function laneOf({ configured }: Member): "named" | "others" {
  return configured ? "named" : "others";
}

/** Whether libp2p does not lead there, as far as we have tried. */
function isOutOfReach(member: Member): boolean {
  return member.dialFailures >= DIAL_FAILURES_BEFORE_WEB || addressesOf(member).length === 0;
}

/** Where its web face is said to be: by the operator first. */
function targetsOf({ did, urls, descriptor }: Member): WebPeer[] {
  const bundle = descriptor?.bundle;
  if (bundle === undefined) return [];
  const said = (descriptor?.facade?.urls ?? []).filter((url) => !urls.includes(url));
  return [...urls.map((url) => ({ did, bundle, url, named: true })), ...said.map((url) => ({ did, bundle, url, named: false }))];
}
