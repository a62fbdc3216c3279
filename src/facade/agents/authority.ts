import { ID_HEADER } from "../../../protocols/http/request-fields.ts";
import { DID_LENGTH_MAX, isMinted, isSelfCertified } from "../../../protocols/lib/did.ts";
import type { Caller, CallerSvid } from "../caller.ts";
import type { FacadeContext } from "../context.ts";
import { ProblemError } from "../problem.ts";
import type { Call } from "../route.ts";

/** The agent that is to be written. */
export interface Target {
  readonly did: string;
  /** What it is called now, and what it is to be called: a certificate for an agent must name each. */
  readonly names: readonly string[];
  /** This registry publishes it now. */
  readonly isPublished: boolean;
  /** The record that was handed in carries a signature; the catalogue checks it under the key in the DID. */
  readonly isSignedRecord: boolean;
}

/** `own_key`: the agent's own key and nothing else, so anybody could have made it. */
export type CallerKind = "operator" | "certificate" | "own_key";

/** On whose authority a write is made. Only an operator sets the home's own fields, too. */
export interface Authority {
  /** Stable name of the caller, for idempotency keys. */
  readonly caller: string;
  readonly kind: CallerKind;
  /** Whether the request shows that it is the caller's; else its record's signature has to, which the catalogue checks. */
  readonly isProven: boolean;
  /** Whether the agent may be registered; else it may only be changed and removed. */
  readonly mayCreate: boolean;
}

/**
 * Who may write this agent: the operator (token, or a certificate of our trust domain under `/operator/`), a certificate of our
 * trust domain for the agent's name (`/agent/<humanReadableId>`), or the agent's own key: by a request that is signed by its DID,
 * or by a record that it has signed. A DID of our own minting has the registry's key, not one of the agent; one of neither kind,
 * such as did:web, says of itself whose it is, so that a certificate for a name must not claim it: it writes those that stand
 * here under its name. A certificate that does not hold, or is of nobody we know, stands in nobody's way: it is refused where
 * nothing else suffices.
 * @throws ProblemError `authority_required` (401 when nothing was presented, 403 when it does not suffice), and the caller's own
 */
export async function authorise(
  { identity }: Pick<FacadeContext, "identity">,
  { caller, headers }: Pick<Call, "caller" | "headers">,
  target: Target,
): Promise<Authority> {
  const whole = { isProven: true, mayCreate: true } as const;
  if (caller.isOperator()) return { caller: "operator", kind: "operator", ...whole };
  const { svid, refusal } = await certificateOf(caller);
  if (svid?.did === identity.did) {
    if (svid.path.startsWith("/operator/")) return { caller: svid.spiffeId, kind: "operator", ...whole };
    const mayCreate = isMinted(target.did) || isSelfCertified(target.did);
    if (isNamed(svid.path, target.names) && (mayCreate || target.isPublished))
      return { caller: svid.spiffeId, kind: "certificate", isProven: true, mayCreate };
  }
  const claimed = headers[ID_HEADER]?.toString();
  // Before the signature is checked, which keeps its nonce: keys of strangers cost them nothing.
  if (claimed === target.did && (await caller.signedBy()) === target.did)
    return { caller: target.did, kind: "own_key", ...whole };
  if (target.isSignedRecord && isSelfCertified(target.did))
    return { caller: target.did, kind: "own_key", isProven: false, mayCreate: true };
  if (refusal !== undefined) throw refusal;
  if (svid === undefined && claimed === undefined) throw nothingPresented(target.did);
  const presented = [svid?.spiffeId, claimed?.slice(0, DID_LENGTH_MAX)].filter(Boolean).join(" and ");
  throw insufficient(presented, target.did);
}

/** @param presented what it was, as far as it holds */
export function insufficient(presented: string, did: string): ProblemError {
  return new ProblemError(403, "authority_required", `${presented} may not write ${did}; ${waysIn(did)}`);
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
  const token = "present the operator's token, or a certificate of this trust domain";
  if (isMinted(did)) return `${token} for the operator or the agent's name`;
  if (isSelfCertified(did))
    return `${token} for the operator or the agent's name, or sign the record or the request with the agent's key`;
  return `${token} for the operator, or, of an agent that is registered here, for its name`;
}
