import { pointsBack } from "../../protocols/http/did-document.ts";
import { AbortAfter } from "../ports/abort-after.ts";
import type { Outcome } from "../actors/actor.ts";
import type { AliasView } from "./messages.ts";
import { MembershipPart } from "./part.ts";
import { isMet } from "./table.ts";

/** A domain's DID document is fetched again after this time, ± ALIAS_JITTER. */
export const ALIAS_FRESH_MS = 21_600_000;
const ALIAS_JITTER = 0.2;
/** What could not be fetched, or spoke of somebody else, is tried again after this time, doubling up to ALIAS_FRESH_MS. */
export const ALIAS_RETRY_MS = 60_000;
/** A domain that cannot be reached any more counts as before for this long. */
export const ALIAS_KEPT_MS = 86_400_000;
/** Fetches under way at the same time; at most one begins with each tick. */
export const ALIAS_FETCHES_MAX = 2;
const ALIAS_TIMEOUT_MS = 10_000;

interface Check {
  /** Registries to which the document points. */
  verified: ReadonlySet<string>;
  /** Registries that claimed the domain when it was asked last. */
  asked: ReadonlySet<string>;
  askedAtMs: number;
  /** When it last had a document; −∞ before the first. */
  fetchedAtMs: number;
  atMs: number;
  failures: number;
  busy: boolean;
}

/**
 * Which claimed domains hold: `https://<domain>/.well-known/did.json` must point back. One fetch serves all who claim a domain, and
 * a domain is not asked more often because more claim it: strangers must not make us a nuisance to it.
 */
export class Aliases extends MembershipPart {
  readonly #checks = new Map<string, Check>();
  #fetches = 0;

  view(did: string, domain: string | undefined): AliasView | undefined {
    if (domain === undefined) return undefined;
    return { name: domain, verified: this.#checks.get(domain)?.verified.has(did) === true };
  }

  /** Begins the fetch that is due: ours first, then those of registries that matter. */
  tick(): void {
    if (this.options.fetchDidDocument === undefined) return;
    const claims = this.#claims();
    for (const [domain, { busy }] of this.#checks) if (!busy && !claims.has(domain)) this.#checks.delete(domain);
    if (this.#fetches >= ALIAS_FETCHES_MAX) return;
    const nowMs = this.options.clock.monotonic();
    for (const [domain, dids] of claims) {
      const check = this.#checks.get(domain);
      if (check !== undefined && (check.busy || dueAtMs(check, dids) > nowMs)) continue;
      return this.#fetch(domain, dids, check);
    }
  }

  /** Domain → who claims it. */
  #claims(): Map<string, Set<string>> {
    const { identity, domain } = this.options;
    const claims = new Map<string, Set<string>>(domain === undefined ? [] : [[domain, new Set([identity.did])]]);
    const members = this.members.all().filter(({ descriptor }) => descriptor?.domain !== undefined);
    members.sort((a, b) => Number(b.configured) - Number(a.configured) || Number(isMet(b)) - Number(isMet(a)));
    for (const { did, descriptor } of members) {
      const claimed = descriptor?.domain as string;
      claims.set(claimed, (claims.get(claimed) ?? new Set()).add(did));
    }
    return claims;
  }

  #fetch(domain: string, dids: ReadonlySet<string>, before: Check | undefined): void {
    const { clock, fetchDidDocument } = this.options;
    const check: Check = before ?? {
      ...{ verified: new Set(), asked: new Set(), fetchedAtMs: Number.NEGATIVE_INFINITY },
      askedAtMs: 0,
      ...{ atMs: Number.NEGATIVE_INFINITY, failures: 0, busy: false },
    };
    this.#checks.set(domain, check);
    check.busy = true;
    this.#fetches += 1;
    this.tasks.task(
      async (signal) => {
        using deadline = new AbortAfter(clock, ALIAS_TIMEOUT_MS, signal);
        return await fetchDidDocument?.(domain, { signal: deadline.signal });
      },
      (outcome) => {
        this.#fetches -= 1;
        check.busy = false;
        this.#fetched(check, domain, dids, outcome);
      },
    );
  }

  #fetched(check: Check, domain: string, dids: ReadonlySet<string>, outcome: Outcome<unknown>): void {
    const { clock, random, log } = this.options;
    const nowMs = clock.monotonic();
    check.asked = dids;
    check.askedAtMs = nowMs;
    if (outcome.ok) {
      const { value } = outcome;
      check.fetchedAtMs = nowMs;
      check.verified = new Set([...dids].filter((did) => pointsBack(value, did, domain)));
    } else {
      log.debug("the DID document of a claimed domain could not be had", { domain, error: outcome.error });
      if (nowMs - check.fetchedAtMs > ALIAS_KEPT_MS) check.verified = new Set();
    }
    const good = outcome.ok && check.verified.size > 0;
    const waitMs = good ? ALIAS_FRESH_MS : Math.min(ALIAS_FRESH_MS, ALIAS_RETRY_MS * 2 ** check.failures);
    check.failures = good ? 0 : check.failures + 1;
    check.atMs = nowMs + waitMs * (1 + ALIAS_JITTER * (2 * random.unit() - 1));
  }
}

/** When a domain is asked again: sooner when somebody claims it who did not when it was asked. */
function dueAtMs(check: Check, dids: ReadonlySet<string>): number {
  const isNews = [...dids].some((did) => !check.asked.has(did));
  return isNews ? Math.min(check.atMs, check.askedAtMs + ALIAS_RETRY_MS) : check.atMs;
}
