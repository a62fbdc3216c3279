import { promises as dns, type LookupAddress } from "node:dns";
import { AbortAfter } from "../../ports/abort-after.ts";
import type { Clock } from "../../ports/clock.ts";
import { NetworkError } from "../../ports/network.ts";

/** Names looked up at the same time: what the network's resolver is asked at the bidding of strangers stays small. */
export const GIVEN_LOOKUPS_MAX = 8;
/** Of these, names that were not answered in time before: there is always room for the others (T49). */
const SLOW_LOOKUPS_MAX = 2;
/** Names that wait for their turn; further ones are refused. */
export const GIVEN_LOOKUPS_WAITING_MAX = 256;
/** Time for one name, once it has its turn. */
const GIVEN_LOOKUP_MS_MAX = 2_000;
/** Names remembered for not having been answered in time; the oldest leaves first. */
const SLOW_NAMES_MAX = 1_024;
/** Addresses taken of one name, of each family. */
const ADDRESSES_PER_FAMILY_MAX = 4;

/** One try and one repetition fit into the whole time. */
const QUERY_MS_MAX = 900;
const QUERY_TRIES = 2;

/** RFC 6761 section 6.3: such a name is this machine, and no resolver is asked for it. */
const LOCALHOST = /^(?:.+\.)?localhost\.?$/i;
const LOOPBACK: readonly LookupAddress[] = [
  { address: "127.0.0.1", family: 4 },
  { address: "::1", family: 6 },
];

export interface GivenNamesOptions {
  readonly clock: Clock;
  /** DNS servers, `<address>[:<port>]`; the system's by default. */
  readonly servers?: readonly string[];
}

interface Waiting {
  readonly host: string;
  readonly start: () => void;
}

/**
 * Looks up names that strangers gave, in DNS alone: a name that only this machine knows (hosts file, mDNS) is for its operator to
 * use. The resolver is not the system's, whose few threads are shared by the whole process and cannot be called back from a
 * name whose servers never answer; so those names hold up nobody but one another, and not for long.
 */
export class GivenNames {
  readonly #options: GivenNamesOptions;
  readonly #waiting: Waiting[] = [];
  readonly #slow = new Set<string>();
  #running = 0;
  #slowRunning = 0;

  constructor(options: GivenNamesOptions) {
    this.#options = options;
  }

  /** @throws NetworkError `timeout`; the resolver's error (`ENOTFOUND`, …); the signal's reason */
  async lookup(host: string, signal: AbortSignal): Promise<readonly LookupAddress[]> {
    if (LOCALHOST.test(host)) return LOOPBACK;
    const isSlow = await this.#turn(host, signal);
    try {
      return await this.#ask(host, signal);
    } finally {
      this.#running -= 1;
      if (isSlow) this.#slowRunning -= 1;
      this.#next();
    }
  }

  /** Waits for a free place, and takes it. @returns whether it is one of those for slow names */
  async #turn(host: string, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    if (this.#waiting.length >= GIVEN_LOOKUPS_WAITING_MAX)
      throw new NetworkError(
        "timeout",
        `${GIVEN_LOOKUPS_WAITING_MAX} names wait to be looked up already; it is tried again later`,
      );
    const turn = Promise.withResolvers<boolean>();
    const one: Waiting = { host, start: () => turn.resolve(this.#take(host)) };
    const giveUp = (): void => {
      const at = this.#waiting.indexOf(one);
      if (at < 0) return;
      this.#waiting.splice(at, 1);
      turn.reject(signal.reason as Error);
    };
    this.#waiting.push(one);
    signal.addEventListener("abort", giveUp, { once: true });
    this.#next();
    try {
      return await turn.promise;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }

  /** Gives the free places to who waits longest, as far as its kind has room. */
  #next(): void {
    while (this.#running < GIVEN_LOOKUPS_MAX) {
      const hasSlowRoom = this.#slowRunning < SLOW_LOOKUPS_MAX;
      const at = this.#waiting.findIndex(({ host }) => hasSlowRoom || !this.#slow.has(host));
      const [one] = at < 0 ? [] : this.#waiting.splice(at, 1);
      if (one === undefined) return;
      one.start();
    }
  }

  #take(host: string): boolean {
    const isSlow = this.#slow.has(host);
    this.#running += 1;
    if (isSlow) this.#slowRunning += 1;
    return isSlow;
  }

  async #ask(host: string, signal: AbortSignal): Promise<readonly LookupAddress[]> {
    const { clock, servers } = this.#options;
    // One for each name, since cancelling ends all that a resolver was asked.
    const resolver = new dns.Resolver({ timeout: QUERY_MS_MAX, tries: QUERY_TRIES });
    if (servers !== undefined) resolver.setServers(servers);
    using deadline = new AbortAfter(clock, GIVEN_LOOKUP_MS_MAX, signal);
    const cancel = (): void => resolver.cancel();
    deadline.signal.addEventListener("abort", cancel, { once: true });
    const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    deadline.signal.removeEventListener("abort", cancel);
    const [v4, v6] = answers.map((answer) => (answer.status === "fulfilled" ? answer.value : []));
    const found = [...addresses(v4 ?? [], 4), ...addresses(v6 ?? [], 6)];
    this.#remember(host, found.length === 0 && (deadline.signal.aborted || answers.some(isLate)));
    if (found.length > 0) return found;
    deadline.signal.throwIfAborted();
    throw (answers[0] as PromiseRejectedResult).reason as Error;
  }

  #remember(host: string, isSlow: boolean): void {
    this.#slow.delete(host);
    if (!isSlow) return;
    for (const oldest of this.#slow) {
      if (this.#slow.size < SLOW_NAMES_MAX) break;
      this.#slow.delete(oldest);
    }
    this.#slow.add(host);
  }
}

function addresses(found: readonly string[], family: 4 | 6): LookupAddress[] {
  return found.slice(0, ADDRESSES_PER_FAMILY_MAX).map((address) => ({ address, family }));
}

function isLate(answer: PromiseSettledResult<unknown>): boolean {
  return answer.status === "rejected" && (answer.reason as NodeJS.ErrnoException).code === "ETIMEOUT";
}
