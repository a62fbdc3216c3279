import assert from "node:assert/strict";
import fc from "fast-check";
import type { MapEntry } from "../../../protocols/checkpoint/map.ts";
import {
  decodeMultiproof,
  encodeMultiproof,
  MULTIPROOF_KEYS_MAX,
  proveMany,
  verifyMultiproof,
} from "../../../protocols/checkpoint/map-proof.ts";
import type { Claim } from "../../../protocols/checkpoint/map-multiproof.ts";
import { ReferenceMap } from "../../../protocols/checkpoint/map-reader.ts";
import { compare, hex } from "../../../protocols/lib/bytes.ts";
import type { ProtocolErrorCode } from "../../../protocols/lib/errors.ts";
import { clusteredKey, refused, refusedAny, sampleEntries, unhex, vectors } from "./support.ts";

interface MultiproofVector {
  readonly name: string;
  readonly root: string;
  readonly claims: readonly [string, string | null][];
  readonly proof: string;
  readonly error: ProtocolErrorCode | null;
}

const file = vectors<{ proofs: MultiproofVector[] }>(
  new URL("../../../protocols/checkpoint/vectors/multiproof.json", import.meta.url),
);

describe("the proof of many keys", () => {
  for (const { name, root, claims, proof, error } of file.proofs) {
    it(name, () => {
      const pairs = claims.map(([key, value]): Claim => [unhex(key), value === null ? undefined : unhex(value)]);
      const check = (): void => verifyMultiproof(unhex(root), pairs, decodeMultiproof(unhex(proof)));
      if (error !== null) return refused(error, check);
      check();
      assert.equal(hex(encodeMultiproof(decodeMultiproof(unhex(proof)))), proof);
    });
  }

  it("proves any batch over any map, and no claim turned round", () => {
    const keys = fc.uniqueArray(clusteredKey(), { minLength: 1, maxLength: 20, selector: hex });
    fc.assert(
      fc.property(fc.uniqueArray(clusteredKey(), { maxLength: 20, selector: hex }), keys, (stored, asked) => {
        const entries = stored.map((key, i): MapEntry => [key, unhex(i.toString(16).padStart(64, "0"))]);
        const map = new ReferenceMap(entries);
        const values = new Map(entries.map(([key, value]) => [hex(key), value]));
        const claims = asked.toSorted(compare).map((key): Claim => [key, values.get(hex(key))]);
        const proof = proveMany(
          map,
          claims.map((claim) => claim[0]),
        );
        verifyMultiproof(map.root, claims, decodeMultiproof(encodeMultiproof(proof)));
        claims.forEach(([key, value], i) => {
          const turned = claims.with(i, [key, value === undefined ? unhex("ff".repeat(32)) : undefined]);
          refused("bad_proof", () => verifyMultiproof(map.root, turned, proof));
        });
      }),
      { numRuns: 150, seed: 11 },
    );
  });

  it("T30 refuses a proof with any bit changed, or cut anywhere", () => {
    const entries = sampleEntries(30);
    const map = new ReferenceMap(entries);
    const claims = [...entries.slice(0, 6), ...sampleEntries(3, "absent").map(([key]): Claim => [key, undefined])].sort((a, b) =>
      compare(a[0], b[0]),
    );
    const bytes = encodeMultiproof(
      proveMany(
        map,
        claims.map((claim) => claim[0]),
      ),
    );
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Uint8Array.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (0x80 >> (bit & 7));
      refusedAny(() => verifyMultiproof(map.root, claims, decodeMultiproof(changed)), `bit ${bit}`);
    }
    for (let length = 0; length < bytes.length; length++)
      refusedAny(() => decodeMultiproof(bytes.subarray(0, length)), `cut at ${length}`);
  });

  it("T51 bounds the batch, the depth and the announced counts", () => {
    const map = new ReferenceMap(sampleEntries(2));
    const keys = Array.from({ length: MULTIPROOF_KEYS_MAX + 1 }, (_, i) => unhex(i.toString(16).padStart(64, "0")));
    refused("limit_exceeded", () => proveMany(map, keys));
    refused("limit_exceeded", () => proveMany(map, []));
    const endless = { codes: new Uint8Array(600).fill(1), hashes: [], leaves: [] };
    refused("bad_proof", () => verifyMultiproof(map.root, [[unhex("00".repeat(32)), undefined]], endless));
    refused("limit_exceeded", () => decodeMultiproof(unhex("ffffffff")));
  });
});
