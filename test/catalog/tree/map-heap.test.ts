import assert from "node:assert/strict";
import fc from "fast-check";
import { EMPTY, leafHash, rootOf, type MapEntry } from "../../../protocols/checkpoint/map.ts";
import { hex } from "../../../protocols/lib/bytes.ts";
import { sha256 } from "../../../protocols/lib/hash.ts";
import {
  BUCKET_LEAVES_GROW,
  HEAP_DEPTH_MAX,
  HEAP_DEPTH_MIN,
  MapHeap,
  subtreeHashOf,
} from "../../../src/catalog/tree/map-heap.ts";
import { LEAF_BYTES, Slab } from "../../../src/catalog/tree/slab.ts";
import { anyKey, anyWrites, filled, groundEntries, model, sample, type Write } from "./support.ts";

function apply(map: MapHeap, writes: readonly Write[]): void {
  for (const { key, value } of writes) {
    if (value === undefined) map.delete(key);
    else map.set(key, value);
  }
}

function rootAfter(map: MapHeap): string {
  map.update();
  return hex(map.root());
}

describe("catalogue tree: the root", () => {
  it("is EMPTY without keys and a leaf with one", () => {
    const map = new MapHeap();
    assert.equal(rootAfter(map), hex(EMPTY));
    const [entry] = sample(1) as [MapEntry];
    map.set(...entry);
    assert.equal(rootAfter(map), hex(leafHash(...entry)));
    map.delete(entry[0]);
    assert.equal(rootAfter(map), hex(EMPTY));
  });

  it("is the definition's after any writes, brought up to date at any time", () => {
    fc.assert(
      fc.property(fc.array(anyWrites(), { maxLength: 4 }), (rounds) => {
        const map = new MapHeap();
        for (const writes of rounds) {
          apply(map, writes);
          map.update();
        }
        const entries = model(rounds.flat());
        assert.equal(hex(map.root()), hex(rootOf(entries)));
        assert.equal(map.size, entries.length);
      }),
      { numRuns: 300 },
    );
  });

  it("does not depend on the order of writes, nor on what was there before", () => {
    fc.assert(
      fc.property(
        fc
          .uniqueArray(anyKey(), { selector: hex, maxLength: 60 })
          .chain((keys) => fc.tuple(fc.constant(keys), fc.shuffledSubarray(keys, { minLength: keys.length }), fc.subarray(keys))),
        ([keys, shuffled, passing]) => {
          const [one, other] = [new MapHeap(), new MapHeap(6)];
          for (const key of keys) one.set(key, sha256(key));
          for (const key of passing) other.set(key, EMPTY);
          other.update();
          for (const key of passing.toReversed()) other.delete(key);
          for (const key of shuffled) other.set(key, sha256(key));
          assert.equal(rootAfter(other), rootAfter(one));
        },
      ),
      { numRuns: 200 },
    );
  });

  it("stays the definition's while the map grows level by level and shrinks again", () => {
    const entries = sample(2_000);
    const map = new MapHeap();
    for (const [i, entry] of entries.entries()) {
      map.set(...entry);
      if (i % 333 === 0) assert.equal(rootAfter(map), hex(rootOf(entries.slice(0, i + 1))), `${i + 1} entries`);
    }
    map.update();
    assert.equal(map.depth, MapHeap.depthFor(entries.length));
    assert.ok(map.depth > HEAP_DEPTH_MIN + 2);
    for (const [i, [key]] of entries.entries()) {
      map.delete(key);
      if (i % 333 === 0) assert.equal(rootAfter(map), hex(rootOf(entries.slice(i + 1))), `without ${i + 1} entries`);
    }
    assert.equal(rootAfter(map), hex(EMPTY));
    assert.equal(map.depth, MapHeap.depthFor(2_000), "it never gets shallower");
  });

  it("stays the definition's with ground keys that overflow their bucket", () => {
    for (const sharedBits of [8, 100, 240]) {
      const entries = [...groundEntries(400, sharedBits), ...sample(50)];
      const map = filled(entries);
      assert.equal(hex(map.root()), hex(rootOf(entries)), `${sharedBits} bits`);
      for (const [key] of entries.slice(0, 300)) map.delete(key);
      assert.equal(rootAfter(map), hex(rootOf(entries.slice(300))), `${sharedBits} bits, after deletes`);
    }
  });

  it("holds a bucket larger than a chunk of memory", () => {
    const entries = groundEntries(20_000, 64);
    const map = new MapHeap();
    for (const entry of entries) map.set(...entry);
    map.update();
    assert.ok(map.depth > HEAP_DEPTH_MIN);
    assert.equal(hex(map.root()), hex(rootOf(entries)));
    assert.deepEqual(map.get((entries[12_345] as MapEntry)[0]), Uint8Array.from((entries[12_345] as MapEntry)[1]));
  });

  it("is the same whether room was made ahead or not", () => {
    const entries = sample(500);
    const map = new MapHeap();
    map.reserve(100_000);
    for (const entry of entries) map.set(...entry);
    assert.equal(rootAfter(map), hex(rootOf(entries)));
    assert.equal(map.depth, MapHeap.depthFor(100_000));
  });
});

