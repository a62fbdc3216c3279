import type { StoreOperation } from "../ports/store.ts";
import { facadeKey, type FacadeTable } from "./rows.ts";

/** Ranges of closed buckets, each 16 bytes on disk; beyond it the two with the least between them become one. */
export const CLOSED_RANGES_MAX = 64;

const NUMBER_BYTES = 6;

interface Range {
  readonly from: number;
  /** The last one, closed too. */
  readonly to: number;
}

/**
 * Buckets of nonces that were forgotten, and so are refused whatever the clock says later. They are kept as ranges and not as one
 * time up to which all is forgotten: a clock that once ran ahead would close everything up to there. A row's key says it all, so
 * rot in its value loses nothing.
 */
export class ClosedBuckets {
  readonly #table: FacadeTable;
  /** Ascending; no two touch. */
  #ranges: Range[] = [];
  /** Keys (hex) of the rows in the store. */
  #stored = new Set<string>();

  constructor(table: FacadeTable) {
    this.#table = table;
  }

  has(bucket: number): boolean {
    return this.#ranges.some(({ from, to }) => from <= bucket && bucket <= to);
  }

  /**
   * @param open buckets whose timestamps may be those of requests now: for want of room others are closed along with `bucket`, but
   *   these only when there are no others
   */
  add(bucket: number, open: Range): void {
    this.#insert({ from: bucket, to: bucket });
    while (this.#ranges.length > CLOSED_RANGES_MAX) this.#joinNearest(open);
  }

  /** What makes the store hold this; none when it does. */
  operations(): StoreOperation[] {
    const wanted = new Map(this.#ranges.map((range) => this.#row(range)));
    const operations: StoreOperation[] = [];
    for (const [name, key] of wanted) {
      if (!this.#stored.has(name)) operations.push({ type: "put", key, value: new Uint8Array(0) });
    }
    for (const name of this.#stored) if (!wanted.has(name)) operations.push({ type: "del", key: Buffer.from(name, "hex") });
    this.#stored = new Set(wanted.keys());
    return operations;
  }

  restore(key: Uint8Array): void {
    const row = Buffer.from(key);
    const at = facadeKey(this.#table).length;
    this.#stored.add(row.toString("hex"));
    this.#insert({ from: row.readUIntBE(at, NUMBER_BYTES), to: row.readUIntBE(at + NUMBER_BYTES, NUMBER_BYTES) });
  }

  #insert({ from, to }: Range): void {
    const touches = (one: Range): boolean => one.from <= to + 1 && from <= one.to + 1;
    const touched = this.#ranges.filter(touches);
    const joined = { from: Math.min(from, ...touched.map((one) => one.from)), to: Math.max(to, ...touched.map((one) => one.to)) };
    this.#ranges = [...this.#ranges.filter((one) => !touches(one)), joined].toSorted((a, b) => a.from - b.from);
  }

  #joinNearest(open: Range): void {
    let [nearest, least] = [0, Number.POSITIVE_INFINITY];
    for (const [i, { to }] of this.#ranges.slice(0, -1).entries()) {
      const next = (this.#ranges[i + 1] as Range).from;
      const isOpen = to < open.to && open.from < next;
      const between = next - to + (isOpen ? Number.MAX_SAFE_INTEGER / 2 : 0);
      if (between < least) [nearest, least] = [i, between];
    }
    const [a, b] = this.#ranges.splice(nearest, 2) as [Range, Range];
    this.#ranges.splice(nearest, 0, { from: a.from, to: b.to });
  }

  #row({ from, to }: Range): [name: string, key: Uint8Array] {
    const numbers = Buffer.alloc(2 * NUMBER_BYTES);
    numbers.writeUIntBE(from, 0, NUMBER_BYTES);
    numbers.writeUIntBE(to, NUMBER_BYTES, NUMBER_BYTES);
    const key = facadeKey(this.#table, numbers);
    return [Buffer.from(key).toString("hex"), key];
  }
}
