import { compare } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import { bitAt, combine, EMPTY, isEmpty, isLeaf, KEY_BITS, leafHash, type MapEntry, splitAt } from "./map.ts";

/** What a prover needs to know of a map, however it is laid out. */
export interface MapReader {
  /** The hash of the subtree of all keys that share the first `depth` bits (0 to 256) of `key`. */
  nodeAt(key: Uint8Array, depth: number): Uint8Array;
  /** The only entry under the first `depth` bits of `key`; asked only where `nodeAt` gives a leaf. */
  leafAt(key: Uint8Array, depth: number): MapEntry;
}

interface Tree {
  readonly hash: Uint8Array;
  readonly entry?: MapEntry;
  readonly halves?: readonly [Tree, Tree];
}

/** A map built once as a tree of objects: the plain reference that other layouts are compared with. Entries in any order. */
export class ReferenceMap implements MapReader {
  readonly #tree: Tree;

  constructor(entries: readonly MapEntry[]) {
    const sorted = entries.toSorted((a, b) => compare(a[0], b[0]));
    this.#tree = build(sorted, 0, sorted.length, 0);
  }

  get root(): Uint8Array {
    return this.#tree.hash;
  }

  nodeAt(key: Uint8Array, depth: number): Uint8Array {
    return this.#descend(key, depth).hash;
  }

  leafAt(key: Uint8Array, depth: number): MapEntry {
    const { entry } = this.#descend(key, depth);
    if (entry === undefined) throw new ProtocolError("bad_prefix", `the subtree at depth ${depth} is not a single leaf`);
    return entry;
  }

  #descend(key: Uint8Array, depth: number): Tree {
    let tree = this.#tree;
    for (let level = 0; level < depth; level++) {
      if (tree.halves !== undefined) tree = tree.halves[bitAt(key, level)];
      else if (tree.entry !== undefined && bitAt(tree.entry[0], level) !== bitAt(key, level)) return NOTHING;
    }
    return tree;
  }
}

const NOTHING: Tree = { hash: EMPTY };

function build(sorted: readonly MapEntry[], low: number, high: number, depth: number): Tree {
  if (low === high) return NOTHING;
  const entry = sorted[low] as MapEntry;
  if (high - low === 1) return { hash: leafHash(entry[0], entry[1]), entry };
  if (depth === KEY_BITS) throw new ProtocolError("out_of_order", "a key stands twice");
  const middle = splitAt(sorted, (item) => item[0], low, high, depth);
  const halves = [build(sorted, low, middle, depth + 1), build(sorted, middle, high, depth + 1)] as const;
  return { hash: combine(halves[0].hash, halves[1].hash), halves };
}

/** The key with the bit at `depth` turned: it leads into the other half. */
export function siblingKey(key: Uint8Array, depth: number): Uint8Array {
  const other = new Uint8Array(key);
  other[depth >> 3] = (other[depth >> 3] as number) ^ (0x80 >> (depth & 7));
  return other;
}

/**
 * Joins halves on the way up a proof, where the prover says that an inner node stands.
 * @throws ProtocolError `bad_proof` where the canonical form has no inner node: fewer than two keys
 */
export function joinProven(left: Uint8Array, right: Uint8Array, depth: number): Uint8Array {
  const lone = isEmpty(left) ? isEmpty(right) || isLeaf(right) : isEmpty(right) && isLeaf(left);
  if (lone) throw new ProtocolError("bad_proof", `no inner node stands at depth ${depth}: a lone leaf must rise`, { depth });
  return combine(left, right);
}
