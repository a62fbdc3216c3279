import assert from "node:assert/strict";
import fc from "fast-check";
import type { FrontierEntry } from "../../../protocols/catalog-sync/messages.ts";
import { EMPTY, KEY_BITS, rootOf, type MapEntry } from "../../../protocols/checkpoint/map.ts";
import {
  decodeMapProof,
  encodeMapProof,
  encodeMultiproof,
  prove,
  proveMany,
  verifyAbsence,
  verifyInclusion,
  verifyMultiproof,
} from "../../../protocols/checkpoint/map-proof.ts";
import { ReferenceMap } from "../../../protocols/checkpoint/map-reader.ts";
import { checkPrefixes, containsKey, isPrefixOf, prefixOf, ROOT_PREFIX } from "../../../protocols/checkpoint/prefix.ts";
import { hex } from "../../../protocols/lib/bytes.ts";
import { sha256 } from "../../../protocols/lib/hash.ts";
import type { MapHeap } from "../../../src/catalog/tree/map-heap.ts";
import { LEAF_BYTES } from "../../../src/catalog/tree/slab.ts";
import {
  changesFrontier,
  fold,
  FOLD_BITS_MAX,
  LeafCounts,
  leavesUnder,
  subtreeHash,
  wholeFrontier,
} from "../../../src/catalog/tree/subtrees.ts";
import { mapReader } from "../../../src/catalog/tree/reader.ts";
import { refused } from "../../protocols/checkpoint/support.ts";
import { anyKey, anyWrites, filled, groundEntries, model, sample } from "./support.ts";

const mixed: MapEntry[] = [...sample(800), ...groundEntries(60, 90), ...groundEntries(60, 7)];
const map = filled(mixed);
const reference = new ReferenceMap(mixed);

function keysUnder(heap: MapHeap, prefix: Parameters<typeof leavesUnder>[1]): string[] {
  const leaves = leavesUnder(heap, prefix);
  return Array.from({ length: leaves.length / LEAF_BYTES }, (_, i) => hex(leaves.subarray(i * LEAF_BYTES, i * LEAF_BYTES + 32)));
}

describe("catalogue tree: subtrees", () => {
  it("have the reference's hash at every depth, along keys that are there and keys that are not", () => {
    const keys = [...mixed.filter((_, i) => i % 61 === 0).map(([key]) => key), ...sample(5, "absent ").map(([key]) => key)];
    for (const key of keys) {
      for (let depth = 0; depth <= KEY_BITS; depth++) {
        assert.equal(hex(subtreeHash(map, prefixOf(key, depth))), hex(reference.nodeAt(key, depth)), `${hex(key)} at ${depth}`);
      }
    }
  });

  it("have their leaves in order, and as many as are counted", () => {
    const sorted = mixed.map(([key]) => key).sort(Buffer.compare);
    const counts = new LeafCounts(map);
    for (const [key] of mixed.filter((_, i) => i % 91 === 0)) {
      for (const depth of [0, 1, 3, map.depth - 1, map.depth, map.depth + 1, 40, 89, 90, 91, 200, 256]) {
        const prefix = prefixOf(key, depth);
        const expected = sorted.filter((other) => containsKey(prefix, other)).map(hex);
        assert.deepEqual(keysUnder(map, prefix), expected, `depth ${depth}`);
        assert.equal(counts.under(prefix), expected.length);
      }
    }
  });

  it("have both, in any map", () => {
    fc.assert(
      fc.property(anyWrites(), anyKey(), fc.integer({ min: 0, max: KEY_BITS }), (writes, key, depth) => {
        const entries = model(writes);
        const heap = filled(entries);
        const prefix = prefixOf(key, depth);
        const inside = entries.filter(([other]) => containsKey(prefix, other));
        assert.deepEqual(
          keysUnder(heap, prefix),
          inside.map(([other]) => hex(other)),
        );
        assert.equal(hex(subtreeHash(heap, prefix)), hex(new ReferenceMap(entries).nodeAt(key, depth)));
      }),
    );
  });
});

describe("catalogue tree: proofs", () => {
  const root = map.root();
  const reader = mapReader(map);

  it("of keys that are there verify, also after the wire", () => {
    for (const [key, value] of mixed.filter((_, i) => i % 7 === 0)) {
      const { found, proof } = prove(reader, key);
      assert.equal(found, true);
      verifyInclusion(root, key, value, decodeMapProof(encodeMapProof(proof)));
      refused("bad_proof", () => verifyInclusion(root, key, EMPTY, proof));
    }
  });

  it("of keys that are not there verify", () => {
    const absent = [
      ...sample(100, "absent ").map(([key]) => key),
      ...groundEntries(65, 90)
        .slice(60)
        .map(([key]) => key),
    ];
    for (const key of absent) {
      const { found, proof } = prove(reader, key);
      assert.equal(found, false);
      verifyAbsence(root, key, decodeMapProof(encodeMapProof(proof)));
    }
  });

  it("of many keys at once are the reference's", () => {
    const keys = [...mixed.filter((_, i) => i % 5 === 0), ...sample(20, "absent ")].map(([key]) => key).sort(Buffer.compare);
    const proof = proveMany(reader, keys);
    assert.equal(hex(encodeMultiproof(proof)), hex(encodeMultiproof(proveMany(reference, keys))));
    const values = new Map(mixed.map(([key, value]) => [hex(key), value]));
    const claims = keys.map((key) => [key, values.get(hex(key))] as const);
    verifyMultiproof(root, claims, proof);
  });
});

