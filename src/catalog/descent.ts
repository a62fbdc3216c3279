import type { LeafHints } from "../../protocols/catalog-sync/client.ts";
import { hintOf } from "../../protocols/catalog-sync/hints.ts";
import type { CompareRequest } from "../../protocols/catalog-sync/messages.ts";
import { childPrefix, type Prefix } from "../../protocols/checkpoint/prefix.ts";
import { leafHash } from "../../protocols/checkpoint/map.ts";
import { LEAF_BYTES } from "./tree/slab.ts";
import type { MapHeap } from "./tree/map-heap.ts";
import { leavesUnder, subtreeHash } from "./tree/subtrees.ts";

/** Both sides of a descent: the follower makes hints of its map, the server names the prefixes where its own differ. */
export interface HintQuestion {
  readonly prefixes: readonly Prefix[];
  readonly bits: number;
  readonly salt: Uint8Array;
  readonly hintBytes: number;
}

/** The hints of the 2^bits subtrees below each prefix, in order. */
export function subtreeHints(map: MapHeap, question: HintQuestion): Uint8Array {
  const { prefixes, bits, salt, hintBytes } = question;
  const hints = Buffer.allocUnsafe(prefixes.length * 2 ** bits * hintBytes);
  let at = 0;
  for (const prefix of prefixes) {
    for (const child of descendants(prefix, bits)) {
      hints.set(hintOf(salt, subtreeHash(map, child), hintBytes), at);
      at += hintBytes;
    }
  }
  return hints;
}

/** The subtrees in which our map does not give the hints of the question. */
export function differing(map: MapHeap, question: CompareRequest): Prefix[] {
  const ours = Buffer.from(subtreeHints(map, question));
  const { prefixes, bits, hints, hintBytes } = question;
  return prefixes.flatMap((prefix, p) =>
    descendants(prefix, bits).filter((_child, c) => {
      const at = (p * 2 ** bits + c) * hintBytes;
      return ours.compare(hints, at, at + hintBytes, at, at + hintBytes) !== 0;
    }),
  );
}

/** The hints of the leaves below each prefix, ascending by key. */
export function leafHints(map: MapHeap, question: Omit<HintQuestion, "bits">): LeafHints {
  const { prefixes, salt, hintBytes } = question;
  const counts: number[] = [];
  const hints: Uint8Array[] = [];
  for (const prefix of prefixes) {
    const leaves = leavesUnder(map, prefix);
    counts.push(leaves.length / LEAF_BYTES);
    for (let at = 0; at < leaves.length; at += LEAF_BYTES) hints.push(leafHint(leaves, at, salt, hintBytes));
  }
  return { counts, hints: Buffer.concat(hints) };
}

/** The hint of the leaf K ‖ V that begins at `at`. */
export function leafHint(leaves: Uint8Array, at: number, salt: Uint8Array, hintBytes: number): Uint8Array {
  const middle = at + LEAF_BYTES / 2;
  return hintOf(salt, leafHash(leaves.subarray(at, middle), leaves.subarray(middle, at + LEAF_BYTES)), hintBytes);
}

/** The keys of the leaves below each prefix, ascending: the same order as `leafHints`. */
export function leafKeys(map: MapHeap, prefixes: readonly Prefix[]): Uint8Array {
  const keys: Uint8Array[] = [];
  for (const prefix of prefixes) {
    const leaves = leavesUnder(map, prefix);
    for (let at = 0; at < leaves.length; at += LEAF_BYTES) keys.push(leaves.slice(at, at + LEAF_BYTES / 2));
  }
  return Buffer.concat(keys);
}

function descendants(prefix: Prefix, bits: number): Prefix[] {
  let level = [prefix];
  for (let i = 0; i < bits; i++) level = level.flatMap((parent) => [childPrefix(parent, 0), childPrefix(parent, 1)]);
  return level;
}
