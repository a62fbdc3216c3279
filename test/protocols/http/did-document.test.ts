import assert from "node:assert/strict";
import {
  DID_DOCUMENT_BYTES_MAX,
  type DidDocumentFacts,
  didDocumentSchema,
  encodeDidDocument,
  pointsBack,
} from "../../../protocols/http/did-document.ts";
import { type DiscoveryFacts, discoverySchema, encodeDiscovery } from "../../../protocols/http/discovery-document.ts";
import {
  FACADE_URL_LENGTH_MAX,
  FACADE_URLS_MAX,
  MULTIADDR_LENGTH_MAX,
  MULTIADDRS_MAX,
} from "../../../protocols/descriptor/descriptor.ts";
import { fromUtf8 } from "../../../protocols/lib/bytes.ts";
import { ACME, refused, vectors } from "../checkpoint/support.ts";

interface Vectors {
  readonly written: readonly { readonly name: string; readonly facts: DidDocumentFacts; readonly text: string }[];
  readonly aliases: readonly {
    readonly name: string;
    readonly did: string;
    readonly domain: string;
    readonly document: unknown;
    readonly pointsBack: boolean;
  }[];
  readonly discovery: readonly { readonly name: string; readonly facts: DiscoveryFacts; readonly text: string }[];
}

const file = vectors<Vectors>(new URL("../../../protocols/http/vectors/did-document.json", import.meta.url));

describe("DID documents of a registry", () => {
  for (const { name, facts, text } of file.written) {
    it(name, () => {
      assert.equal(fromUtf8(encodeDidDocument(facts)), text);
      didDocumentSchema.parse(JSON.parse(text));
    });
  }

  it("needs the DID of a key", () => {
    refused("bad_did", () => encodeDidDocument({ did: "did:web:acme.example", domain: null, urls: [], multiaddrs: [] }));
  });

  it("is never longer than what a verifier reads", () => {
    const urls = Array.from({ length: FACADE_URLS_MAX }, () => "u".repeat(FACADE_URL_LENGTH_MAX));
    const multiaddrs = Array.from({ length: MULTIADDRS_MAX }, () => "m".repeat(MULTIADDR_LENGTH_MAX));
    const bytes = encodeDidDocument({ did: ACME.did, domain: "d".repeat(253), urls, multiaddrs });
    assert.ok(bytes.length <= DID_DOCUMENT_BYTES_MAX, `${bytes.length} bytes`);
  });
});

describe("an alias is confirmed only by", () => {
  for (const { name, did, domain, document, pointsBack: expected } of file.aliases) {
    it(`${name}: ${expected ? "yes" : "no"}`, () => assert.equal(pointsBack(document, did, domain), expected));
  }
});

describe("the discovery document", () => {
  for (const { name, facts, text } of file.discovery) {
    it(name, () => {
      assert.equal(fromUtf8(encodeDiscovery(facts)), text);
      discoverySchema.parse(JSON.parse(text));
    });
  }
});
