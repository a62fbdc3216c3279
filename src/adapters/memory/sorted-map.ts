import type { StoreEntry } from "../../ports/store.ts";

/** Entries in one leaf; a full one is split in halves. */
export const LEAF_ENTRIES_MAX = 128;

type Leaf = readonly StoreEntry[];

/**
 * An immutable ordered map of bytes to bytes: a write gives a new version that shares all untouched leaves, so that a snapshot
 * is a reference. Keys are ordered as unsigned bytes.
 */
export class SortedMap {
  static readonly EMPTY: SortedMap = new SortedMap([]);
  /** No leaf is empty; ascending within and across leaves. */
  readonly #leaves: readonly Leaf[];

  private constructor(leaves: readonly Leaf[]) {
    this.#leaves = leaves;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const leaf = this.#leaves[this.#leafOf(key)];
    const entry = leaf?.[lowerBound(leaf, key)];
    return entry !== undefined && Buffer.compare(entry[0], key) === 0 ? entry[1] : undefined;
  }

  /** The next version, with `undefined` values removed; changes are applied in order. */
  with(changes: readonly (readonly [key: Uint8Array, value: Uint8Array | undefined])[]): SortedMap {
    const leaves = [...this.#leaves];
    const next = new SortedMap(leaves);
    for (const [key, value] of changes) {
      const at = Math.min(next.#leafOf(key), Math.max(leaves.length - 1, 0));
      const changed = changedLeaf(leaves[at] ?? [], key, value);
      if (changed.length === 1) leaves[at] = changed[0] as Leaf;
      else leaves.splice(at, 1, ...changed);
    }
    return next;
  }

  /** The first entry with a key ≥ `bound`, or with `reverse` the last entry with a key < `bound`. */
  nearest(bound: Uint8Array, reverse: boolean): StoreEntry | undefined {
    const at = this.#leafOf(bound);
    const leaf = this.#leaves[at] ?? [];
    const i = lowerBound(leaf, bound) - (reverse ? 1 : 0);
    return i < 0 ? this.#leaves[at - 1]?.at(-1) : leaf[i];
  }

  /** Index of the first leaf whose last key is ≥ `key`; the number of leaves when there is none. */
  #leafOf(key: Uint8Array): number {
    let low = 0;
    let high = this.#leaves.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const last = (this.#leaves[middle] as Leaf).at(-1) as StoreEntry;
      if (Buffer.compare(last[0], key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** None, one or two leaves in the place of `leaf`. */
function changedLeaf(leaf: Leaf, key: Uint8Array, value: Uint8Array | undefined): Leaf[] {
  const at = lowerBound(leaf, key);
  const found = leaf[at];
  const exists = found !== undefined && Buffer.compare(found[0], key) === 0;
  const changed = leaf.toSpliced(at, exists ? 1 : 0, ...(value === undefined ? [] : [[key, value] as const]));
  if (changed.length === 0) return [];
  if (changed.length <= LEAF_ENTRIES_MAX) return [changed];
  const middle = changed.length >>> 1;
  return [changed.slice(0, middle), changed.slice(middle)];
}

function lowerBound(leaf: Leaf, key: Uint8Array): number {
  let low = 0;
  let high = leaf.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (Buffer.compare((leaf[middle] as StoreEntry)[0], key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
