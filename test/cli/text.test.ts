import assert from "node:assert/strict";
import { duration, facts, plain, short, table } from "../../src/cli/text.ts";

describe("cli text", () => {
  it("shows the ends of long names and leaves short ones alone", () => {
    assert.equal(short("abcdefghij", 3, 2), "abc…ij");
    assert.equal(short("abcdefghij", 3, 0), "abc…");
    assert.equal(short("abc", 3, 2), "abc");
  });

  it("lets no text of strangers steer the terminal", () => {
    assert.equal(plain("a\u001b[2Jb\u202ec\nd"), "a [2Jb c d");
  });

  it("aligns columns, numbers to the right", () => {
    assert.equal(
      table(
        ["NAME", "AGENTS"],
        [
          ["alder", 1_200],
          ["elm", 7],
        ],
      ),
      "NAME   AGENTS\nalder   1,200\nelm         7",
    );
  });

  it("aligns facts, also those of several lines, and leaves empty ones out", () => {
    assert.equal(
      facts(
        [
          ["a", "1\n2"],
          ["long", ""],
          ["bb", "3"],
        ],
        " ",
      ),
      " a   1\n     2\n bb  3",
    );
  });

  it("says durations in words that fit their size", () => {
    assert.deepEqual([0.25, 42, 61, 7_260, 90_000].map(duration), ["0.3 s", "42 s", "1 min 1 s", "2 h 1 min", "1 d 1 h"]);
  });
});
