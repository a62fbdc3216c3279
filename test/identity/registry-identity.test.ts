import assert from "node:assert/strict";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import { REGISTRY_NAME_LENGTH_MAX, registryNameProblem, spiffeId } from "../../src/identity/name.ts";
import { createRegistryIdentity } from "../../src/identity/registry-identity.ts";

describe("identity: registry", () => {
  it("binds name and key into one SPIFFE ID", () => {
    const identity = createRegistryIdentity(new Uint8Array(32).fill(1), "acme-eu_1.prod");
    assert.equal(identity.spiffeId, `spiffe://${identity.trustDomain}/registry/acme-eu_1.prod`);
    assert.equal(identity.name, "acme-eu_1.prod");
  });

  it("takes names that are one path segment of a SPIFFE ID", () => {
    for (const name of ["a", "A-Z.0_9", "...", ".a", "x".repeat(REGISTRY_NAME_LENGTH_MAX)]) {
      assert.equal(registryNameProblem(name), undefined, name);
    }
  });

  it("T51 refuses every other name, and says why", () => {
    const bad = ["", ".", "..", "a b", "a/b", "ä", "a\n", "%41", "a:b", "x".repeat(REGISTRY_NAME_LENGTH_MAX + 1)];
    for (const name of bad) {
      assert.ok(registryNameProblem(name), JSON.stringify(name));
      assert.throws(
        () => spiffeId("k51", name),
        (error: unknown) => error instanceof ProtocolError && error.code === "schema",
      );
    }
  });
});
