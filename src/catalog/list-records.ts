import { fromHex, hex } from "../../protocols/lib/bytes.ts";
import { HASH_BYTES } from "../../protocols/lib/hash.ts";
import type { AgentRecord } from "../../protocols/record/record.ts";
import type { StoreReader } from "../ports/store.ts";
import { damagedKey } from "./damage.ts";
import { matches } from "./filter.ts";
import type { CatalogueQuery, ListedRecords } from "./messages.ts";
import { rowSuffix, tableRange } from "./rows.ts";

/** The record that may be shown, or `undefined`: the last check before anyone sees it. */
export type ReadRecord = (bytes: Uint8Array, key: Uint8Array) => AgentRecord | undefined;

export type ListRequest = Extract<CatalogueQuery, { type: "list" }>;

export interface ListParts {
  readonly store: StoreReader;
  /** Of the catalogue. */
  readonly number: number;
  readonly read: ReadRecord;
  readonly isRefused: (key: Uint8Array) => boolean;
  /** Keys (hex) of records that were taken out as damaged and are not back yet. */
  readonly mending: ReadonlySet<string>;
}

export interface Listing extends ListedRecords {
  /** Keys of records whose bytes were found damaged. */
  readonly damaged: readonly Uint8Array[];
}

/** Reads a page of records in the order of their keys; what has rotted is named, and the page goes on behind it (T45). */
export async function listRecords(parts: ListParts, request: ListRequest): Promise<Listing> {
  const page = new Page(parts, request);
  let after: Uint8Array | undefined = request.after;
  while (after !== undefined && !page.isFull) after = await readOn(parts, page, after);
  return page.listing();
}

/** Reads rows until the page is full or there are no more; the key of a damaged one, where reading has to go on behind it. */
async function readOn({ store, number }: ListParts, page: Page, after: Uint8Array): Promise<Uint8Array | undefined> {
  // The first key after `after` is `after` and one byte more.
  const range = tableRange(number, "record", Buffer.concat([after, Buffer.of(0)]));
  try {
    for await (const rows of store.scan(range)) {
      for (const [row, stored] of rows) {
        page.add(Uint8Array.from(rowSuffix(row)), stored);
        if (page.isFull) return undefined;
      }
    }
    return undefined;
  } catch (error) {
    const key = damagedKey(error);
    if (key === undefined) throw error;
    page.addDamaged(key);
    return key;
  }
}

class Page {
  readonly #parts: ListParts;
  readonly #request: ListRequest;
  readonly #records: AgentRecord[] = [];
  readonly #damaged: Uint8Array[] = [];
  /** Of `mending`, those that were there after all. */
  readonly #back = new Set<string>();
  #rows = 0;
  #bytes = 0;
  #last: Uint8Array;

  constructor(parts: ListParts, request: ListRequest) {
    this.#parts = parts;
    this.#request = request;
    this.#last = request.after;
  }

  get isFull(): boolean {
    const { limit, rowsMax, bytesMax, unavailableMax } = this.#request;
    const isOver = this.#rows >= rowsMax || this.#bytes >= bytesMax;
    return isOver || this.#records.length >= limit || this.#damaged.length >= unavailableMax;
  }

  add(key: Uint8Array, stored: Uint8Array): void {
    const { isRefused, read, mending } = this.#parts;
    const { filter } = this.#request;
    this.#look(key);
    if (mending.size > 0) this.#back.add(hex(key));
    const record = isRefused(key) ? undefined : read(stored, key);
    if (record === undefined || (filter !== undefined && !matches(record, filter))) return;
    this.#records.push(record);
    this.#bytes += stored.length;
  }

  /** What may never be shown is not missed. */
  addDamaged(key: Uint8Array): void {
    this.#look(key);
    if (!this.#parts.isRefused(key)) this.#damaged.push(key);
  }

  listing(): Listing {
    const [records, rows, bytes, damaged] = [this.#records, this.#rows, this.#bytes, this.#damaged];
    const next = this.isFull ? this.#last : undefined;
    const unavailable = [...damaged, ...this.#stillMending(next)];
    return { records, rows, bytes, damaged, unavailable, ...(next !== undefined && { next }) };
  }

  /** Those whose place lies on this page. */
  #stillMending(next: Uint8Array | undefined): Uint8Array[] {
    const [after, last] = [hex(this.#request.after), next && hex(next)];
    const isHere = (key: string): boolean => key > after && (last === undefined || key <= last) && !this.#back.has(key);
    return [...this.#parts.mending].filter(isHere).map((key) => fromHex(key, HASH_BYTES));
  }

  #look(key: Uint8Array): void {
    this.#rows += 1;
    this.#last = key;
  }
}