describe("catalogue tree: frontiers", () => {
  const changesMax = 16;

  it("of a whole map are ascending, prefix-free, bounded, and fold from nothing", () => {
    const frontier = wholeFrontier(map, changesMax);
    checkPrefixes(frontier.map(({ prefix }) => prefix));
    assert.ok(frontier.every(({ changes }) => changes <= changesMax));
    assert.equal(
      frontier.reduce((sum, { changes }) => sum + changes, 0),
      mixed.length,
    );
    assert.equal(hex(fold(filled([]), frontier)), hex(map.root()));
    assert.deepEqual(wholeFrontier(filled([]), changesMax), [{ prefix: ROOT_PREFIX, hash: EMPTY, changes: 0 }]);
  });

  it("of a subtree cover all of it, the empty parts too", () => {
    for (const [key] of mixed.filter((_, i) => i % 101 === 0)) {
      for (const depth of [1, 5, 9, 80, 90, 100, 256]) {
        const prefix = prefixOf(key, depth);
        const frontier = wholeFrontier(map, changesMax, prefix);
        checkPrefixes(frontier.map((entry) => entry.prefix));
        assert.ok(frontier.every((entry) => isPrefixOf(prefix, entry.prefix)));
        const covered = frontier.reduce((sum, entry) => sum + 2 ** -(entry.prefix.length - depth), 0);
        if (depth < 50) assert.equal(covered, 1, `depth ${depth}`);
        // A map that is wrong all over, but only inside the prefix, becomes right.
        const wrong = mixed.map(([k, v]): MapEntry => (containsKey(prefix, k) ? [k, sha256(v)] : [k, v]));
        assert.equal(hex(fold(filled(wrong), frontier)), hex(map.root()), `depth ${depth}`);
      }
    }
  });

  it("of changes fold over the old map into the new root", () => {
    fc.assert(
      fc.property(anyWrites(), anyWrites(), fc.integer({ min: 1, max: 20 }), (before, after, max) => {
        const old = filled(model(before));
        const now = filled(model([...before, ...after]));
        const keys = model(after.map(({ key }) => ({ key, value: EMPTY }))).map(([key]) => key);
        const frontier = changesFrontier(now, keys, max);
        checkPrefixes(frontier.map(({ prefix }) => prefix));
        assert.equal(
          frontier.reduce((sum, { changes }) => sum + changes, 0),
          keys.length,
        );
        assert.ok(frontier.every(({ changes }) => changes >= 1 && changes <= max));
        let next = 0;
        for (const { prefix, changes } of frontier) {
          for (const key of keys.slice(next, next + changes)) assert.ok(containsKey(prefix, key));
          next += changes;
        }
        assert.equal(hex(fold(old, frontier)), hex(rootOf(model([...before, ...after]))));
      }),
      { numRuns: 300 },
    );
  });

  it("fold to another root when any hash or prefix of theirs is changed", () => {
    const changed = [...mixed.slice(0, 40).map(([key]): MapEntry => [key, EMPTY]), ...mixed.slice(80)];
    const now = filled(changed);
    const keys = mixed
      .slice(0, 80)
      .map(([key]) => key)
      .sort(Buffer.compare);
    const frontier = changesFrontier(now, keys, 4);
    assert.equal(hex(fold(map, frontier)), hex(now.root()));
    frontier.forEach((entry, i) => {
      const other = (instead: FrontierEntry[]): string =>
        hex(fold(map, [...frontier.slice(0, i), ...instead, ...frontier.slice(i + 1)]));
      assert.notEqual(other([{ ...entry, hash: sha256(entry.hash) }]), hex(now.root()));
      if (hex(subtreeHash(map, entry.prefix)) !== hex(entry.hash)) assert.notEqual(other([]), hex(now.root()));
    });
  });

  it("T51 cost no more than a bound to fold", () => {
    const keys = sample(FOLD_BITS_MAX / KEY_BITS + 1)
      .map(([key]) => key)
      .sort(Buffer.compare);
    const deep = keys.map((key): FrontierEntry => ({ prefix: prefixOf(key, KEY_BITS), hash: Buffer.alloc(32, 1), changes: 1 }));
    refused("limit_exceeded", () => fold(map, deep));
    const started = process.cpuUsage();
    fold(map, deep.slice(1));
    const spentMs = process.cpuUsage(started).user / 1_000;
    assert.ok(spentMs < 8_000, `folding ${FOLD_BITS_MAX} bits took ${Math.round(spentMs)} ms`);
  });
});
