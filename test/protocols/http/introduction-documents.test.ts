import assert from "node:assert/strict";
import { type Hello, HELLO_HEADS_MAX, HELLO_KNOWN_MAX } from "../../../protocols/announce/hello.ts";
import { COMMIT_BYTES_MAX } from "../../../protocols/checkpoint/commit.ts";
import { type SignedHead, verifyHead } from "../../../protocols/checkpoint/head.ts";
import { LOG_PROOF_HASHES_MAX } from "../../../protocols/checkpoint/log.ts";
import { CHECKPOINT_BYTES_MAX } from "../../../protocols/checkpoint/note.ts";
import { openDescriptor } from "../../../protocols/descriptor/codec.ts";
import { DESCRIPTOR_BYTES_MAX } from "../../../protocols/descriptor/descriptor.ts";
import { decodeHeadDocument, encodeHeadDocument, HEAD_DOCUMENT_BYTES_MAX } from "../../../protocols/http/head-document.ts";
import {
  decodeHelloDocument,
  decodeIntroduction,
  encodeHelloDocument,
  encodeIntroduction,
  HELLO_DOCUMENT_BYTES_MAX,
  INTRODUCTION_BYTES_MAX,
} from "../../../protocols/http/introduction-documents.ts";
import { equal, fromUtf8, utf8 } from "../../../protocols/lib/bytes.ts";
import { encodeCanonical } from "../../../protocols/lib/canonical.ts";
import type { ProtocolErrorCode } from "../../../protocols/lib/errors.ts";
import { ACME, refused, refusedAny, vectors } from "../checkpoint/support.ts";
import { NOW } from "../descriptor/support.ts";

interface Vector {
  readonly name: string;
  readonly text: string;
  readonly error: ProtocolErrorCode | null;
  readonly written: boolean;
}

interface Vectors {
  readonly introductions: readonly (Vector & { readonly descriptor: string; readonly size: number | null })[];
  readonly hellos: readonly (Vector & Record<"head" | "yours", number | null> & Record<"known" | "heads", number>)[];
  readonly heads: readonly (Vector & { readonly size: number })[];
}

const file = vectors<Vectors>(new URL("../../../protocols/http/vectors/introduction.json", import.meta.url));

function sizeOf(head: SignedHead | undefined): number | null {
  return head === undefined ? null : verifyHead(head).checkpoint.size;
}

describe("introductions", () => {
  for (const { name, text, error, written, descriptor, size } of file.introductions) {
    it(name, () => {
      if (error !== null) return refused(error, () => decodeIntroduction(utf8(text)));
      const introduction = decodeIntroduction(utf8(text));
      assert.equal(fromUtf8(introduction.descriptor), descriptor);
      assert.equal(openDescriptor(introduction.descriptor, NOW).did, ACME.did);
      assert.equal(sizeOf(introduction.head), size);
      assert.equal(fromUtf8(encodeIntroduction(introduction)) === text, written);
    });
  }

  it("T51 refuses one that is cut anywhere, or is no text", () => {
    const { text } = file.introductions[1] as Vector;
    for (let length = 0; length < text.length; length++) {
      refusedAny(() => decodeIntroduction(utf8(text.slice(0, length))), `cut at ${length}`);
    }
    refused("not_utf8", () => decodeIntroduction(Uint8Array.of(0x22, 0xff, 0x22)));
  });
});

describe("answers to an announcement", () => {
  for (const { name, text, error, written, ...expected } of file.hellos) {
    it(name, () => {
      if (error !== null) return refused(error, () => decodeHelloDocument(utf8(text)));
      const hello = decodeHelloDocument(utf8(text));
      const { head, yours, known, heads } = hello;
      const found = { head: sizeOf(head), yours: sizeOf(yours), known: known.length, heads: heads.length };
      assert.deepEqual(found, expected);
      assert.equal(fromUtf8(encodeHelloDocument(hello)) === text, written);
    });
  }
});

describe("heads", () => {
  for (const { name, text, error, size } of file.heads) {
    it(name, () => {
      if (error !== null) return refused(error, () => decodeHeadDocument(utf8(text)));
      assert.equal(sizeOf(decodeHeadDocument(utf8(text))), size);
      assert.equal(fromUtf8(encodeHeadDocument(decodeHeadDocument(utf8(text)))), text);
    });
  }
});

describe("the largest introductions", () => {
  const padded = (bytesMax: number): Uint8Array => encodeCanonical({ text: "x".repeat(bytesMax - '{"text":""}'.length) });
  const head: SignedHead = {
    note: "\n".repeat(CHECKPOINT_BYTES_MAX),
    commit: padded(COMMIT_BYTES_MAX),
    logProof: Array.from({ length: LOG_PROOF_HASHES_MAX }, () => new Uint8Array(32)),
  };
  const descriptor = padded(DESCRIPTOR_BYTES_MAX);
  const known = Array.from({ length: HELLO_KNOWN_MAX }, () => descriptor);
  const heads = Array.from({ length: HELLO_HEADS_MAX }, () => head);
  const hello: Hello = { descriptor, head, yours: head, known, heads };

  it("T51 fit in their bounds", () => {
    const sizes: [number, number][] = [
      [encodeHeadDocument(head).length, HEAD_DOCUMENT_BYTES_MAX],
      [encodeIntroduction({ descriptor, head }).length, INTRODUCTION_BYTES_MAX],
      [encodeHelloDocument(hello).length, HELLO_DOCUMENT_BYTES_MAX],
    ];
    for (const [bytes, bytesMax] of sizes) assert.ok(bytes <= bytesMax && bytes > bytesMax * 0.9, `${bytes} of ${bytesMax}`);
    const bytes = encodeHelloDocument(hello);
    assert.ok(equal(encodeHelloDocument(decodeHelloDocument(bytes)), bytes));
  });

  it("T51 refuse more", () => {
    refused("limit_exceeded", () => encodeHelloDocument({ ...hello, known: [...known, descriptor] }));
    refused("limit_exceeded", () => encodeHelloDocument({ ...hello, heads: [...heads, head] }));
    refused("too_large", () => decodeHelloDocument(new Uint8Array(HELLO_DOCUMENT_BYTES_MAX + 1)));
    refused("too_large", () => decodeIntroduction(new Uint8Array(INTRODUCTION_BYTES_MAX + 1)));
    refused("too_large", () => decodeHeadDocument(new Uint8Array(HEAD_DOCUMENT_BYTES_MAX + 1)));
  });
});
