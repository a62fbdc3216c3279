import { encodeCommit } from "../../protocols/checkpoint/commit.ts";
import type { SignedHead } from "../../protocols/checkpoint/head.ts";
import { commitLeafHash } from "../../protocols/checkpoint/log.ts";
import { checkpointOrigin, encodeCheckpoint } from "../../protocols/checkpoint/note.ts";
import { hex } from "../../protocols/lib/bytes.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Published } from "./messages.ts";

export interface VersionFacts {
  readonly did: string;
  /** Ed25519 by our key. */
  readonly sign: (bytes: Uint8Array) => Uint8Array;
  readonly changes: number;
  /** Unix milliseconds, never before the version before. */
  readonly time: number;
  /** Map root of the version before, hex. */
  readonly rootBefore: string;
}

export interface SignedVersion {
  readonly signed: SignedHead;
  /** Exact commit bytes. */
  readonly leaf: Uint8Array;
}

/** Appends the map as it stands to the log and signs it. Persist it before anybody sees it. */
export function signVersion(catalogue: Catalogue, { did, sign, changes, time, rootBefore }: VersionFacts): SignedVersion {
  const { map, log, epoch } = catalogue;
  const seq = log.size;
  const roots = { map: hex(map.root()) };
  const leaf = encodeCommit({ agents: map.size, changes, epoch, prev: { map: rootBefore }, roots, seq, time });
  log.append(commitLeafHash(leaf));
  const head = { origin: checkpointOrigin(did, epoch), size: seq + 1, root: log.root() };
  return { signed: { note: encodeCheckpoint(head, sign), commit: leaf, logProof: log.inclusion(seq, seq + 1) }, leaf };
}

/** What others are told of the version that stands. */
export function published(catalogue: Catalogue, head: SignedHead): Published {
  const { epoch, log, mapRoot, map, previous } = catalogue;
  return { head, epoch, size: log.size, mapRoot, agents: map.size, previous };
}
