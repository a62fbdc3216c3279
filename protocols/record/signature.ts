import { base64, concat, fromBase64 } from "../lib/bytes.ts";
import { encodeCanonical } from "../lib/canonical.ts";
import { isSelfCertified, publicKeyOfDid } from "../lib/did.ts";
import { AGENT_SIGNATURE_DOMAIN } from "../lib/domains.ts";
import { ProtocolError } from "../lib/errors.ts";
import { verifySignature } from "../lib/keys.ts";
import { recordJson, type AgentFields } from "./record.ts";

/** What an agent signs: its own fields plus the home that may publish it and the revision, so that neither can be swapped. */
export type SignedFields = AgentFields & { readonly registry: string; readonly revision: number };

/** The exact bytes under `agent_signature`: domain ‖ canonical JSON without the home's fields and without the signature. */
export function agentSignatureBytes(record: SignedFields): Uint8Array {
  const covered: Record<string, unknown> = { ...(recordJson(record) as object) };
  for (const name of ["epoch", "hlc", "prev", "reputation_score", "agent_signature"]) delete covered[name];
  return concat(AGENT_SIGNATURE_DOMAIN, encodeCanonical(covered as never));
}

/** @param sign Ed25519 over the given bytes, 64 bytes */
export function signAgent(record: SignedFields, sign: (bytes: Uint8Array) => Uint8Array): string {
  return base64(sign(agentSignatureBytes(record)));
}

/**
 * A DID that carries a key must be signed by it; other DIDs have nothing to check a signature against, so one is refused.
 * @throws ProtocolError `agent_signature_missing`, `bad_signature`, `bad_did`, `bad_base64`
 */
export function checkAgentSignature(record: SignedFields): void {
  if (!isSelfCertified(record.did)) {
    if (record.agent_signature === undefined) return;
    throw new ProtocolError("bad_signature", "agent_signature is only for DIDs that carry a key (did:key)");
  }
  const key = publicKeyOfDid(record.did);
  if (record.agent_signature === undefined) {
    throw new ProtocolError("agent_signature_missing", `${record.did} carries a key, so its record needs agent_signature`);
  }
  if (!verifySignature(key, agentSignatureBytes(record), fromBase64(record.agent_signature))) {
    throw new ProtocolError("bad_signature", `agent_signature does not verify under the key of ${record.did}`);
  }
}
