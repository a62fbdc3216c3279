import { compare } from "../../../protocols/lib/bytes.ts";
import { HASH_BYTES } from "../../../protocols/lib/hash.ts";
import type { MapHeap } from "./map-heap.ts";
import { LEAF_BYTES } from "./slab.ts";

/** The first `count` keys of the map after `after`, ascending, as copies. */
export function keysAfter(map: MapHeap, after: Uint8Array | undefined, count: number): Uint8Array[] {
  const keys: Uint8Array[] = [];
  for (const key of walk(map, after)) {
    if (keys.length === count) break;
    keys.push(key.slice());
  }
  return keys;
}

/** The keys of the map after `after` and up to and including `last` (to the end by default), ascending, as copies. */
export function keysBetween(map: MapHeap, after: Uint8Array | undefined, last: Uint8Array | undefined): Uint8Array[] {
  const keys: Uint8Array[] = [];
  for (const key of walk(map, after)) {
    if (last !== undefined && compare(key, last) > 0) break;
    keys.push(key.slice());
  }
  return keys;
}

/** Views that the next change of the map spoils. */
function* walk(map: MapHeap, after: Uint8Array | undefined): Generator<Uint8Array> {
  const first = after === undefined ? 0 : map.bucketOf(after);
  for (let index = first; index < 2 ** map.depth; index++) {
    const leaves = map.bucket(index);
    for (let at = 0; at < leaves.length; at += LEAF_BYTES) {
      const key = leaves.subarray(at, at + HASH_BYTES);
      if (after === undefined || compare(key, after) > 0) yield key;
    }
  }
}
