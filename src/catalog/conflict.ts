import { hex } from "../../protocols/lib/bytes.ts";
import { valueOf } from "../../protocols/lib/hash.ts";
import { encodeRecord } from "../../protocols/record/codec.ts";
import type { AgentRecord } from "../../protocols/record/record.ts";

/** One home's claim to a DID: an admitted record as that home publishes it. */
export interface Claim {
  /** DID of the home. */
  readonly home: string;
  readonly record: AgentRecord;
  /** Whether control over the DID is shown: by the agent's signature, or because the DID names the home's own key. */
  readonly verified: boolean;
  /** What we hold of the home. */
  readonly standing: Standing;
}

export type Standing = "own" | "active" | "probation" | "isolated";

export interface Resolution {
  /** The claim that is shown; `undefined` when there is none but of isolated homes. */
  readonly winner: Claim | undefined;
  /** Every claim, the winner first: the trail. */
  readonly claims: readonly Claim[];
}

const STANDINGS: readonly Standing[] = ["own", "active", "probation", "isolated"];

/**
 * Settles who may speak for one DID (architecture.md, "Agents"): the same claims in any order give the same answer.
 *
 * 1. Of one home, its newest: higher epoch, then higher revision.
 * 2. Between homes: not isolated, then verified control, then standing, then the revision where both are the agent's own
 *    signed word, then the last write (`hlc`; admission has bounded it), then the lower record hash.
 *
 * `epoch`, and `revision` without the agent's signature, are never compared between homes: a home could set them to win.
 */
export function resolveClaims(claims: readonly Claim[]): Resolution {
  const entries = claims.map((claim) => ({ claim, hash: lazyHash(claim.record) }));
  const newest = new Map<string, Entry>();
  for (const entry of entries) {
    const known = newest.get(entry.claim.home);
    if (known === undefined || compareOfOneHome(entry, known) < 0) newest.set(entry.claim.home, entry);
  }
  const leads = [...newest.values()].sort(compareHomes);
  const older = entries.filter((entry) => !leads.includes(entry)).sort((a, b) => compareHomes(a, b) || compareOfOneHome(a, b));
  const first = leads[0]?.claim;
  return {
    winner: first === undefined || first.standing === "isolated" ? undefined : first,
    claims: [...leads, ...older].map(({ claim }) => claim),
  };
}

interface Entry {
  readonly claim: Claim;
  readonly hash: () => string;
}

/** Hashed only to break a tie, which is rare. */
function lazyHash(record: AgentRecord): () => string {
  let hash: string | undefined;
  return () => (hash ??= hex(valueOf(encodeRecord(record))));
}

function compareOfOneHome(a: Entry, b: Entry): number {
  const [x, y] = [a.claim.record, b.claim.record];
  return y.epoch - x.epoch || y.revision - x.revision || compareLastWrite(a, b);
}

function compareHomes(a: Entry, b: Entry): number {
  const [x, y] = [a.claim, b.claim];
  return (
    Number(x.standing === "isolated") - Number(y.standing === "isolated") ||
    Number(y.verified) - Number(x.verified) ||
    STANDINGS.indexOf(x.standing) - STANDINGS.indexOf(y.standing) ||
    signedRevision(y) - signedRevision(x) ||
    compareLastWrite(a, b)
  );
}

function signedRevision({ verified, record }: Claim): number {
  return verified && record.agent_signature !== undefined ? record.revision : 0;
}

function compareLastWrite(a: Entry, b: Entry): number {
  const [x, y] = [a.claim.record.hlc, b.claim.record.hlc];
  if (x !== y) return x > y ? -1 : 1;
  return a.hash() < b.hash() ? -1 : Number(a.hash() > b.hash());
}
