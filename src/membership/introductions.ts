import { openDescriptor } from "../../protocols/descriptor/codec.ts";
import { AbortAfter } from "../ports/abort-after.ts";
import { NodeError, type ContactProblem, type NodeErrorCode, type PeerContact } from "../api.ts";
import type { Introduction } from "../../protocols/http/introduction-documents.ts";
import { WebError, type Web } from "../ports/web.ts";
import { contactProblem, isPassing, problemOf } from "./contact-problem.ts";
import type { MembershipOptions } from "./options.ts";
import { MembershipPart } from "./part.ts";
import { parsePeerUrl, type PeerUrl } from "./peer-url.ts";
import { isMet, REDIAL_MS_MAX, REDIAL_MS_MIN, type MemberTable } from "./table.ts";
import type { Tasks } from "./tasks.ts";

/** URLs that the operator may name. */
export const PEER_URLS_MAX = 512;
/** Introductions under way at the same time. */
const INTRODUCTIONS_MAX = 8;
export const INTRODUCTION_TIMEOUT_MS = 10_000;
/** An operator who adds a URL waits so long for what comes of it. */
export const ADD_TIMEOUT_MS = 5_000;
/** A named URL is asked again this often (± half) while its registry is not met: it may have moved, or changed its certificates. */
export const REINTRODUCE_MS = 60_000;

/** A URL that the operator named, and what became of it. */
export interface NamedUrl extends PeerUrl {
  /** As it was given. */
  readonly address: string;
  /** Our monotonic time. */
  readonly namedAtMs: number;
  /** The registry that answered there; the pin before that. */
  did: string | undefined;
  forgotten: boolean;
  busy: boolean;
  failures: number;
  /** When it is asked next, in our monotonic time: ∞ for never. */
  atMs: number;
  /** Wall clock of the newest attempt's end. */
  attemptedAtMs: number | undefined;
  problem: ContactProblem | undefined;
}

export interface IntroductionsParts {
  /** The registry is the operator's wish from now on. @throws NodeError `overloaded`, `refused` */
  readonly configure: (did: string, named: NamedUrl) => void;
  /** Takes the descriptor and head. */
  readonly introduced: (introduction: Introduction) => void;
}

/** Learns who answers at the URLs that the operator named, and tells the rest of membership of them. */
export class Introductions extends MembershipPart {
  readonly #parts: IntroductionsParts;
  readonly #named = new Map<string, NamedUrl>();

  constructor(options: MembershipOptions, tasks: Tasks, members: MemberTable, parts: IntroductionsParts) {
    super(options, tasks, members);
    this.#parts = parts;
  }

  /** A URL of the settings, or of an earlier run. @throws NodeError `invalid`, `overloaded`, `refused` */
  name(address: string): void {
    const named = this.#parse(address);
    const refusal = this.#refusal(named);
    if (refusal?.code === "own_address" || refusal?.code === "full") throw nodeError(named, refusal);
    if (named.pin !== undefined) this.#parts.configure(named.pin, named);
    this.#named.set(named.url, named);
    if (refusal === undefined) return;
    Object.assign(named, { problem: refusal, atMs: Number.POSITIVE_INFINITY });
    throw nodeError(named, refusal);
  }

