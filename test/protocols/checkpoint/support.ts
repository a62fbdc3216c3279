import assert from "node:assert/strict";
import { createPrivateKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { didKey } from "../../../protocols/lib/did.ts";
import { ProtocolError, type ProtocolErrorCode } from "../../../protocols/lib/errors.ts";
import { sha256 } from "../../../protocols/lib/hash.ts";
import { type Commit, encodeCommit } from "../../../protocols/checkpoint/commit.ts";
import type { SignedHead } from "../../../protocols/checkpoint/head.ts";
import { commitLeafHash, LogTree } from "../../../protocols/checkpoint/log.ts";
import type { MapEntry } from "../../../protocols/checkpoint/map.ts";
import { checkpointOrigin, encodeCheckpoint } from "../../../protocols/checkpoint/note.ts";

/** Keys of RFC 8032 §7.1, tests 1 and 2: seed and public key. */
export const ACME: TestKey = testKey(
  "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
);
export const OTHER: TestKey = testKey(
  "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
  "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
);

export interface TestKey {
  readonly did: string;
  readonly publicKey: Uint8Array;
  readonly sign: (bytes: Uint8Array) => Uint8Array;
}

function testKey(seed: string, publicKey: string): TestKey {
  const pkcs8 = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), Buffer.from(seed, "hex")]);
  const key = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
  const bytes = Buffer.from(publicKey, "hex");
  return { did: didKey(bytes), publicKey: bytes, sign: (message) => sign(null, message, key) };
}

/** Entries whose keys and values are hashes of counters, so that tests need no chance. */
export function sampleEntries(count: number, salt = "sample"): MapEntry[] {
  return Array.from({ length: count }, (_, i) => [
    sha256(Buffer.from(`${salt} key ${i}`)),
    sha256(Buffer.from(`${salt} value ${i}`)),
  ]);
}

export function unhex(text: string): Uint8Array {
  return Buffer.from(text, "hex");
}

export function commit(fields: Partial<Commit> = {}): Commit {
  const zero = "0".repeat(64);
  return {
    agents: 0,
    changes: 0,
    epoch: 0,
    prev: { map: zero },
    roots: { map: zero },
    seq: 0,
    time: 1_760_000_000_000,
    ...fields,
  };
}

/** A log of the given commits and the head that a registry would publish for it. */
export function publish(commits: readonly Commit[], key: TestKey = ACME, epoch = 0): { head: SignedHead; log: LogTree } {
  const log = new LogTree();
  const bytes = commits.map(encodeCommit);
  for (const leaf of bytes) log.append(commitLeafHash(leaf));
  const note = encodeCheckpoint({ origin: checkpointOrigin(key.did, epoch), size: log.size, root: log.root() }, key.sign);
  const last = bytes.at(-1) as Uint8Array;
  return { head: { note, commit: last, logProof: log.inclusion(log.size - 1, log.size) }, log };
}

export function refused(code: ProtocolErrorCode, run: () => unknown, what?: string): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof ProtocolError, `${what ?? ""}: ${String(error)}`);
    assert.equal(error.code, code, `${what ?? ""}: ${error.message}`);
    return true;
  });
}

export function refusedAny(run: () => unknown, what: string): void {
  assert.throws(run, (error) => error instanceof ProtocolError, what);
}

export function vectors<T>(url: URL): T {
  return JSON.parse(readFileSync(url, "utf8")) as T;
}

/** Keys that differ in few bits, at either end, so that deep and lopsided tries come up. */
export function clusteredKey(): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(fc.integer({ min: 0, max: 7 }), fc.integer({ min: 0, max: 3 }), fc.constantFrom(0, 3, 31))
    .map(([high, low, position]) => {
      const key = new Uint8Array(32);
      key[0] = high << 5;
      key[position] = (key[position] as number) | low;
      return key;
    });
}
