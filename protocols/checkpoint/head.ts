import { fromUtf8, utf8 } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import { HASH_BYTES } from "../lib/hash.ts";
import { type Commit, COMMIT_BYTES_MAX, decodeCommit } from "./commit.ts";
import { commitLeafHash, LOG_PROOF_HASHES_MAX, verifyLogInclusion } from "./log-proof.ts";
import { type Checkpoint, CHECKPOINT_BYTES_MAX, openCheckpoint } from "./note.ts";
import { WireReader, WireWriter } from "../lib/wire.ts";

/** A registry's newest version: the checkpoint and the commit that is its log's last leaf, proven so. */
export interface SignedHead {
  readonly note: string;
  /** Exact commit bytes. */
  readonly commit: Uint8Array;
  /** Inclusion of leaf size − 1, from the leaf to the root. */
  readonly logProof: readonly Uint8Array[];
}

export interface VerifiedHead {
  readonly checkpoint: Checkpoint;
  readonly commit: Commit;
}

/** Bytes of the longest encoded head. */
export const HEAD_BYTES_MAX: number = 2 + CHECKPOINT_BYTES_MAX + 2 + COMMIT_BYTES_MAX + 1 + LOG_PROOF_HASHES_MAX * HASH_BYTES;

/**
 * The commit must be the *last* leaf: otherwise an old map could ride under a new checkpoint (T54).
 * @throws ProtocolError `not_the_last_commit`, `wrong_epoch`, `bad_proof`, and those of `openCheckpoint` and `decodeCommit`
 */
export function verifyHead(head: SignedHead): VerifiedHead {
  const checkpoint = openCheckpoint(head.note);
  const commit = decodeCommit(head.commit);
  if (commit.epoch !== checkpoint.epoch) {
    throw new ProtocolError("wrong_epoch", `the commit is of epoch ${commit.epoch}, its checkpoint of ${checkpoint.epoch}`);
  }
  if (commit.seq !== checkpoint.size - 1) {
    const detail = { seq: commit.seq, size: checkpoint.size };
    throw new ProtocolError("not_the_last_commit", `commit ${commit.seq} is not the last of a log of ${checkpoint.size}`, detail);
  }
  verifyLogInclusion(checkpoint.root, checkpoint.size, commit.seq, commitLeafHash(head.commit), head.logProof);
  return { checkpoint, commit };
}

/** u16 length and note (UTF-8), u16 length and commit, u8 number of hashes, the hashes. @throws ProtocolError as `decodeHead` */
export function encodeHead(head: SignedHead): Uint8Array {
  const writer = new WireWriter().sized(utf8(head.note)).sized(head.commit).u8(head.logProof.length);
  for (const hash of head.logProof) writer.raw(hash);
  return writer.finish();
}

/** Checks the layout and the bounds only; `verifyHead` does the rest. @throws ProtocolError `too_large`, `truncated`, `bad_frame`, `not_utf8`, `limit_exceeded` */
export function decodeHead(bytes: Uint8Array): SignedHead {
  const reader = new WireReader(bytes, HEAD_BYTES_MAX);
  const note = fromUtf8(reader.sized(CHECKPOINT_BYTES_MAX));
  const commit = reader.sized(COMMIT_BYTES_MAX);
  const count = reader.count(1, LOG_PROOF_HASHES_MAX, "hashes in a log proof");
  const logProof = Array.from({ length: count }, () => reader.hash());
  reader.end();
  return { note, commit, logProof };
}