  /**
   * A URL that the operator adds now: it is asked at once, so that a mistake shows. It is taken also when nobody answers, but
   * not when somebody else does.
   * @param done in the actor's turn: what was taken, and instead of which address of the same URL; or NodeError `invalid`,
   *   `overloaded`, `refused`
   */
  add(address: string, done: (outcome: { readonly named: NamedUrl; readonly replaced?: string } | NodeError) => void): void {
    try {
      const named = this.#parse(address);
      const refusal = this.#refusal(named);
      if (refusal !== undefined) return done(nodeError(named, refusal));
      this.#ask(named, ADD_TIMEOUT_MS, (problem) => {
        if (problem !== undefined && !isPassing(problem)) return done(nodeError(named, problem));
        const full = named.did === undefined ? undefined : this.#configure(named.did, named);
        if (full !== undefined) return done(nodeError(named, full));
        const before = this.#named.get(named.url);
        if (before !== undefined) before.forgotten = true;
        this.#named.set(named.url, named);
        done({ named, ...(before !== undefined && before.address !== address && { replaced: before.address }) });
      });
    } catch (error) {
      if (!(error instanceof NodeError)) throw error;
      done(error);
    }
  }

  /** Asks those who are due. */
  tick(): void {
    const nowMs = this.options.clock.monotonic();
    let room = INTRODUCTIONS_MAX - [...this.#named.values()].filter(({ busy }) => busy).length;
    for (const named of this.#named.values()) {
      if (room <= 0) return;
      if (named.busy || named.atMs > nowMs || this.#isMet(named.did)) continue;
      room -= 1;
      const before = named.problem;
      this.#ask(named, INTRODUCTION_TIMEOUT_MS, (problem) => {
        if (problem === undefined) return;
        const { log } = this.options;
        const fields = { url: named.url, reason: problem.reason, fix: problem.fix };
        if (isPassing(problem)) return log.debug("a named registry could not be reached", fields);
        // It is asked again and again: said once.
        if (problem.reason !== before?.reason) log.warn("a named registry is left out", fields);
      });
    }
  }

  /** What came of every URL. */
  contacts(): PeerContact[] {
    const { clock } = this.options;
    const iso = (ms: number): string => new Date(ms).toISOString();
    return [...this.#named.values()].map((named) => {
      const { url, pin, did, attemptedAtMs, busy, atMs } = named;
      const isMet = this.#isMet(did);
      // Met in another way since; but a pin that names somebody else is still wrong.
      const problem = isMet && named.problem?.code !== "wrong_pin" ? undefined : (named.problem ?? this.#announcing(named));
      const isAsked = !busy && !isMet && atMs !== Number.POSITIVE_INFINITY;
      return {
        ...{ address: url, pin: pin ?? null, did: did ?? null, problem: problem ?? null },
        state: stateOf(problem, isMet || attemptedAtMs !== undefined),
        lastAttempt: attemptedAtMs === undefined ? null : iso(attemptedAtMs),
        nextAttempt: isAsked ? iso(clock.now() + Math.max(0, atMs - clock.monotonic())) : null,
      };
    });
  }

  /** Forgets the URLs of a registry, or one URL. Gives what was forgotten. */
  forget(matches: (named: NamedUrl) => boolean): NamedUrl[] {
    const forgotten = [...this.#named.values()].filter(matches);
    for (const named of forgotten) {
      named.forgotten = true;
      this.#named.delete(named.url);
    }
    return forgotten;
  }

  /** @throws NodeError `invalid` */
  #parse(address: string): NamedUrl {
    const { url, pin } = parsePeerUrl(address);
    return {
      ...{ url, pin, address, namedAtMs: this.options.clock.monotonic(), did: pin, forgotten: false, busy: false, failures: 0 },
      ...{ atMs: Number.NEGATIVE_INFINITY, attemptedAtMs: undefined, problem: undefined },
    };
  }

  /** What keeps a URL from being asked at all. */
  #refusal({ url, pin }: NamedUrl): ContactProblem | undefined {
    if (pin === this.options.identity.did) return ownAddress(url);
    if (this.#named.size >= PEER_URLS_MAX && !this.#named.has(url))
      return contactProblem("full", `${PEER_URLS_MAX} URLs are named already`, "remove one");
    if (this.options.web !== undefined) return undefined;
    const fix = "start it with the HTTPS interface (--http), or give a multiaddr";
    return contactProblem("no_https", "it is a URL, and this registry has no web client", fix);
  }

  #ask(named: NamedUrl, timeoutMs: number, then: (problem: ContactProblem | undefined) => void): void {
    const { clock, random } = this.options;
    const web = this.options.web as Web;
    named.busy = true;
    this.tasks.task(
      async (signal) => {
        using deadline = new AbortAfter(clock, timeoutMs, signal);
        const introduction = await web.introduction({ url: named.url, named: true }, { signal: deadline.signal });
        return { introduction, did: openDescriptor(introduction.descriptor, clock.now()).did };
      },
      (outcome) => {
        named.busy = false;
        named.attemptedAtMs = clock.now();
        const problem = outcome.ok ? this.#answered(named, outcome.value) : problemOf(named.url, outcome.error);
        named.problem = problem;
        const waitMs = problem === undefined ? REINTRODUCE_MS : Math.min(REDIAL_MS_MAX, REDIAL_MS_MIN * 2 ** named.failures);
        named.failures = problem === undefined ? 0 : named.failures + 1;
        named.atMs = clock.monotonic() + waitMs * (0.5 + random.unit());
        then(problem);
      },
    );
  }

  #answered(named: NamedUrl, answer: { introduction: Introduction; did: string }): ContactProblem | undefined {
    const { url, pin } = named;
    const { introduction, did } = answer;
    if (did === this.options.identity.did) {
      // Lists of peers that name everybody, us as well, are convenient to hand out.
      this.#named.delete(url);
      return ownAddress(url);
    }
    if (pin !== undefined && pin !== did) {
      const fix = "correct the pin, or find out who answers there";
      return contactProblem("wrong_pin", `who answers there is ${did}, but its pin is ${pin}`, fix);
    }
    // Forgotten while it was asked.
    if (named.forgotten) return undefined;
    const problem = this.#configure(did, named);
    if (problem !== undefined) return problem;
    named.did = did;
    this.#parts.introduced(introduction);
    return undefined;
  }

  #configure(did: string, named: NamedUrl): ContactProblem | undefined {
    try {
      this.#parts.configure(did, named);
      return undefined;
    } catch (error) {
      if (!(error instanceof NodeError)) throw error;
      const isRemoved = error.code === "refused";
      return isRemoved
        ? contactProblem("removed", error.message, "add it again to take it back, or take it out of the settings")
        : contactProblem("full", error.message, "remove a peer that is no longer wanted, or raise FEDERATION_REGISTRIES_MAX");
    }
  }

  /** Who it is was said; then it did not take who we are. */
  #announcing({ url, did }: NamedUrl): ContactProblem | undefined {
    const error = did === undefined ? undefined : this.members.get(did)?.web.problem;
    if (error === undefined) return undefined;
    if (!(error instanceof WebError) || error.code !== "refused") return problemOf(url, error);
    return contactProblem("refused_by_peer", error.message, "ask its operator, who may have removed this registry there");
  }

  #isMet(did: string | undefined): boolean {
    const member = did === undefined ? undefined : this.members.get(did);
    return member !== undefined && isMet(member);
  }
}

function stateOf(problem: ContactProblem | undefined, isAnswered: boolean): PeerContact["state"] {
  if (problem === undefined) return isAnswered ? "met" : "waiting";
  return isPassing(problem) ? "unreachable" : "refused";
}

function ownAddress(url: string): ContactProblem {
  return contactProblem("own_address", `${url} is our own address`, "name another registry");
}

const CODES: Readonly<Partial<Record<ContactProblem["code"], NodeErrorCode>>> = {
  ...{ own_address: "invalid", no_https: "invalid", full: "overloaded" },
};

function nodeError({ url }: NamedUrl, { code, reason, fix }: ContactProblem): NodeError {
  const text = reason.includes(url) ? reason : `${url}: ${reason}`;
  return new NodeError(CODES[code] ?? "refused", `${text}; ${fix}`);
}
