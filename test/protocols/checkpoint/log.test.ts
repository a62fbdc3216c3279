import assert from "node:assert/strict";
import {
  commitLeafHash,
  logRoot,
  LogTree,
  proveConsistency,
  proveLogInclusion,
  verifyConsistency,
  verifyLogInclusion,
} from "../../../protocols/checkpoint/log.ts";
import { hex } from "../../../protocols/lib/bytes.ts";
import { refused, refusedAny, unhex, vectors } from "./support.ts";

interface LogVectors {
  readonly leaves: readonly string[];
  readonly roots: readonly string[];
  readonly inclusion: readonly { name: string; index: number; size: number; proof: string[]; valid: boolean }[];
  readonly consistency: readonly { name: string; from: number; to: number; proof: string[]; valid: boolean }[];
}

const file = vectors<LogVectors>(new URL("../../../protocols/checkpoint/vectors/log.json", import.meta.url));
const leafHashes = file.leaves.map((leaf) => commitLeafHash(unhex(leaf)));
const leafAt = (i: number): Uint8Array => leafHashes[i] as Uint8Array;
const rootHex = (size: number): Uint8Array => unhex(file.roots[size] as string);

describe("the log of commits (RFC 6962)", () => {
  it("gives the roots of the vectors, whole and incremental", () => {
    const log = new LogTree();
    for (let size = 0; size <= leafHashes.length; size++) {
      assert.equal(hex(logRoot(leafHashes.slice(0, size))), file.roots[size]);
      assert.equal(hex(log.root()), file.roots[size]);
      if (size < leafHashes.length) log.append(leafAt(size));
    }
    for (let size = 0; size <= leafHashes.length; size++) assert.equal(hex(log.rootAt(size)), file.roots[size]);
  });

  for (const { name, index, size, proof, valid } of file.inclusion) {
    it(`inclusion: ${name}`, () => {
      const check = (): void => verifyLogInclusion(rootHex(size), size, index, leafAt(Math.min(index, 7)), proof.map(unhex));
      if (!valid) return refused("bad_proof", check);
      check();
      assert.deepEqual(proveLogInclusion(leafAt, index, size).map(hex), proof);
    });
  }

  for (const { name, from, to, proof, valid } of file.consistency) {
    it(`consistency: ${name}`, () => {
      const check = (): void => verifyConsistency(from, rootHex(from), to, rootHex(to), proof.map(unhex));
      if (!valid) return refused("bad_proof", check);
      check();
      assert.deepEqual(proveConsistency(leafAt, from, to).map(hex), proof);
    });
  }

  it("T30 proves every leaf and every pair of sizes up to 70, and refuses each proof that is cut, stretched or altered", () => {
    const leaves = Array.from({ length: 70 }, (_, i) => commitLeafHash(Buffer.from(`commit ${i}`)));
    const log = new LogTree();
    for (const leaf of leaves) log.append(leaf);
    for (let size = 1; size <= leaves.length; size++) {
      const root = logRoot(leaves.slice(0, size));
      for (let i = 0; i < size; i++) {
        const proof = log.inclusion(i, size);
        verifyLogInclusion(root, size, i, log.leafHash(i), proof);
        for (const wrong of spoiled(proof))
          refusedAny(() => verifyLogInclusion(root, size, i, log.leafHash(i), wrong), `${i} of ${size}`);
      }
      for (let from = 0; from <= size; from++) {
        const proof = log.consistency(from, size);
        verifyConsistency(from, log.rootAt(from), size, root, proof);
        for (const wrong of spoiled(proof)) {
          refusedAny(() => verifyConsistency(from, log.rootAt(from), size, root, wrong), `${from} to ${size}`);
        }
      }
    }
  });

  it("T27 refuses a history that does not continue the one before", () => {
    const [one, two] = [new LogTree(), new LogTree()];
    for (let i = 0; i < 9; i++) {
      one.append(commitLeafHash(Buffer.from(`commit ${i}`)));
      two.append(commitLeafHash(Buffer.from(i === 3 ? "rewritten" : `commit ${i}`)));
    }
    refused("bad_proof", () => verifyConsistency(5, one.rootAt(5), 9, two.root(), two.consistency(5, 9)));
    refused("bad_proof", () => verifyConsistency(9, one.root(), 9, two.root(), []));
  });

  it("T51 refuses sizes and indexes that no log has", () => {
    const [root, leaf] = [rootHex(1), leafAt(0)];
    for (const [index, size] of [
      [1, 1],
      [-1, 1],
      [0, 0],
      [0.5, 1],
      [0, 2 ** 48],
      [NaN, NaN],
    ] as const) {
      refused("bad_proof", () => verifyLogInclusion(root, size, index, leaf, []));
    }
    refused("bad_proof", () => verifyConsistency(2, root, 1, root, []));
    refused("bad_proof", () => new LogTree().leafHash(0));
    refused("bad_proof", () => new LogTree().rootAt(1));
    refused("limit_exceeded", () => new LogTree().append(unhex("00")));
  });
});

function spoiled(proof: readonly Uint8Array[]): Uint8Array[][] {
  const out: Uint8Array[][] = [[...proof, new Uint8Array(32)]];
  if (proof.length > 0) out.push(proof.slice(1), proof.slice(0, -1));
  proof.forEach((hash, i) => {
    const changed = Uint8Array.from(hash);
    changed[i % 32] = (changed[i % 32] as number) ^ 1;
    out.push(proof.with(i, changed));
  });
  return out;
}
