import assert from "node:assert/strict";
import {
  AUTHORITIES_MAX,
  AUTHORITY_BYTES_MAX,
  decodeBundle,
  encodeBundle,
  REFRESH_HINT_SECONDS_MAX,
} from "../../../protocols/bundle/bundle.ts";
import { BUNDLE_LENGTH_MAX, SEQUENCE_MAX } from "../../../protocols/descriptor/descriptor.ts";
import { base64, fromBase64 } from "../../../protocols/lib/bytes.ts";
import type { ProtocolErrorCode } from "../../../protocols/lib/errors.ts";
import { refused, refusedAny, vectors } from "../checkpoint/support.ts";

type BundleVector = { readonly name: string; readonly text: string } & (
  | { readonly error: ProtocolErrorCode }
  | {
      readonly error: null;
      readonly authorities: readonly string[];
      readonly sequence: number;
      readonly refreshHintSeconds: number;
      readonly canonical: boolean;
    }
);

const { bundles } = vectors<{ bundles: readonly BundleVector[] }>(
  new URL("../../../protocols/bundle/vectors/bundle.json", import.meta.url),
);

describe("SPIFFE trust bundles", () => {
  for (const vector of bundles) {
    it(vector.name, () => {
      if (vector.error !== null) return refused(vector.error, () => decodeBundle(vector.text));
      const bundle = decodeBundle(vector.text);
      assert.deepEqual(bundle.authorities.map(base64), vector.authorities);
      assert.equal(bundle.sequence, vector.sequence);
      assert.equal(bundle.refreshHintSeconds, vector.refreshHintSeconds);
      assert.equal(encodeBundle(bundle) === vector.text, vector.canonical);
      assert.deepEqual(decodeBundle(encodeBundle(bundle)), bundle);
    });
  }

  it("T51 refuses a bundle that is cut anywhere", () => {
    const { text } = bundles[1] as BundleVector;
    for (let length = 0; length < text.length; length++)
      refusedAny(() => decodeBundle(text.slice(0, length)), `cut at ${length}`);
  });

  it("writes only what others take", () => {
    const [first] = decodeBundle((bundles[0] as BundleVector).text).authorities;
    assert.ok(first !== undefined);
    const whole = { authorities: [first], sequence: 1, refreshHintSeconds: 300 };
    refused("schema", () => encodeBundle({ ...whole, authorities: [first, first] }));
    refused("schema", () => encodeBundle({ ...whole, authorities: [first.subarray(1)] }));
    refused("schema", () => encodeBundle({ ...whole, authorities: [new Uint8Array(AUTHORITY_BYTES_MAX + 1)] }));
    refused("schema", () => encodeBundle({ ...whole, sequence: SEQUENCE_MAX + 1 }));
    refused("schema", () => encodeBundle({ ...whole, refreshHintSeconds: 0.5 }));
  });

  it("fits in a descriptor with as many and as large authorities as there can be", () => {
    const vector = bundles.find((each) => each.error === null && each.authorities.length === AUTHORITIES_MAX);
    assert.ok(vector?.error === null);
    const bytes = vector.authorities.reduce((sum, text) => sum + fromBase64(text).length, 0);
    const largest = encodeBundle({
      ...decodeBundle(vector.text),
      sequence: SEQUENCE_MAX,
      refreshHintSeconds: REFRESH_HINT_SECONDS_MAX,
    });
    const growth = Math.ceil(((AUTHORITIES_MAX * AUTHORITY_BYTES_MAX - bytes) * 4) / 3) + 4 * AUTHORITIES_MAX;
    assert.ok(largest.length + growth <= BUNDLE_LENGTH_MAX, `${largest.length + growth} characters`);
  });
});
