import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { PAGE_REQUEST_BYTES_MAX, pageBytesMax } from "../../../protocols/http/catalog-documents.ts";
import { DID_DOCUMENT_BYTES_MAX } from "../../../protocols/http/did-document.ts";
import { HEAD_DOCUMENT_BYTES_MAX } from "../../../protocols/http/head-document.ts";
import { HELLO_DOCUMENT_BYTES_MAX, INTRODUCTION_BYTES_MAX } from "../../../protocols/http/introduction-documents.ts";
import { PROBLEM_BYTES_MAX } from "../../../protocols/http/problem.ts";

const rest = readFileSync(new URL("../../../protocols/http/rest.md", import.meta.url), "utf8");
const table = readFileSync(new URL("../../../protocols/README.md", import.meta.url), "utf8");

function spelt(bytes: number): string {
  return bytes.toLocaleString("en-US");
}

describe("the written bounds of the REST documents", () => {
  const inRest = {
    "a page with proofs change": pageBytesMax("change"),
    "a page with proofs multi": pageBytesMax("multi"),
    "a page with proofs none": pageBytesMax("none"),
    "a request for a page": PAGE_REQUEST_BYTES_MAX,
    "an introduction": INTRODUCTION_BYTES_MAX,
    "an answer to an announcement": HELLO_DOCUMENT_BYTES_MAX,
    "a head": HEAD_DOCUMENT_BYTES_MAX,
    "a DID document": DID_DOCUMENT_BYTES_MAX,
    "a problem": PROBLEM_BYTES_MAX,
  };
  for (const [what, bytes] of Object.entries(inRest)) {
    it(`are those of the code: ${what}`, () => assert.ok(rest.includes(spelt(bytes)), spelt(bytes)));
  }

  it("stand in the table of all contracts", () => {
    const named = [pageBytesMax("change"), PAGE_REQUEST_BYTES_MAX, INTRODUCTION_BYTES_MAX, HELLO_DOCUMENT_BYTES_MAX];
    for (const bytes of named) assert.ok(table.includes(spelt(bytes)), spelt(bytes));
  });
});
