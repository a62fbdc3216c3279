import type { BatchEntry } from "../../protocols/catalog-sync/messages.ts";
import type { Claim } from "../../protocols/checkpoint/map-multiproof.ts";
import type { PageChange } from "../../protocols/http/catalog-page.ts";
import { compare, hex } from "../../protocols/lib/bytes.ts";

type Change = Exclude<BatchEntry, { op: "keep" }>;

/** The changes of pages that are not applied yet: the last word of each key counts. */
export class Gathered {
  readonly #changes = new Map<string, Change>();
  /** Record bytes. */
  bytes = 0;

  get size(): number {
    return this.#changes.size;
  }

  add(changes: readonly Change[]): void {
    for (const change of changes) {
      const name = hex(change.key);
      this.bytes += recordBytes(change) - recordBytes(this.#changes.get(name));
      this.#changes.set(name, change);
    }
  }

  /** Ascending by key. */
  sorted(): Change[] {
    return [...this.#changes.values()].sort((a, b) => compare(a.key, b.key));
  }
}

/** A verified page's changes as a batch's. */
export function changesOf(changes: readonly PageChange[], claims: readonly Claim[]): Change[] {
  return changes.map((change, i) => {
    const [key] = claims[i] as Claim;
    return change.op === "delete" ? { op: "delete", key } : { op: "put", key, record: change.record };
  });
}

function recordBytes(change: Change | undefined): number {
  return change?.op === "put" ? change.record.length : 0;
}