describe("catalogue tree: entries", () => {
  it("gives, replaces and removes values like a map, in copies", () => {
    fc.assert(
      fc.property(anyWrites(), (writes) => {
        const map = new MapHeap();
        const expected = new Map<string, string>();
        for (const { key, value } of writes) {
          const before = value === undefined ? map.delete(key) : map.set(key, value);
          assert.equal(before && hex(before), expected.get(hex(key)));
          if (value === undefined) expected.delete(hex(key));
          else expected.set(hex(key), hex(value));
        }
        for (const { key } of writes) {
          const value = map.get(key);
          assert.equal(value && hex(value), expected.get(hex(key)));
          value?.fill(0xff);
        }
        for (const [key, value] of expected) assert.equal(hex(map.get(Buffer.from(key, "hex")) ?? EMPTY), value);
        assert.equal(map.size, expected.size);
      }),
    );
  });

  it("has a depth that fits the number of leaves", () => {
    assert.equal(MapHeap.depthFor(0), HEAP_DEPTH_MIN);
    assert.equal(MapHeap.depthFor(2 ** HEAP_DEPTH_MIN * BUCKET_LEAVES_GROW), HEAP_DEPTH_MIN);
    assert.equal(MapHeap.depthFor(2 ** HEAP_DEPTH_MIN * BUCKET_LEAVES_GROW + 1), HEAP_DEPTH_MIN + 1);
    assert.equal(MapHeap.depthFor(Number.MAX_SAFE_INTEGER), HEAP_DEPTH_MAX);
  });

  it("uses the memory of freed runs again", () => {
    const slab = new Slab();
    const run = slab.allocate(8);
    slab.release(run, 8);
    assert.equal(slab.allocate(8), run);
    const large = slab.allocate(Slab.room(20_000));
    slab.release(large, Slab.room(20_000));
    assert.equal(slab.allocate(Slab.room(30_000)), large);
    assert.equal(slab.view(large, 30_000).length, 30_000 * LEAF_BYTES);
  });
});

describe("catalogue tree: stored buckets", () => {
  const entries = sample(300);
  const source = filled(entries);
  const index = Array.from({ length: 2 ** source.depth }, (_, i) => i).find(
    (i) => source.bucket(i).length >= 3 * LEAF_BYTES,
  ) as number;
  const bucket = source.bucket(index).slice();

  it("load into the same map", () => {
    const map = new MapHeap(source.depth);
    for (let i = 0; i < 2 ** source.depth; i++) assert.equal(map.loadBucket(i, source.bucket(i)), true);
    map.markStored();
    map.update();
    assert.equal(hex(map.root()), hex(rootOf(entries)));
    assert.equal(map.size, entries.length);
    assert.deepEqual(map.takeChanged(), { all: false, buckets: [] });
  });

  it("T45 are refused when they are junk", () => {
    const [first, second, third] = [0, 1, 2].map((i) => bucket.subarray(i * LEAF_BYTES, (i + 1) * LEAF_BYTES)) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    const junk: Record<string, readonly [number, Uint8Array]> = {
      "half a leaf": [index, bucket.subarray(0, LEAF_BYTES + 32)],
      "out of order": [index, Buffer.concat([second, first, third])],
      "a key twice": [index, Buffer.concat([first, first])],
      "another bucket's": [index ^ 1, bucket],
      "beyond the last bucket": [2 ** source.depth, bucket],
    };
    for (const [name, [at, bytes]] of Object.entries(junk)) {
      const map = new MapHeap(source.depth);
      assert.equal(map.loadBucket(at, bytes), false, name);
      assert.equal(map.size, 0, name);
    }
    const twice = new MapHeap(source.depth);
    assert.equal(twice.loadBucket(index, bucket), true);
    assert.equal(twice.loadBucket(index, bucket), false, "filled already");
  });

  it("are named when they changed: all at first and after growth, else only those", () => {
    const map = filled(entries);
    const all = map.takeChanged();
    assert.equal(all.all, true);
    const filledBuckets = Array.from({ length: 2 ** map.depth }, (_, i) => i).filter((i) => map.bucket(i).length > 0);
    assert.deepEqual(all.buckets, filledBuckets);
    assert.deepEqual(map.takeChanged(), { all: false, buckets: [] });
    const [key] = entries[7] as MapEntry;
    map.delete(key);
    const one = map.takeChanged();
    assert.deepEqual([one.all, one.buckets.length], [false, 1]);
    map.markUnstored(one);
    map.set((entries[7] as MapEntry)[0], EMPTY);
    map.delete(sha256(Buffer.from("not there")));
    assert.deepEqual(map.takeChanged(), one, "a change taken back is still to be stored");
    map.markUnstored({ all: true, buckets: [] });
    assert.equal(map.takeChanged().all, true);
    map.reserve(100_000);
    assert.equal(map.takeChanged().all, true);
  });

  it("give the hash of their subtree alone", () => {
    const depth = source.depth;
    assert.equal(hex(subtreeHashOf(bucket, depth)), hex(source.heapHash(2 ** depth + index)));
    assert.equal(hex(subtreeHashOf(new Uint8Array(0), depth)), hex(EMPTY));
  });
});
