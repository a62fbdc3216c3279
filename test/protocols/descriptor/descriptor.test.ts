import assert from "node:assert/strict";
import { openDescriptor, readDescriptor, signDescriptor } from "../../../protocols/descriptor/codec.ts";
import { CONFLICT_BYTES_MAX, sameSequenceConflict, verifyDescriptorConflict } from "../../../protocols/descriptor/evidence.ts";
import { DESCRIPTOR_BYTES_MAX, SEQUENCE_MAX, supersedes } from "../../../protocols/descriptor/descriptor.ts";
import { isRegistryName } from "../../../protocols/descriptor/schema.ts";
import { fromUtf8, utf8 } from "../../../protocols/lib/bytes.ts";
import type { ProtocolErrorCode } from "../../../protocols/lib/errors.ts";
import { ACME, OTHER, refused, refusedAny, vectors } from "../checkpoint/support.ts";
import { acmeFields, fieldsOf, NOW } from "./support.ts";

interface DescriptorVectors {
  readonly descriptors: readonly { name: string; text: string; now: number; error: ProtocolErrorCode | null }[];
  readonly conflicts: readonly { name: string; text: string; error: ProtocolErrorCode | null; did: string; sequence: number }[];
}

const file = vectors<DescriptorVectors>(new URL("../../../protocols/descriptor/vectors/descriptor.json", import.meta.url));

describe("descriptors", () => {
  for (const { name, text, now, error } of file.descriptors) {
    it(name, () => {
      if (error !== null) return refused(error, () => openDescriptor(utf8(text), now));
      const { signature, ...fields } = openDescriptor(utf8(text), now);
      assert.equal(signature.length, 88);
      assert.equal(fromUtf8(signDescriptor(fields, ACME.sign)), text);
    });
  }

  it("T15 refuses a descriptor with any character changed", () => {
    const text = fromUtf8(signDescriptor(acmeFields(), ACME.sign));
    for (let i = 0; i < text.length; i++) {
      for (const other of ["0", "a", " ", '"']) {
        if (text[i] === other) continue;
        refusedAny(() => openDescriptor(utf8(text.slice(0, i) + other + text.slice(i + 1)), NOW), `position ${i}, ${other}`);
      }
    }
  });

  it("T51 refuses what is cut anywhere, or is not UTF-8", () => {
    const bytes = signDescriptor(acmeFields(), ACME.sign);
    for (let length = 0; length < bytes.length; length++)
      refused("not_json", () => openDescriptor(bytes.subarray(0, length), NOW));
    refused("not_utf8", () => openDescriptor(Uint8Array.of(0x22, 0xff, 0x22), NOW));
  });

  it("signs only what others will take", () => {
    refused("bad_did", () => signDescriptor(acmeFields({ peerId: fieldsOf(OTHER).peerId }), ACME.sign));
    refused("schema", () => signDescriptor(acmeFields({ sequence: SEQUENCE_MAX + 1 }), ACME.sign));
    refused("schema", () => signDescriptor({ ...acmeFields(), signature: "A".repeat(88) } as never, ACME.sign));
    const wide = Array.from({ length: 8 }, (_, i) => `https://${i}.example/${"x".repeat(480)}`);
    const fields = acmeFields({ bundle: "\u0001".repeat(2_000), facade: { urls: wide } });
    refused("too_large", () => signDescriptor(fields, ACME.sign));
  });

  it("T8 a lower or equal sequence never replaces, and neither does another registry's", () => {
    const current = acmeFields({ sequence: 5 });
    assert.ok(supersedes(acmeFields({ sequence: 6 }), current));
    assert.ok(!supersedes(acmeFields({ sequence: 5 }), current));
    assert.ok(!supersedes(acmeFields({ sequence: 4 }), current));
    assert.ok(!supersedes(fieldsOf(OTHER, { sequence: 6 }), current));
  });

  it("takes names that fit a segment of a SPIFFE path", () => {
    for (const name of ["acme", "A.b_c-9", "...", "x".repeat(64)]) assert.ok(isRegistryName(name), name);
    for (const name of ["", ".", "..", "a/b", "a b", "ä", "a\n", "x".repeat(65)]) assert.ok(!isRegistryName(name), name);
  });
});

describe("T9 evidence of two descriptors with one sequence", () => {
  for (const { name, text, error, did, sequence } of file.conflicts) {
    it(name, () => {
      if (error !== null) return refused(error, () => verifyDescriptorConflict(utf8(text)));
      assert.deepEqual(verifyDescriptorConflict(utf8(text)), { did, sequence });
    });
  }

  it("is the same bytes whoever finds it, and outlives the descriptors", () => {
    const open = (name: string): ReturnType<typeof readDescriptor> =>
      readDescriptor(signDescriptor(fieldsOf(ACME, {}, name), ACME.sign));
    const [one, two] = [open("one"), open("two")];
    const evidence = sameSequenceConflict(one, two);
    assert.ok(evidence !== undefined && evidence.length < CONFLICT_BYTES_MAX);
    assert.deepEqual(sameSequenceConflict(two, one), evidence);
    assert.deepEqual(verifyDescriptorConflict(evidence), { did: ACME.did, sequence: 3 });
    refused("expired", () => openDescriptor(signDescriptor(fieldsOf(ACME, {}, "one"), ACME.sign), NOW + 604_800_000));
  });

  it("does not take an honest registry for a liar", () => {
    const open = (fields: Parameters<typeof acmeFields>[0]): ReturnType<typeof readDescriptor> =>
      readDescriptor(signDescriptor(acmeFields(fields), ACME.sign));
    assert.equal(sameSequenceConflict(open({}), open({})), undefined);
    assert.equal(sameSequenceConflict(open({}), open({ sequence: 4, multiaddrs: [] })), undefined);
    assert.equal(sameSequenceConflict(open({}), readDescriptor(signDescriptor(fieldsOf(OTHER), OTHER.sign))), undefined);
  });

  it("fits in its bound at the largest descriptors", () => {
    const bytes = signDescriptor(acmeFields({ bundle: "x".repeat(8_192) }), ACME.sign);
    assert.ok(
      2 * DESCRIPTOR_BYTES_MAX + Buffer.byteLength('{"descriptors":[,],"kind":"descriptor-conflict"}') <= CONFLICT_BYTES_MAX,
    );
    const other = signDescriptor(acmeFields({ bundle: "y".repeat(8_192) }), ACME.sign);
    const evidence = sameSequenceConflict(readDescriptor(bytes), readDescriptor(other));
    assert.ok(evidence !== undefined);
    assert.equal(verifyDescriptorConflict(evidence).sequence, 3);
  });
});
