import assert from "node:assert/strict";
import fc from "fast-check";
import {
  bitAt,
  combine,
  EMPTY,
  isEmpty,
  isLeaf,
  leafHash,
  type MapEntry,
  nodeHash,
  rootOf,
} from "../../../protocols/checkpoint/map.ts";
import {
  decodeMapProof,
  encodeMapProof,
  type MapProof,
  prove,
  verifyAbsence,
  verifyInclusion,
} from "../../../protocols/checkpoint/map-proof.ts";
import { ReferenceMap } from "../../../protocols/checkpoint/map-reader.ts";
import type { ProtocolErrorCode } from "../../../protocols/lib/errors.ts";
import { hex } from "../../../protocols/lib/bytes.ts";
import { clusteredKey, refused, refusedAny, sampleEntries, unhex, vectors } from "./support.ts";

interface MapVectors {
  readonly roots: readonly { name: string; entries: [string, string][]; root: string }[];
  readonly proofs: readonly ProofVector[];
}

interface ProofVector {
  readonly name: string;
  readonly root: string;
  readonly key: string;
  readonly value: string | null;
  readonly proof: string;
  readonly error: ProtocolErrorCode | null;
}

const file = vectors<MapVectors>(new URL("../../../protocols/checkpoint/vectors/map.json", import.meta.url));
const at = (entries: readonly MapEntry[], i: number): MapEntry => entries[i] as MapEntry;

describe("the authenticated map", () => {
  for (const { name, entries, root } of file.roots) {
    it(`root: ${name}`, () => {
      const pairs = entries.map(([key, value]): MapEntry => [unhex(key), unhex(value)]);
      assert.equal(hex(rootOf(pairs)), root);
      assert.equal(hex(rootOf(pairs.toReversed())), root);
      assert.equal(hex(new ReferenceMap(pairs).root), root);
    });
  }

  for (const { name, root, key, value, proof, error } of file.proofs) {
    it(`proof: ${name}`, () => {
      const check = (): MapProof => {
        const decoded = decodeMapProof(unhex(proof));
        if (value === null) verifyAbsence(unhex(root), unhex(key), decoded);
        else verifyInclusion(unhex(root), unhex(key), unhex(value), decoded);
        return decoded;
      };
      if (error !== null) return refused(error, check);
      assert.equal(hex(encodeMapProof(check())), proof);
    });
  }

  it("labels leaves and nodes by the top bit, and lets a lone leaf rise", () => {
    const leaf = leafHash(unhex("11".repeat(32)), unhex("22".repeat(32)));
    const node = nodeHash(leaf, leaf);
    assert.ok(isLeaf(leaf) && !isLeaf(node) && !isLeaf(EMPTY) && isEmpty(EMPTY) && !isEmpty(leaf));
    assert.equal(combine(EMPTY, leaf), leaf);
    assert.equal(combine(leaf, EMPTY), leaf);
    assert.ok(isEmpty(combine(EMPTY, EMPTY)));
    assert.deepEqual(combine(EMPTY, node), nodeHash(EMPTY, node));
    assert.deepEqual(combine(leaf, leaf), node);
    assert.equal(bitAt(unhex("80"), 0), 1);
    assert.equal(bitAt(unhex("01"), 7), 1);
    assert.equal(bitAt(unhex("7e"), 0), 0);
    refused("out_of_order", () => rootOf([at(sampleEntries(1), 0), at(sampleEntries(1), 0)]));
    refused("schema", () => leafHash(unhex("11"), unhex("22".repeat(32))));
  });

  it("proves what is there and what is not, for keys that share many bits too", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(clusteredKey(), { minLength: 1, maxLength: 24, selector: hex }),
        clusteredKey(),
        (keys, probe) => {
          const entries = keys.map((key, i): MapEntry => [key, unhex(i.toString(16).padStart(64, "0"))]);
          const map = new ReferenceMap(entries);
          assert.deepEqual(map.root, rootOf(entries));
          for (const [key, value] of entries) {
            const { found, proof } = prove(map, key);
            assert.ok(found);
            verifyInclusion(map.root, key, value, decodeMapProof(encodeMapProof(proof)));
            refused("bad_proof", () => verifyAbsence(map.root, key, proof));
          }
          if (keys.some((key) => hex(key) === hex(probe))) return;
          const { found, proof } = prove(map, probe);
          assert.ok(!found);
          verifyAbsence(map.root, probe, decodeMapProof(encodeMapProof(proof)));
          refusedAny(() => verifyInclusion(map.root, probe, unhex("00".repeat(32)), proof), "inclusion of an absent key");
        },
      ),
      { numRuns: 150, seed: 7 },
    );
  });

  it("T30 refuses a proof with any bit of any hash changed, a level cut or added, or for another value", () => {
    const entries = sampleEntries(40);
    const map = new ReferenceMap(entries);
    const [key, value] = at(entries, 5);
    const { proof } = prove(map, key);
    const other = at(entries, 6);
    refused("bad_proof", () => verifyInclusion(map.root, key, other[1], proof));
    refused("bad_proof", () => verifyInclusion(map.root, other[0], value, proof));
    for (const siblings of [
      proof.siblings.slice(1),
      proof.siblings.slice(0, -1),
      [EMPTY, ...proof.siblings],
      [...proof.siblings, EMPTY],
    ]) {
      refused("bad_proof", () => verifyInclusion(map.root, key, value, { siblings }));
    }
    const bytes = encodeMapProof(proof);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Uint8Array.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (0x80 >> (bit & 7));
      refusedAny(() => verifyInclusion(map.root, key, value, decodeMapProof(changed)), `bit ${bit}`);
    }
    for (let length = 0; length < bytes.length; length++)
      refusedAny(() => decodeMapProof(bytes.subarray(0, length)), `cut at ${length}`);
    refused("bad_frame", () => decodeMapProof(Buffer.concat([bytes, Buffer.alloc(1)])));
  });

  it("T30 refuses an inner node as the other leaf, a leaf from elsewhere, and the key as its own absence", () => {
    const entries = sampleEntries(3);
    const map = new ReferenceMap(entries);
    const [key, value] = at(entries, 0);
    const { proof } = prove(map, key);
    refused("bad_proof", () => verifyAbsence(map.root, key, { ...proof, leaf: [key, value] }));
    refused("bad_proof", () =>
      verifyAbsence(map.root, key, { siblings: [], leaf: [map.nodeAt(unhex("00".repeat(32)), 1), EMPTY] }),
    );
    const stranger = Uint8Array.from(key);
    stranger[0] = (stranger[0] as number) ^ 0x80;
    refused("bad_proof", () => verifyAbsence(map.root, stranger, { ...proof, leaf: [key, value] }));
    refused("bad_proof", () => verifyInclusion(map.root, key, value, { ...proof, leaf: [key, value] }));
    refused("bad_proof", () => verifyInclusion(map.root, key, value, { siblings: Array.from({ length: 257 }, () => EMPTY) }));
  });
});
