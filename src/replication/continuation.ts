import type { SignedHead, VerifiedHead } from "../../protocols/checkpoint/head.ts";
import { commitLeafHash } from "../../protocols/checkpoint/log.ts";
import { equal } from "../../protocols/lib/bytes.ts";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import { HASH_BYTES } from "../../protocols/lib/hash.ts";
import type { Catalogue } from "../catalog/catalogue.ts";

/**
 * A head that may follow ours.
 * @param logSize leaves of our last completed version
 * @throws ProtocolError `wrong_origin`, `out_of_order`, `limit_exceeded`
 */
export function checkContinuation(
  { checkpoint, commit }: VerifiedHead,
  { home, epoch }: Catalogue,
  logSize: number,
  agentsMax: number,
): void {
  if (checkpoint.did !== home || checkpoint.epoch !== epoch) {
    throw new ProtocolError("wrong_origin", `expected ${home}, epoch ${epoch}; the checkpoint is of ${checkpoint.origin}`);
  }
  if (checkpoint.size < logSize) {
    const detail = { size: checkpoint.size, ours: logSize };
    throw new ProtocolError(
      "out_of_order",
      `an older version was served: ${checkpoint.size} commits, we have ${logSize}`,
      detail,
    );
  }
  const { agents } = commit;
  if (agents > agentsMax) {
    const detail = { agents, agentsMax };
    throw new ProtocolError("limit_exceeded", `the catalogue has ${agents} agents, we replicate at most ${agentsMax}`, detail);
  }
}

/** The log must continue ours and end in the commit of the head; else it stays as it was. @throws ProtocolError `bad_proof` */
export function appendLog({ log }: Catalogue, logLeaves: Uint8Array, head: SignedHead, { checkpoint }: VerifiedHead): void {
  const before = log.size;
  for (let at = 0; at < logLeaves.length; at += HASH_BYTES) log.append(logLeaves.subarray(at, at + HASH_BYTES));
  const last = checkpoint.size === 0 ? undefined : log.leafHash(checkpoint.size - 1);
  if (last !== undefined && equal(log.root(), checkpoint.root) && equal(last, commitLeafHash(head.commit))) return;
  log.truncate(before);
  throw new ProtocolError("bad_proof", "the log that was served does not continue the one that we hold");
}
