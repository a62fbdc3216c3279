import fc from "fast-check";
import type { MapEntry } from "../../../protocols/checkpoint/map.ts";
import { hex } from "../../../protocols/lib/bytes.ts";
import { sha256 } from "../../../protocols/lib/hash.ts";
import { MapHeap } from "../../../src/catalog/tree/map-heap.ts";
import { clusteredKey } from "../../protocols/checkpoint/support.ts";

/** Absent value: a delete. */
export interface Write {
  readonly key: Uint8Array;
  readonly value?: Uint8Array;
}

/** Entries spread over the whole key space; counters instead of chance. */
export function sample(count: number, salt = ""): MapEntry[] {
  return Array.from({ length: count }, (_, i) => [
    sha256(Buffer.from(`${salt}key ${i}`)),
    sha256(Buffer.from(`${salt}value ${i}`)),
  ]);
}

/** Entries whose keys share their first bits, as an author could grind them. */
export function groundEntries(count: number, sharedBits: number): MapEntry[] {
  const [stem, whole] = [sha256(Buffer.from("stem")), sharedBits >> 3];
  const spare = 0xff >> (sharedBits & 7);
  return Array.from({ length: count }, (_, i) => {
    const key = Uint8Array.from(sha256(Buffer.from(`ground ${i}`)));
    // Counters in the last bytes keep the keys apart where nearly all bits are shared.
    key.set([i >> 8, i & 0xff], 30);
    key.set(stem.subarray(0, whole));
    key[whole] = ((stem[whole] as number) & ~spare) | ((key[whole] as number) & spare);
    return [key, sha256(key)];
  });
}

export function filled(entries: readonly MapEntry[], depth?: number): MapHeap {
  const map = new MapHeap(depth);
  for (const [key, value] of entries) map.set(key, value);
  map.update();
  return map;
}

/** What is left after the writes, in the order of keys. */
export function model(writes: readonly Write[]): MapEntry[] {
  const entries = new Map<string, MapEntry>();
  for (const { key, value } of writes) {
    if (value === undefined) entries.delete(hex(key));
    else entries.set(hex(key), [key, value]);
  }
  return [...entries.values()].sort((a, b) => Buffer.compare(a[0], b[0]));
}

/** Keys near to one another, and keys anywhere. */
export function anyKey(): fc.Arbitrary<Uint8Array> {
  return fc.oneof(
    clusteredKey(),
    fc.nat(200).map((i) => sha256(Buffer.from(`key ${i}`))),
  );
}

export function anyWrites(): fc.Arbitrary<Write[]> {
  const write = fc.record({ key: anyKey(), value: fc.option(fc.nat(50), { nil: undefined }) });
  return fc.array(
    write.map(({ key, value }) => (value === undefined ? { key } : { key, value: sha256(Buffer.of(value)) })),
    { maxLength: 120 },
  );
}
