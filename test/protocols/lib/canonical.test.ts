import assert from "node:assert/strict";
import fc from "fast-check";
import { canonicalText, decodeCanonical, encodeCanonical, JSON_DEPTH_MAX, type Json } from "../../../protocols/lib/canonical.ts";
import { ProtocolError, type ProtocolErrorCode } from "../../../protocols/lib/errors.ts";
import { parseStrictJson } from "../../../protocols/lib/strict-json.ts";

const BYTES_MAX = 100_000;

function refused(code: ProtocolErrorCode, run: () => unknown): void {
  assert.throws(run, (error) => error instanceof ProtocolError && error.code === code);
}

function decode(input: string | Uint8Array): Json {
  return decodeCanonical(typeof input === "string" ? Buffer.from(input) : input, BYTES_MAX);
}

describe("canonical JSON (RFC 8785)", () => {
  it("writes the sample of section 3.2.2", () => {
    const sample = JSON.parse(
      '{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/","literals":[null,true,false]}',
    ) as Json;
    assert.equal(
      canonicalText(sample),
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    );
  });

  it("sorts keys by UTF-16 code units (section 3.2.3)", () => {
    const keys = ["\u20ac", "\r", "\ufb33", "1", "\ud83d\ude00", "\u0080", "\u00f6"];
    const text = canonicalText(Object.fromEntries(keys.map((key) => [key, 0])));
    const order = Object.keys(JSON.parse(text.replaceAll(/"(?=1")/g, '"_')) as object);
    assert.deepEqual(order, ["\r", "_1", "\u0080", "\u00f6", "\u20ac", "\ud83d\ude00", "\ufb33"]);
  });

  // Appendix B: IEEE 754 bits and their one form.
  const numbers: readonly (readonly [string, string])[] = [
    ["0000000000000000", "0"],
    ["8000000000000000", "0"],
    ["0000000000000001", "5e-324"],
    ["8000000000000001", "-5e-324"],
    ["7fefffffffffffff", "1.7976931348623157e+308"],
    ["4340000000000000", "9007199254740992"],
    ["4430000000000000", "295147905179352830000"],
    ["44b52d02c7e14af5", "9.999999999999997e+22"],
    ["44b52d02c7e14af6", "1e+23"],
    ["44b52d02c7e14af7", "1.0000000000000001e+23"],
    ["444b1ae4d6e2ef4e", "999999999999999700000"],
    ["444b1ae4d6e2ef50", "1e+21"],
    ["3eb0c6f7a0b5ed8c", "9.999999999999997e-7"],
    ["3eb0c6f7a0b5ed8d", "0.000001"],
    ["41b3de4355555554", "333333333.33333325"],
    ["becbf647612f3696", "-0.0000033333333333333333"],
    ["43143ff3c1cb0959", "1424953923781206.2"],
  ];
  it("writes the numbers of appendix B", () => {
    for (const [bits, text] of numbers) assert.equal(canonicalText(Buffer.from(bits, "hex").readDoubleBE()), text);
  });

  it("gives back what it wrote, and takes only that", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6, stringUnit: "binary" }), fc.constantFrom(" ", "\n", "\t"), (value, space) => {
        const text = canonicalText(value as Json);
        assert.deepEqual(canonicalText(decode(text)), text);
        refused("not_canonical", () => decode(text + space));
      }),
      { numRuns: 2_000 },
    );
  });

  it("T51 refuses what is not canonical", () => {
    const inputs = [
      '{"b":1,"a":2}',
      '{"a":1,"a":1}',
      "1.0",
      "1e2",
      "-0",
      '"\\u0061"',
      '"\\/"',
      "[1, 2]",
      '"\\u001F"',
      '{"a":1,"\\u0061":1}',
      "1E30",
    ];
    for (const input of inputs) refused("not_canonical", () => decode(input));
  });

  it("T51 refuses what is not JSON, not UTF-8, too long, too deep", () => {
    for (const input of ["", "{", "[1,]", "nul", '"a', "01", "{'a':1}", '"\t"', "NaN", "\ufeff1"])
      refused("not_json", () => decode(input));
    for (const bytes of ["22ff22", "22eda08022", "22c08022", "22f490808022", "22c3"])
      refused("not_utf8", () => decode(Buffer.from(bytes, "hex")));
    refused("too_large", () => decodeCanonical(Buffer.from("12345"), 4));
    const deep = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
    decode(deep(JSON_DEPTH_MAX));
    refused("too_deep", () => decode(deep(JSON_DEPTH_MAX + 1)));
    refused("too_deep", () => decode(deep(BYTES_MAX / 2)));
    refused("too_deep", () => decode('{"a":'.repeat(40) + "1" + "}".repeat(40)));
  });

  it("T51 refuses half a surrogate pair, and what JSON cannot carry", () => {
    refused("schema", () => decode('"\\ud800"'));
    refused("schema", () => decode('{"\\udc00":1}'));
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, undefined, 1n, () => 1, { a: undefined }]) {
      refused("schema", () => encodeCanonical(value as never));
    }
  });

  it("keeps __proto__ an ordinary key", () => {
    assert.equal(canonicalText(decode('{"__proto__":{"a":1}}')), '{"__proto__":{"a":1}}');
  });
});

describe("strict JSON", () => {
  it("takes any JSON without a key twice as the platform does", () => {
    fc.assert(
      fc.property(fc.json({ stringUnit: "binary" }), fc.constantFrom(undefined, 1, "\t"), (json, indent) => {
        const text = JSON.stringify(JSON.parse(json), null, indent);
        assert.deepEqual(parseStrictJson(text, 100), JSON.parse(text));
      }),
      { numRuns: 2_000 },
    );
  });

  it("T51 refuses a key twice however it is spelt, in whatever object", () => {
    for (const text of ['{"a":1,"a":1}', '{"a":1,"\\u0061":1}', '[{"b":{"\\"":1,"\\u0022":2}}]', '{"x":[],"y":{},"x":""}']) {
      refused("duplicate_key", () => parseStrictJson(text, 10));
    }
    parseStrictJson('{"a":{"a":["a","a"]},"b":"a\\\\","c":[{"a":1},{"a":2}]}', 10);
  });

  it("T51 counts the depth", () => {
    parseStrictJson('[{"a":[1]}]', 3);
    refused("too_deep", () => parseStrictJson('[{"a":[[1]]}]', 3));
  });
});
