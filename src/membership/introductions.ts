import { openDescriptor } from "../../protocols/descriptor/codec.ts";
import { AbortAfter } from "../ports/abort-after.ts";
import { NodeError } from "../api.ts";
import type { Introduction } from "../../protocols/http/introduction-documents.ts";
import { WebError, type Web } from "../ports/web.ts";
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
  atMs: number;
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
    if (named.pin !== undefined) this.#parts.configure(named.pin, named);
    this.#named.set(named.url, named);
  }

  /**
   * A URL that the operator adds now: it is asked at once, so that a mistake shows. With a pin it is taken also when nobody
   * answers.
   * @param done in the actor's turn: the DID, or NodeError `invalid`, `overloaded`, `refused`, `unreachable`
   */
  add(address: string, done: (outcome: string | NodeError) => void): void {
    try {
      const named = this.#parse(address);
      this.#ask(named, (error) => {
        const isTaken = error === undefined || (error.code === "unreachable" && named.pin !== undefined);
        if (!isTaken || named.did === undefined)
          return done(error ?? new NodeError("unreachable", `${named.url} did not answer`));
        const refusal = error === undefined ? undefined : this.#configure(named.did, named);
        if (refusal !== undefined) return done(refusal);
        this.#named.set(named.url, named);
        done(named.did);
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
      this.#ask(named, (error) => {
        if (error === undefined) return;
        const { log } = this.options;
        if (error.code === "unreachable") return log.debug("a named registry could not be reached", { url: named.url, error });
        log.warn("a named registry is left out", { url: named.url, error });
      });
    }
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

  #parse(address: string): NamedUrl {
    const { url, pin } = parsePeerUrl(address);
    const { web, identity, clock } = this.options;
    if (web === undefined)
      throw new NodeError("invalid", `"${address}" is a URL, and this registry has no web client: give a multiaddr`);
    if (pin === identity.did) throw ownAddress(url);
    if (this.#named.size >= PEER_URLS_MAX && !this.#named.has(url))
      throw new NodeError("overloaded", `${PEER_URLS_MAX} URLs are named already: remove one`);
    const namedAtMs = clock.monotonic();
    return { url, pin, address, namedAtMs, did: pin, forgotten: false, busy: false, failures: 0, atMs: Number.NEGATIVE_INFINITY };
  }

  #ask(named: NamedUrl, then: (error: NodeError | undefined) => void): void {
    const { clock, random } = this.options;
    const web = this.options.web as Web;
    named.busy = true;
    this.tasks.task(
      async (signal) => {
        using deadline = new AbortAfter(clock, INTRODUCTION_TIMEOUT_MS, signal);
        const introduction = await web.introduction({ url: named.url, named: true }, { signal: deadline.signal });
        return { introduction, did: openDescriptor(introduction.descriptor, clock.now()).did };
      },
      (outcome) => {
        named.busy = false;
        const error = outcome.ok ? this.#answered(named, outcome.value) : refusalOf(named, outcome.error);
        const waitMs = error === undefined ? REINTRODUCE_MS : Math.min(REDIAL_MS_MAX, REDIAL_MS_MIN * 2 ** named.failures);
        named.failures = error === undefined ? 0 : named.failures + 1;
        named.atMs = clock.monotonic() + waitMs * (0.5 + random.unit());
        then(error);
      },
    );
  }

  #answered(named: NamedUrl, answer: { introduction: Introduction; did: string }): NodeError | undefined {
    const { url, pin } = named;
    const { introduction, did } = answer;
    if (did === this.options.identity.did) {
      // Lists of peers that name everybody, us as well, are convenient to hand out.
      this.#named.delete(url);
      return ownAddress(url);
    }
    if (pin !== undefined && pin !== did) {
      return new NodeError("invalid", `${url} is ${did}, but its pin is ${pin}: correct the pin, or find out who answers there`);
    }
    // Forgotten while it was asked.
    if (named.forgotten) return undefined;
    const refusal = this.#configure(did, named);
    if (refusal !== undefined) return refusal;
    named.did = did;
    this.#parts.introduced(introduction);
    return undefined;
  }

  #configure(did: string, named: NamedUrl): NodeError | undefined {
    try {
      this.#parts.configure(did, named);
      return undefined;
    } catch (error) {
      if (error instanceof NodeError) return error;
      throw error;
    }
  }

  #isMet(did: string | undefined): boolean {
    const member = did === undefined ? undefined : this.members.get(did);
    return member !== undefined && isMet(member);
  }
}

const PASSING = new Set(["unreachable", "timeout", "throttled"]);

function refusalOf({ url }: NamedUrl, error: Error): NodeError {
  const passing = error instanceof WebError && PASSING.has(error.code);
  const message = `${url} could not be asked who it is: ${error.message}`;
  return new NodeError(passing ? "unreachable" : "invalid", message, { cause: error });
}

function ownAddress(url: string): NodeError {
  return new NodeError("invalid", `${url} is our own address: name another registry`);
}
