import { isSelfCertified } from "../../../protocols/lib/did.ts";
import type { Caller, CallerSvid } from "../caller.ts";
import type { FacadeContext } from "../context.ts";
import { ProblemError } from "../problem.ts";

/** The agent that is to be written. */
export interface Target {
  readonly did: string;
  /** What it is called now, and what it is to be called: a certificate for an agent must name each. */
  readonly names: readonly string[];
  /** The record that was handed in carries a signature; the catalogue checks it under the key in the DID. */
  readonly isSignedRecord: boolean;
}

/** On whose authority a write is made. */
export interface Authority {
  /** Stable name of the caller, for idempotency keys. */
  readonly caller: string;
  /** Everything, the home's own fields too; else only what is the agent's own. */
  readonly isOperator: boolean;
  /** The agent's own key and nothing else: anybody could have made it. */
  readonly isOwnKeyAlone: boolean;
}

/**
 * Who may write this agent: the operator (token, or a certificate of our trust domain under `/operator/` or the registry's own),
 * a certificate of our trust domain for the agent's name (`/agent/<humanReadableId>`), or the agent's own key: by a request that
 * is signed by its DID, or by a record that it has signed. A DID of our own minting has the registry's key, not one of the agent.
 * A certificate that does not hold, or is of nobody we know, stands in nobody's way: it is refused where nothing else suffices.
 * @throws ProblemError `authority_required` (401 when nothing was presented, 403 when it does not suffice), and the caller's own
 */
export async function authorise(
  { identity }: Pick<FacadeContext, "identity">,
  caller: Caller,
  target: Target,
): Promise<Authority> {
  if (caller.isOperator()) return { caller: "operator", isOperator: true, isOwnKeyAlone: false };
  const { svid, refusal } = await certificateOf(caller);
  if (svid?.did === identity.did) {
    const isOperator = svid.path.startsWith("/operator/") || svid.spiffeId === identity.spiffeId;
    if (isOperator || isNamed(svid.path, target.names)) return { caller: svid.spiffeId, isOperator, isOwnKeyAlone: false };
  }
  const signer = await caller.signedBy();
  if (signer === target.did) return { caller: signer, isOperator: false, isOwnKeyAlone: true };
  if (target.isSignedRecord && isSelfCertified(target.did)) return { caller: target.did, isOperator: false, isOwnKeyAlone: true };
  if (refusal !== undefined) throw refusal;
  if (svid === undefined && signer === undefined) throw nothingPresented(target.did);
  const presented = [svid?.spiffeId, signer].filter(Boolean).join(" and ");
  throw new ProblemError(403, "authority_required", `${presented} may not write ${target.did}; ${waysIn(target.did)}`);
}

/** Clients present one certificate to all servers, for whatever they do there. */
async function certificateOf(caller: Caller): Promise<{ readonly svid?: CallerSvid; readonly refusal?: ProblemError }> {
  try {
    const svid = await caller.svid();
    return svid === undefined ? {} : { svid };
  } catch (error) {
    if (!(error instanceof ProblemError) || error.status >= SERVER_ERRORS) throw error;
    return { refusal: error };
  }
}

const SERVER_ERRORS = 500;

function isNamed(path: string, names: readonly string[]): boolean {
  return names.length > 0 && names.every((name) => path === `/agent/${name}`);
}

function nothingPresented(did: string): ProblemError {
  const detail = `nothing was presented that allows to write ${did}; ${waysIn(did)}`;
  return new ProblemError(401, "authority_required", detail, { headers: { "www-authenticate": "Bearer" } });
}

function waysIn(did: string): string {
  const own = "present the operator's token, or a certificate of this trust domain for the operator or the agent's name";
  return isSelfCertified(did) ? `${own}, or sign the record or the request with the agent's key` : own;
}
