import type { Hello } from "../../protocols/announce/hello.ts";
import type { SignedHead } from "../../protocols/checkpoint/head.ts";
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
/** Its newest head is asked for this often, ± WEB_JITTER. */
export const WEB_POLL_MS = 5_000;
const WEB_JITTER = 0.2;
/** Failed announcements wait this long, doubling up to the bound, ± half. */
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 60_000;
/** Time for one request. */
export const WEB_TIMEOUT_MS = 10_000;
/** A request that takes so long doubles the waits for the next of its kind, up to the bound; a faster one halves them. */
const WEB_SLOW_MS = 1_000;
const SLOWNESS_MAX = 8;
/** Requests under way at the same time. */
export const WEB_REQUESTS_MAX = 16;
/** Registries that are met over the web at the same time; the operator's come first. */
export const WEB_PEERS_MAX = 128;
/** Dials in a row that fail before the web is tried. */
export const DIAL_FAILURES_BEFORE_WEB = 2;

/** Told apart, so that quick answers to the one do not pay for slow answers to the other. */
type Kind = "announce" | "poll";

interface Due {
  readonly member: Member;
  readonly kind: Kind;
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
 * Meets the members whose libp2p addresses lead nowhere over their web faces: announces us, and asks for their newest heads.
 * Dials go on beside it, and win as soon as one succeeds. What is due waits in one line, the operator's own in front, and who is
 * slow is asked less often, so that registries that stall cannot keep the others from being asked (T49).
 */
export class WebContacts extends MembershipPart {
  readonly #parts: WebContactsParts;
  readonly #slowness = new WeakMap<Member, Record<Kind, number>>();
  #requests = 0;
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
    let room = WEB_PEERS_MAX - all.filter((member) => member.web.peer !== undefined).length;
    const due = all.map((member) => this.#due(member, nowMs)).filter((one) => one !== undefined);
    due.sort((a, b) => Number(b.member.configured) - Number(a.member.configured) || a.sinceMs - b.sinceMs);
    for (const { member, kind, peer } of due) {
      if (this.#requests >= WEB_REQUESTS_MAX) return;
      if (kind === "poll") {
        this.#poll(web, member, peer);
        continue;
      }
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
    if (member.connected || contact.busy) return undefined;
    if (contact.announceAtMs <= nowMs && (contact.peer !== undefined || isOutOfReach(member))) {
      const targets = targetsOf(member);
      const peer = contact.peer ?? targets[contact.failures % targets.length];
      if (peer !== undefined) {
        // What is due at once is so from now: newcomers do not overtake who waits already.
        if (contact.announceAtMs === Number.NEGATIVE_INFINITY) contact.announceAtMs = nowMs;
        return { member, kind: "announce", peer, sinceMs: contact.announceAtMs };
      }
    }
    if (contact.peer === undefined || contact.pollAtMs > nowMs) return undefined;
    return { member, kind: "poll", peer: contact.peer, sinceMs: contact.pollAtMs };
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
    this.#request(
      member,
      "announce",
      (signal) => announced(web, peer, mine, signal),
      (outcome) => {
        const { web: contact } = member;
        const nowMs = clock.monotonic();
        if ("hello" in outcome) {
          Object.assign(contact, {
            announceAtMs: this.#soon(member, "announce", WEB_ANNOUNCE_MS),
            // Announcements may come more often than polls of who is slow, and must not put these off.
            pollAtMs: Math.min(contact.peer === undefined ? Infinity : contact.pollAtMs, this.#soon(member, "poll", WEB_POLL_MS)),
          });
          Object.assign(contact, { peer: contact.peer ?? peer, failures: 0 });
          noteRtt(member, nowMs - startedMs);
          this.#parts.received(member, outcome.hello);
          this.#settle(member);
          return this.report();
        }
        if ("introduction" in outcome) this.#parts.introduced(outcome.introduction);
        const { error } = outcome;
        if (error instanceof WebError && error.code === "throttled") {
          contact.announceAtMs = nowMs + Math.max(error.retryAfterMs, RETRY_MS_MIN);
          return;
        }
        log.debug("a registry could not be met over the web", { did: member.did, url: peer.url, error });
        const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** contact.failures) * this.#factor(member, "announce");
        contact.failures += 1;
        contact.announceAtMs = nowMs + waitMs * (0.5 + this.options.random.unit());
        contact.peer = undefined;
        this.report();
      },
    );
  }

  #poll(web: Web, member: Member, peer: WebPeer): void {
    const { clock, log } = this.options;
    this.#request(
      member,
      "poll",
      async (signal) => ({ head: await web.head(peer, { signal }) }),
      (outcome) => {
        const { web: contact } = member;
        contact.pollAtMs = this.#soon(member, "poll", WEB_POLL_MS);
        if ("head" in outcome) {
          member.seenAtMs = clock.monotonic();
          if (outcome.head !== undefined) this.#parts.head(outcome.head);
          return;
        }
        const { error } = outcome;
        if (error instanceof WebError && error.code === "throttled") {
          contact.pollAtMs = Math.max(contact.pollAtMs, clock.monotonic() + error.retryAfterMs);
          return;
        }
        log.debug("the newest head of a registry could not be had over the web", { did: member.did, error });
        // Whether it is still there is told by the next announcement, which need not wait.
        contact.announceAtMs = Number.NEGATIVE_INFINITY;
      },
    );
  }

  /** One request at a time for each member, a bounded number in all. What comes for a member that left is dropped. */
  #request<T extends object>(
    member: Member,
    kind: Kind,
    run: (signal: AbortSignal) => Promise<T>,
    then: (outcome: T | { readonly error: Error }) => void,
  ): void {
    const { clock } = this.options;
    const startedMs = clock.monotonic();
    member.web.busy = true;
    this.#requests += 1;
    this.tasks.task(
      async (signal) => {
        using deadline = new AbortAfter(clock, WEB_TIMEOUT_MS, signal);
        // Awaited here: the deadline ends with this block.
        return await run(deadline.signal);
      },
      (outcome) => {
        member.web.busy = false;
        this.#requests -= 1;
        this.#noteTime(member, kind, clock.monotonic() - startedMs);
        if (this.members.get(member.did) !== member || member.connected) return;
        then(outcome.ok ? outcome.value : { error: outcome.error });
      },
    );
  }

  #noteTime(member: Member, kind: Kind, tookMs: number): void {
    const slowness = this.#slowness.get(member) ?? { announce: 1, poll: 1 };
    slowness[kind] = tookMs >= WEB_SLOW_MS ? Math.min(SLOWNESS_MAX, slowness[kind] * 2) : Math.max(1, slowness[kind] / 2);
    this.#slowness.set(member, slowness);
  }

  /** The operator's own are asked as often however slow they are. */
  #factor(member: Member, kind: Kind): number {
    return member.configured ? 1 : (this.#slowness.get(member)?.[kind] ?? 1);
  }

  #soon(member: Member, kind: Kind, periodMs: number): number {
    const { clock, random } = this.options;
    return clock.monotonic() + periodMs * this.#factor(member, kind) * (1 + WEB_JITTER * (2 * random.unit() - 1));
  }
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
