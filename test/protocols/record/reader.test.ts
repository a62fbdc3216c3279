import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { canonicalText, decodeCanonical, type Json } from "../../../protocols/lib/canonical.ts";
import { RECORD_BYTES_MAX } from "../../../protocols/record/record.ts";
import { checkRecord, readRecord } from "../../../protocols/record/schema.ts";

const GOOD: Readonly<Record<string, Json>> = {
  did: "did:web:a.example",
  humanReadableId: "a/b",
  name: "n",
  description: "d",
  capabilities: ["a", "b/c"],
  tags: ["t"],
  endpoints: [{ url: "https://x.example/", protocol: "a2a" }],
  version: "1",
  status: "active",
  registry: "did:web:home.example",
  epoch: 0,
  revision: 1,
  hlc: "0190a1b2c3d40000",
};
const MORE = { original: { media_type: "application/json", document: '{"a":1}' }, reputation_score: 0.29, prev: "a".repeat(64) };

const oddTexts = [
  "",
  "a/b",
  "A b",
  "\u00e9",
  "e\u0301",
  "a//b",
  " a",
  "\u0130",
  '"',
  "\\",
  "\n",
  "did:a:b",
  "https://a@b/",
  "https://x",
  "active",
];
const text = fc.oneof(fc.constantFrom(...oddTexts), fc.string({ unit: "binary", maxLength: 12 }));
const number = fc.oneof(
  fc.constantFrom(-0, 1, 0.07, 0.29, 1.01, 1e21, 1e-7, 2 ** 53),
  fc.integer({ min: 0, max: 100 }).map((n) => n / 100),
);
const texts = fc.array(text, { maxLength: 4 }).map((items) => [...new Set(items)].sort());
const value: fc.Arbitrary<Json> = fc.oneof(
  fc.oneof(text, number, texts, fc.constantFrom(null, true)),
  fc.array(fc.record({ url: text, protocol: text }), { maxLength: 3 }),
  fc.record({ media_type: text, document: text }),
);
const names = [...Object.keys(GOOD), ...Object.keys(MORE), "agent_signature", "unknown"];
const edits = fc.array(fc.tuple(fc.constantFrom(...names), value), { maxLength: 2 });
const record = fc
  .tuple(fc.constantFrom({}, MORE), edits)
  .map(([more, changes]) => ({ ...GOOD, ...more, ...Object.fromEntries(changes) }));

/** What the slow way says: parse, encode again, check the fields. */
function stepByStep(document: string): unknown {
  try {
    return checkRecord(decodeCanonical(Buffer.from(document), RECORD_BYTES_MAX));
  } catch {
    return undefined;
  }
}

describe("record reader", () => {
  it("takes exactly what the steps take, of records with odd fields", () => {
    let taken = 0;
    fc.assert(
      fc.property(record, (fields) => {
        const document = canonicalText(fields);
        const expected = stepByStep(document);
        assert.ok(isDeepStrictEqual(readRecord(document), expected), document);
        taken += Number(expected !== undefined);
      }),
      { numRuns: 5_000 },
    );
    assert.ok(taken > 100, `only ${taken} records were valid: the test says little`);
  });

  it("T51 takes nothing that the steps refuse, of canonical text with one change", () => {
    const change = fc.tuple(fc.nat(2_000), fc.string({ unit: "binary", maxLength: 2 }), fc.nat(2));
    fc.assert(
      fc.property(record, change, (fields, [position, insert, removed]) => {
        const document = canonicalText(fields);
        const at = position % document.length;
        const changed = (document.slice(0, at) + insert + document.slice(at + removed)).toWellFormed();
        const read = readRecord(changed);
        assert.ok(read === undefined || isDeepStrictEqual(read, stepByStep(changed)), changed);
      }),
      { numRuns: 5_000 },
    );
  });

  it("T51 is done with hostile text in time linear in it", () => {
    const head = '{"capabilities":[';
    for (const part of ['"a",', '"\\\\",', "\\", '{"protocol":"a","url":"b"},', '"'])
      assert.equal(readRecord(head + part.repeat(RECORD_BYTES_MAX / part.length)), undefined);
  });
});
