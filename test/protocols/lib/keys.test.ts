import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import fc from "fast-check";
import { base64, fromBase64, fromHex } from "../../../protocols/lib/bytes.ts";
import {
  didKey,
  isDid,
  peerIdOf,
  publicKeyOfDid,
  publicKeyOfPeerId,
  publicKeyOfTrustDomain,
  trustDomainOf,
} from "../../../protocols/lib/did.ts";
import { ProtocolError, type ProtocolErrorCode } from "../../../protocols/lib/errors.ts";
import { isUsable, verifySignature } from "../../../protocols/lib/keys.ts";

function refused(code: ProtocolErrorCode, run: () => unknown): void {
  assert.throws(run, (error) => error instanceof ProtocolError && error.code === code);
}

/** RFC 8032 section 7.1, test 2. */
const PUBLIC = fromHex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", 32);
const MESSAGE = Buffer.from("72", "hex");
const SIGNATURE = fromHex(
  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  64,
);

const SMALL_ORDER_OR_NOT_CANONICAL = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
].flatMap((text) =>
  [0, 0x80].map((sign) =>
    Buffer.from(text.slice(0, 62) + (parseInt(text.slice(62), 16) | sign).toString(16).padStart(2, "0"), "hex"),
  ),
);

describe("Ed25519", () => {
  it("takes the signature of RFC 8032 and no other bit of it", () => {
    assert.ok(verifySignature(PUBLIC, MESSAGE, SIGNATURE));
    for (let bit = 0; bit < 512; bit++) {
      const changed = Uint8Array.from(SIGNATURE);
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      assert.ok(!verifySignature(PUBLIC, MESSAGE, changed), `bit ${bit}`);
    }
  });

  it("T18 refuses S + L, which fits the same message", () => {
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    const s = BigInt(`0x${Buffer.from(SIGNATURE.subarray(32)).reverse().toString("hex")}`) + order;
    const malleable = Buffer.concat([SIGNATURE.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, "0"), "hex").reverse()]);
    assert.ok(!verifySignature(PUBLIC, MESSAGE, malleable));
  });

  it("T18 refuses keys of small order and keys spelt another way", () => {
    for (const key of SMALL_ORDER_OR_NOT_CANONICAL) {
      assert.ok(!isUsable(key), key.toString("hex"));
      assert.ok(!verifySignature(key, MESSAGE, Buffer.concat([key, Buffer.alloc(32)])));
      refused("bad_did", () => publicKeyOfDid(didKey(key)));
    }
  });

  it("never throws on lengths that do not fit", () => {
    for (const length of [0, 31, 33]) assert.ok(!verifySignature(new Uint8Array(length), MESSAGE, SIGNATURE));
    for (const length of [0, 63, 65]) assert.ok(!verifySignature(PUBLIC, MESSAGE, new Uint8Array(length)));
  });

  it("takes what this platform signs", () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const key = publicKey.export({ type: "spki", format: "der" }).subarray(12);
    assert.ok(isUsable(key) && verifySignature(key, MESSAGE, sign(null, MESSAGE, privateKey)));
  });
});

describe("one key, three spellings", () => {
  it("are the known ones", () => {
    assert.equal(didKey(PUBLIC), "did:key:z6MkiaMbhXHNA4eJVCCj8dbzKzTgYDKf6crKgHVHid1F1WCT");
    assert.match(peerIdOf(PUBLIC), /^12D3KooW/);
    assert.match(trustDomainOf(PUBLIC), /^k51[0-9a-z]{59}$/);
  });

  it("each gives the key back, and none passes for another", () => {
    const spellings = [
      [didKey(PUBLIC), publicKeyOfDid],
      [peerIdOf(PUBLIC), publicKeyOfPeerId],
      [trustDomainOf(PUBLIC), publicKeyOfTrustDomain],
    ] as const;
    for (const [spelling] of spellings) {
      for (const [own, read] of spellings) {
        if (own === spelling) assert.deepEqual(Buffer.from(read(spelling)), Buffer.from(PUBLIC));
        else refused("bad_did", () => read(spelling));
      }
    }
  });

  it("T18 no other text gives a key", () => {
    const did = didKey(PUBLIC);
    const domain = trustDomainOf(PUBLIC);
    for (const text of [
      "",
      "did:key:",
      did.slice(0, -1),
      `${did}1`,
      did.replace("z6", "z16"),
      did.toUpperCase(),
      ` ${did}`,
      `${did}#x`,
    ]) {
      refused("bad_did", () => publicKeyOfDid(text));
    }
    for (const text of [domain.toUpperCase(), `${domain}0`, domain.slice(1), `k0${domain.slice(1)}`]) {
      refused("bad_did", () => publicKeyOfTrustDomain(text));
    }
    fc.assert(fc.property(fc.string(), (text) => refused("bad_did", () => publicKeyOfDid(`did:key:z6Mk${text}`))));
  });

  it("T51 a very long text is refused before it is decoded", () => {
    // Decoding it would take minutes: the time of base 58 and base 36 is quadratic.
    refused("bad_did", () => publicKeyOfDid(`did:key:z${"6".repeat(1_000_000)}`));
    refused("bad_did", () => publicKeyOfTrustDomain(`k${"5".repeat(1_000_000)}`));
  });

  it("knows a DID when it sees one", () => {
    for (const text of ["did:web:a.example", "did:a:b", "did:a:b:c", "did:a::b", "did:a:%20", `did:a:${"x".repeat(506)}`])
      assert.ok(isDid(text), text);
    for (const text of [
      "",
      "did:",
      "did:a:",
      "did:A:b",
      "did:a:b:",
      "did:a:%2",
      "did:a:b c",
      "did:a:é",
      "did:a:b\n",
      `did:a:${"x".repeat(507)}`,
    ]) {
      assert.ok(!isDid(text), text);
    }
  });
});

describe("strict base64 and hex", () => {
  it("T18 take what they write and nothing else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        assert.deepEqual(Buffer.from(fromBase64(base64(bytes))), Buffer.from(bytes));
      }),
    );
    for (const text of ["A", "AA", "AA=", "AB==", "AA==\n", " AA==", "_-8=", "AA==AA==", "A\u00c1=="])
      refused("bad_base64", () => fromBase64(text));
    for (const text of ["0", "0G", "AB", "abcd", " a"]) refused("schema", () => fromHex(text, 1));
  });
});

describe("protocols/lib: remembered signatures", () => {
  it("T18 still refuses another message, another key and a changed signature after a valid one", () => {
    const [a, b] = [generateKeyPairSync("ed25519"), generateKeyPairSync("ed25519")];
    const raw = ({ publicKey }: typeof a): Uint8Array => Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");
    const [one, two] = [Buffer.from("one"), Buffer.from("two")];
    const signature = sign(null, one, a.privateKey);
    const changed = Buffer.from(signature);
    changed[5] = (changed[5] as number) ^ 1;
    for (let round = 0; round < 2; round++) {
      assert.equal(verifySignature(raw(a), one, signature), true);
      assert.equal(verifySignature(raw(a), two, signature), false);
      assert.equal(verifySignature(raw(b), one, signature), false);
      assert.equal(verifySignature(raw(a), one, changed), false);
    }
  });
});
