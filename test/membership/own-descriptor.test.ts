import assert from "node:assert/strict";
import { openDescriptor } from "../../protocols/descriptor/codec.ts";
import { createRegistryIdentity } from "../../src/identity/registry-identity.ts";
import { currentDescriptor, DESCRIPTOR_LIFETIME_MS, type DescriptorFacts } from "../../src/membership/own-descriptor.ts";

const NOW = 1_893_456_000_000;
const identity = createRegistryIdentity(Buffer.alloc(32, 3), "own");
const { did, name, peerId, spiffeId } = identity;
const FACTS: DescriptorFacts = { did, name, peerId, spiffeId, multiaddrs: ["/ip4/127.0.0.1/tcp/1"], catalog: { epoch: 0 } };

function sign(bytes: Uint8Array): Uint8Array {
  return identity.sign(bytes);
}

describe("our own descriptor", () => {
  it("stays the same bytes while it says the same and is not half over", () => {
    const first = currentDescriptor(undefined, FACTS, NOW, sign);
    assert.equal(first.isNew, true);
    const later = currentDescriptor(first.bytes, FACTS, NOW + DESCRIPTOR_LIFETIME_MS / 2 - 1, sign);
    assert.equal(later.isNew, false);
    assert.equal(later.bytes, first.bytes);
    assert.equal(currentDescriptor(first.bytes, FACTS, NOW + DESCRIPTOR_LIFETIME_MS / 2, sign).isNew, true);
  });

  it("has a higher sequence when anything in it changes, also when the clock went back", () => {
    const first = currentDescriptor(undefined, FACTS, NOW, sign);
    const changed = currentDescriptor(first.bytes, { ...FACTS, catalog: { epoch: 1 } }, NOW - 3_600_000, sign);
    const [before, after] = [openDescriptor(first.bytes, NOW), openDescriptor(changed.bytes, NOW)];
    assert.ok(after.sequence > before.sequence);
  });

  it("T53 does not use a sequence again after the store was lost or restored", () => {
    const first = currentDescriptor(undefined, FACTS, NOW, sign);
    const second = currentDescriptor(first.bytes, { ...FACTS, catalog: { epoch: 1 } }, NOW + 10, sign);
    for (const stored of [undefined, first.bytes]) {
      const restored = currentDescriptor(stored, { ...FACTS, catalog: { epoch: 2 } }, NOW + 60_000, sign);
      assert.ok(openDescriptor(restored.bytes, NOW).sequence > openDescriptor(second.bytes, NOW).sequence);
    }
  });
});
