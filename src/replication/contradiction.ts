import { verifyHead, type SignedHead, type VerifiedHead } from "../../protocols/checkpoint/head.ts";
import { contradicts, openCheckpoint, type Checkpoint } from "../../protocols/checkpoint/note.ts";
import { equal } from "../../protocols/lib/bytes.ts";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import type { Catalogue } from "../catalog/catalogue.ts";
import type { Log } from "../ports/log.ts";

/** The head, if it verifies and is the home's. */
export function headOf(home: string, head: SignedHead, log: Log): VerifiedHead | undefined {
  try {
    const verified = verifyHead(head);
    return verified.checkpoint.did === home ? verified : undefined;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    log.debug("a head that does not verify was ignored", { home, error });
    return undefined;
  }
}

/** One origin and size, two roots: the home signed two histories. The evidence against `checkpoint`, from what we hold. */
export function contradiction(
  catalogue: Catalogue,
  target: Checkpoint | undefined,
  checkpoint: Checkpoint,
): Uint8Array | undefined {
  for (const other of [catalogue.head?.checkpoint, target]) {
    const evidence = other && contradicts(other, checkpoint);
    if (evidence !== undefined) return evidence;
  }
  return undefined;
}

/** Whether the log that we hold contains this older version. Ask only while no session changes the log. */
export function isInHistory({ epoch, log }: Catalogue, checkpoint: Checkpoint): boolean {
  if (checkpoint.epoch !== epoch || checkpoint.size >= log.size) return true;
  return equal(log.rootAt(checkpoint.size), checkpoint.root);
}

/** Whether a new epoch of the home leaves out what we hold of the one before. @param previous the final checkpoint that its descriptor names */
export function hidesHistory({ home, head, log }: Catalogue, previous: string | undefined): boolean {
  const final = previous === undefined ? undefined : openCheckpoint(previous);
  return head !== undefined && (final === undefined || final.did !== home || final.size < log.size);
}
