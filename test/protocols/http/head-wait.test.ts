import assert from "node:assert/strict";
import { parse } from "node:querystring";
import { encodeHeadWait, headWaitSchema, readHeadWait, type HeadWait } from "../../../protocols/http/head-wait.ts";
import { vectors } from "../checkpoint/support.ts";

interface QueryVector {
  readonly name: string;
  readonly query: string;
  readonly isRefused: boolean;
  readonly wait: HeadWait | null;
  readonly written: boolean;
}

const { queries } = vectors<{ queries: QueryVector[] }>(
  new URL("../../../protocols/http/vectors/head-wait.json", import.meta.url),
);

describe("waiting for news: the query", () => {
  for (const { name, query, isRefused, wait, written } of queries) {
    it(`${isRefused ? "T51 refuses " : ""}${name}`, () => {
      const read = headWaitSchema.safeParse({ ...parse(query.slice(1)) });
      assert.equal(read.success, !isRefused);
      if (!read.success) return;
      const asked = readHeadWait(read.data);
      assert.deepEqual(asked ?? null, wait);
      if (asked !== undefined) assert.equal(encodeHeadWait(asked) === query, written);
    });
  }
});
