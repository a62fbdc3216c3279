import { AUTHORITIES_MAX } from "../../protocols/bundle/bundle.ts";

/** Certificates begin a minute before they are made, since the clock of who checks them may be behind. */
export const BACKDATE_MS = 60_000;

/** The next authority is made, and published in the bundle, when this share of the newest one's life is over. */
export const SUCCESSOR_AT_SHARE = 0.5;
/** It signs when this share of its predecessor's life is over. */
export const TAKEOVER_AT_SHARE = 0.75;
/** It was published for at least this share of its own life before it signs, unless its predecessor ends earlier. */
export const PUBLISHED_SHARE_MIN = 0.25;
/** A leaf is renewed at half of its life, give or take a tenth, so that many registries do not renew together. */
export const RENEWAL_AT_SHARE = 0.5;
export const RENEWAL_JITTER_SHARE = 0.1;

export interface Span {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface AuthoritySpan extends Span {
  /** Counts up with every authority that is made. */
  readonly number: number;
}

export interface LeafSpan extends Span {
  /** Number of the authority that signed it. */
  readonly signer: number;
  /** From `renewalMs`. */
  readonly renewAtMs: number;
}

export interface AuthorityPlan<T extends AuthoritySpan> {
  /** Ascending by number; what belongs into the bundle. */
  readonly bundled: readonly T[];
  /** What leaves the bundle and is forgotten. */
  readonly retired: readonly T[];
  /** Who signs new leaves; `undefined` where none can. */
  readonly signer: T | undefined;
  readonly needsSuccessor: boolean;
}

/**
 * What is due for the authorities at `nowMs`. An authority stays in the bundle until it ends: its leaves never outlive it, so
 * none that it signed is refused. One from a future that the clock has left signs nothing, and is forgotten when that future is
 * further away than its life is long (T47).
 * @param authorities ascending by number
 * @param leafLifetimeMs a takeover leaves the predecessor at least this long
 */
export function planAuthorities<T extends AuthoritySpan>(
  nowMs: number,
  authorities: readonly T[],
  leafLifetimeMs: number,
): AuthorityPlan<T> {
  const kept = authorities.filter((one) => nowMs < one.notAfterMs && one.notBeforeMs - lifeMs(one) <= nowMs);
  const bundled = kept.slice(-AUTHORITIES_MAX);
  const usable = bundled.filter((one) => one.notBeforeMs <= nowMs);
  const newest = usable.at(-1);
  return {
    bundled,
    retired: authorities.filter((one) => !bundled.includes(one)),
    signer: signerAmong(usable, nowMs, leafLifetimeMs),
    needsSuccessor: newest === undefined || nowMs >= atShare(newest, SUCCESSOR_AT_SHARE),
  };
}

function signerAmong<T extends AuthoritySpan>(usable: readonly T[], nowMs: number, leafLifetimeMs: number): T | undefined {
  return usable.reduce<T | undefined>(
    (signer, next) => (signer === undefined || nowMs >= takeoverMs(signer, next, leafLifetimeMs) ? next : signer),
    undefined,
  );
}

function takeoverMs(from: Span, to: Span, leafLifetimeMs: number): number {
  const published = Math.max(atShare(from, TAKEOVER_AT_SHARE), atShare(to, PUBLISHED_SHARE_MIN));
  return Math.min(published, from.notAfterMs - leafLifetimeMs);
}

/**
 * Whether a new leaf is due: there is none, its time has come, the clock was put back behind its beginning, or its signer is no
 * longer in the bundle.
 */
export function isRenewalDue(nowMs: number, leaf: LeafSpan | undefined, bundled: readonly AuthoritySpan[]): boolean {
  if (leaf === undefined || nowMs >= leaf.renewAtMs || nowMs < leaf.notBeforeMs) return true;
  return !bundled.some(({ number }) => number === leaf.signer);
}

/** @param unit chance in [0, 1) */
export function renewalMs(span: Span, unit: number): number {
  return atShare(span, RENEWAL_AT_SHARE * (1 + RENEWAL_JITTER_SHARE * (2 * unit - 1)));
}

/** When that share of its life is over, counted from when it was made. */
function atShare(span: Span, share: number): number {
  return madeMs(span) + share * lifeMs(span);
}

function lifeMs(span: Span): number {
  return span.notAfterMs - madeMs(span);
}

function madeMs({ notBeforeMs }: Span): number {
  return notBeforeMs + BACKDATE_MS;
}
