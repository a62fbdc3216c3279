import { contradicts, type Checkpoint } from "../../protocols/checkpoint/note.ts";
import { equal } from "../../protocols/lib/bytes.ts";
import type { Catalogue } from "../catalog/catalogue.ts";

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
