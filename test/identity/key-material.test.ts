import assert from "node:assert/strict";
import { generateKeyPairFromSeed } from "@libp2p/crypto/keys";
import { peerIdFromPrivateKey, peerIdFromString } from "@libp2p/peer-id";
import { base36 } from "multiformats/bases/base36";
import { publicKeyOfDid, publicKeyOfPeerId, publicKeyOfTrustDomain } from "../../protocols/lib/did.ts";
import { verifySignature } from "../../protocols/lib/keys.ts";
import { createKeyMaterial } from "../../src/identity/key-material.ts";

const bytes = (hex: string): Uint8Array => Buffer.from(hex, "hex");

/** RFC 8032 §7.1, tests 1 to 3. */
const VECTORS = [
  {
    seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    message: "",
    signature:
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  },
  {
    seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    message: "72",
    signature:
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  },
  {
    seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    message: "af82",
    signature:
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  },
] as const;

describe("identity: key material", () => {
  for (const [i, vector] of VECTORS.entries()) {
    it(`derives and signs as RFC 8032 section 7.1 test ${i + 1}`, () => {
      const key = createKeyMaterial(bytes(vector.seed));
      const message = bytes(vector.message);
      const signature = key.sign(message);
      assert.deepEqual(Buffer.from(key.publicKey).toString("hex"), vector.publicKey);
      assert.equal(Buffer.from(signature).toString("hex"), vector.signature);
      assert.ok(verifySignature(key.publicKey, message, signature));
      assert.ok(!verifySignature(key.publicKey, Buffer.concat([message, Buffer.of(0)]), signature));
    });

    it(`spells the key of test ${i + 1} as libp2p does`, async () => {
      const key = createKeyMaterial(bytes(vector.seed));
      const theirs = peerIdFromPrivateKey(await generateKeyPairFromSeed("Ed25519", bytes(vector.seed)));
      assert.equal(key.peerId, theirs.toString());
      assert.equal(key.trustDomain, theirs.toCID().toString(base36));
      assert.equal(peerIdFromString(key.peerId).toString(), theirs.toString());
    });
  }

  it("converts between all three spellings without a look-up", () => {
    const key = createKeyMaterial(new Uint8Array(32).fill(7));
    for (const publicKey of [publicKeyOfDid(key.did), publicKeyOfPeerId(key.peerId), publicKeyOfTrustDomain(key.trustDomain)]) {
      assert.ok(Buffer.from(publicKey).equals(key.publicKey));
    }
    assert.match(key.did, /^did:key:z6Mk/);
    assert.match(key.peerId, /^12D3Koo/);
    assert.match(key.trustDomain, /^k51[0-9a-z]+$/);
  });

  it("refuses a seed of another length", () => {
    for (const length of [0, 31, 33, 64]) assert.throws(() => createKeyMaterial(new Uint8Array(length)), RangeError);
  });
});
