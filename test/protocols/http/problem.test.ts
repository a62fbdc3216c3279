import assert from "node:assert/strict";
import {
  decodeProblem,
  encodeProblem,
  PAGE_REFUSAL_STATUS,
  type Problem,
  PROBLEM_BYTES_MAX,
  PROBLEM_DETAIL_LENGTH_MAX,
  pageRefusalOf,
  pageRefusalProblem,
} from "../../../protocols/http/problem.ts";
import type { PageRefusal } from "../../../protocols/http/catalog-page.ts";
import { fromUtf8, utf8 } from "../../../protocols/lib/bytes.ts";
import type { ProtocolErrorCode } from "../../../protocols/lib/errors.ts";
import { refused, refusedAny, vectors } from "../checkpoint/support.ts";

interface ProblemVector {
  readonly name: string;
  readonly text: string;
  readonly error: ProtocolErrorCode | null;
  readonly problem: Problem;
  readonly written: boolean;
  readonly refusal: PageRefusal | null;
}

const { problems } = vectors<{ problems: ProblemVector[] }>(
  new URL("../../../protocols/http/vectors/problem.json", import.meta.url),
);

describe("problem documents", () => {
  for (const { name, text, error, problem, written, refusal } of problems) {
    it(name, () => {
      if (error !== null) return refused(error, () => decodeProblem(utf8(text)));
      const decoded = decodeProblem(utf8(text));
      assert.deepEqual(decoded, problem);
      assert.equal(fromUtf8(encodeProblem(decoded)) === text, written);
      assert.equal(pageRefusalOf(decoded) ?? null, refusal);
    });
  }

  it("says each refusal of a page so that it is understood", () => {
    for (const refusal of Object.keys(PAGE_REFUSAL_STATUS) as PageRefusal[]) {
      const problem = pageRefusalProblem(refusal);
      assert.equal(pageRefusalOf(decodeProblem(encodeProblem(problem))), refusal);
    }
  });

  it("cuts what is too long, and lets nobody rename it", () => {
    const detail = `${"x".repeat(PROBLEM_DETAIL_LENGTH_MAX - 1)}\u{1f600}`;
    const bytes = encodeProblem({ code: "schema", status: 400, detail, extra: { status: 200, type: "x", fields: 2 } });
    assert.deepEqual(decodeProblem(bytes), {
      code: "schema",
      status: 400,
      detail: `${"x".repeat(PROBLEM_DETAIL_LENGTH_MAX - 1)}\ufffd`,
      extra: { fields: 2 },
    });
  });

  it("T51 refuses what is cut anywhere, too long, or no text", () => {
    const { text } = problems[0] as ProblemVector;
    for (let length = 0; length < text.length; length++) {
      refusedAny(() => decodeProblem(utf8(text.slice(0, length))), `cut at ${length}`);
    }
    refused("too_large", () => decodeProblem(new Uint8Array(PROBLEM_BYTES_MAX + 1)));
    refused("not_utf8", () => decodeProblem(Uint8Array.of(0x22, 0xff, 0x22)));
  });
});
