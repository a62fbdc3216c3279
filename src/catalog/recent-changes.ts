import { compare } from "../../protocols/lib/bytes.ts";

/** Keys of recent versions kept in memory, so that followers who are nearly up to date cost no scan of the change log. */
export const RECENT_KEYS_MAX = 65_536;
export const RECENT_VERSIONS_MAX = 4_096;

interface Version {
  readonly sequence: number;
  readonly keys: readonly Uint8Array[];
  readonly mapRoot: string;
}

export class RecentChanges {
  #versions: Version[] = [];
  #keys = 0;
  /** All changes after this sequence are in `#versions`. */
  #since = 0;

  /** Forgets everything up to `sequence`, where the catalogue stands now. */
  reset(sequence: number): void {
    this.#versions = [];
    this.#keys = 0;
    this.#since = sequence;
  }

  add(sequence: number, keys: readonly Uint8Array[], mapRoot: string): void {
    this.#versions.push({ sequence, keys, mapRoot });
    this.#keys += keys.length;
    let gone = 0;
    while (this.#keys > RECENT_KEYS_MAX || this.#versions.length - gone > RECENT_VERSIONS_MAX) {
      const oldest = this.#versions[gone] as Version;
      this.#keys -= oldest.keys.length;
      this.#since = oldest.sequence;
      gone += 1;
    }
    if (gone > 0) this.#versions = this.#versions.slice(gone);
  }

  /** Map root (hex) of a remembered version. */
  rootAt(sequence: number): string | undefined {
    return this.#versions.findLast((version) => version.sequence === sequence)?.mapRoot;
  }

  /** The newest remembered version with this map root (hex). */
  sequenceOf(mapRoot: string): number | undefined {
    return this.#versions.findLast((version) => version.mapRoot === mapRoot)?.sequence;
  }

  /** Keys changed after `sequence` in any order, some more than once; `undefined` as for `after`. */
  since(sequence: number): Iterable<Uint8Array> | undefined {
    if (sequence < this.#since) return undefined;
    const versions = this.#versions;
    return (function* () {
      for (const version of versions) if (version.sequence > sequence) yield* version.keys;
    })();
  }

  /** Keys changed after `sequence`, ascending and unique; `undefined` when that is longer ago than we remember. */
  after(sequence: number): Uint8Array[] | undefined {
    if (sequence < this.#since) return undefined;
    const keys = this.#versions.flatMap((version) => (version.sequence > sequence ? version.keys : []));
    return sortedUnique(keys);
  }
}

export function sortedUnique(keys: readonly Uint8Array[]): Uint8Array[] {
  return keys.toSorted(compare).filter((key, i, all) => i === 0 || compare(all[i - 1] as Uint8Array, key) !== 0);
}
