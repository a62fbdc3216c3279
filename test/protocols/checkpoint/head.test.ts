import assert from "node:assert/strict";
import {
  type Commit,
  COMMIT_BYTES_MAX,
  decodeCommit,
  encodeCommit,
  ROOT_KINDS_MAX,
} from "../../../protocols/checkpoint/commit.ts";
import { decodeHead, encodeHead, HEAD_BYTES_MAX, type SignedHead, verifyHead } from "../../../protocols/checkpoint/head.ts";
import { fromUtf8, hex, utf8 } from "../../../protocols/lib/bytes.ts";
import type { ProtocolErrorCode } from "../../../protocols/lib/errors.ts";
import { commit, publish, refused, refusedAny, unhex, vectors } from "./support.ts";

const commits = vectors<{ commits: { name: string; text: string; error: ProtocolErrorCode | null }[] }>(
  new URL("../../../protocols/checkpoint/vectors/commit.json", import.meta.url),
);
const heads = vectors<{ heads: { name: string; bytes: string; error: ProtocolErrorCode | null; seq: number; size: number }[] }>(
  new URL("../../../protocols/checkpoint/vectors/head.json", import.meta.url),
);

describe("commits", () => {
  for (const { name, text, error } of commits.commits) {
    it(name, () => {
      if (error !== null) return refused(error, () => decodeCommit(utf8(text)));
      assert.equal(fromUtf8(encodeCommit(decodeCommit(utf8(text)))), text);
    });
  }

  it("fits in its bound with every kind of root and the longest names", () => {
    const kinds = Array.from({ length: ROOT_KINDS_MAX - 1 }, (_, i) => [`k${i}`.padEnd(32, "x"), "f".repeat(64)] as const);
    const roots = { map: "f".repeat(64), ...Object.fromEntries(kinds) };
    const top = 2 ** 48 - 1;
    const largest: Commit = {
      agents: top,
      changes: top,
      epoch: 2 ** 32 - 1,
      prev: roots,
      roots,
      seq: top - 1,
      time: 8_640_000_000_000_000,
    };
    const bytes = encodeCommit(largest);
    assert.ok(bytes.length <= COMMIT_BYTES_MAX, `${bytes.length} bytes`);
    assert.deepEqual(decodeCommit(bytes), largest);
    refused("schema", () => encodeCommit({ ...largest, seq: -1 }));
  });
});

describe("signed heads", () => {
  for (const { name, bytes, error, seq, size } of heads.heads) {
    it(name, () => {
      const open = (): SignedHead => decodeHead(unhex(bytes));
      if (error !== null) return refused(error, () => verifyHead(open()));
      const verified = verifyHead(open());
      assert.deepEqual({ seq: verified.commit.seq, size: verified.checkpoint.size }, { seq, size });
      assert.equal(hex(encodeHead(open())), bytes);
    });
  }

  it("T51 refuses a head that is cut anywhere, or too large", () => {
    const bytes = encodeHead(publish([commit(), commit({ seq: 1 }), commit({ seq: 2 })]).head);
    for (let length = 0; length < bytes.length; length++)
      refusedAny(() => decodeHead(bytes.subarray(0, length)), `cut at ${length}`);
    refused("too_large", () => decodeHead(new Uint8Array(HEAD_BYTES_MAX + 1)));
  });
});
