import { compare } from "../../protocols/lib/bytes.ts";
import { HASH_BYTES } from "../../protocols/lib/hash.ts";
import type { Store } from "../ports/store.ts";
import { readU48, rowSuffix, tableRange, u48 } from "./rows.ts";

const SEQUENCE_BYTES = 6;
const ROW_BYTES = SEQUENCE_BYTES + HASH_BYTES;
/** Places by the first two bytes of a key: keys are hashes, so that each place has few. */
const PLACES = 65_536;

/**
 * The newest rows of a change log in the order of their keys, for pages of what changed since any version that it reaches:
 * 38 bytes a row and 256 KiB.
 */
export class ChangeIndex {
  /** Sequence number of the newest version in it. */
  readonly upTo: number;
  /** Versions since which all changes are here: this one and later ones. */
  readonly since: number;
  /** Rows (sequence, key) by place. */
  readonly #rows: Buffer;
  /** Row at which each place begins, and the count of rows. */
  readonly #starts: Uint32Array;

  private constructor(upTo: number, since: number, unordered: Buffer) {
    this.upTo = upTo;
    this.since = since;
    this.#starts = new Uint32Array(PLACES + 1);
    this.#rows = Buffer.allocUnsafe(unordered.length);
    const placeAt = (at: number): number => unordered.readUInt16BE(at + SEQUENCE_BYTES);
    for (let at = 0; at < unordered.length; at += ROW_BYTES) {
      const after = placeAt(at) + 1;
      this.#starts[after] = (this.#starts[after] as number) + 1;
    }
    for (let i = 1; i <= PLACES; i++) this.#starts[i] = (this.#starts[i] as number) + (this.#starts[i - 1] as number);
    const next = this.#starts.slice();
    for (let at = 0; at < unordered.length; at += ROW_BYTES) {
      const row = next[placeAt(at)] as number;
      next[placeAt(at)] = row + 1;
      unordered.copy(this.#rows, row * ROW_BYTES, at, at + ROW_BYTES);
    }
  }

  /**
   * Reads the newest `rowsMax` changes up to the version `upTo`. What an older version lacks is more than that.
   * @throws StoreError
   */
  static async read(store: Store, number: number, upTo: number, rowsMax: number, signal: AbortSignal): Promise<ChangeIndex> {
    const range = { ...tableRange(number, "change", u48(0), u48(upTo + 1)), reverse: true, limit: rowsMax + 1 };
    const parts: Uint8Array[] = [];
    let [rows, since] = [0, 0];
    for await (const entries of store.scan(range)) {
      signal.throwIfAborted();
      const last = entries.at(-1);
      rows += entries.length;
      // Of its version some rows may be missing here.
      if (rows > rowsMax && last !== undefined) since = readU48(rowSuffix(last[0]));
      parts.push(Buffer.concat(entries.map(([key]) => rowSuffix(key))));
    }
    return new ChangeIndex(upTo, since, Buffer.concat(parts));
  }

  /** The first `count` keys after `after` that changed after the version `base`, ascending and unique. */
  first(base: number, after: Uint8Array | undefined, count: number): Uint8Array[] {
    const keys: Uint8Array[] = [];
    const from = after === undefined ? 0 : Buffer.from(after).readUInt16BE();
    for (let place = from; place < PLACES && keys.length < count; place++) {
      for (const key of this.#changed(place, base)) {
        const last = keys.at(-1) ?? after;
        if (last === undefined || compare(key, last) > 0) keys.push(key);
      }
    }
    return keys.slice(0, count);
  }

  #changed(place: number, base: number): Uint8Array[] {
    const keys: Uint8Array[] = [];
    const end = (this.#starts[place + 1] as number) * ROW_BYTES;
    for (let at = (this.#starts[place] as number) * ROW_BYTES; at < end; at += ROW_BYTES) {
      if (this.#rows.readUIntBE(at, SEQUENCE_BYTES) > base)
        keys.push(Uint8Array.from(this.#rows.subarray(at + SEQUENCE_BYTES, at + ROW_BYTES)));
    }
    return keys.sort(compare);
  }
}
