import { equal, hex } from "../../protocols/lib/bytes.ts";
import type { Change } from "../catalog/catalogue.ts";
import { LEAF_BYTES } from "../catalog/tree/slab.ts";
import type { MapHeap } from "../catalog/tree/map-heap.ts";

/** Those that make a difference to the map: what stands there already is not written again. */
export function effective(map: MapHeap, changes: readonly Change[]): Change[] {
  return changes.filter(({ key, value }) => {
    const stands = map.get(key);
    return value === undefined || stands === undefined ? stands !== value : !equal(stands, value);
  });
}

/** The deletes of those of our keys that are not `named`. */
export function unnamed(ours: readonly Uint8Array[], named: readonly Change[]): Change[] {
  const names = new Set(named.map(({ key }) => hex(key)));
  return ours.filter((key) => !names.has(hex(key))).map((key) => ({ key }));
}

/** The keys of sorted leaves (K ‖ V), as copies. */
export function keysOf(leaves: Uint8Array): Uint8Array[] {
  const count = leaves.length / LEAF_BYTES;
  return Array.from({ length: count }, (_, i) => leaves.slice(i * LEAF_BYTES, i * LEAF_BYTES + LEAF_BYTES / 2));
}
