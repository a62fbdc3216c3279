import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import fc from "fast-check";
import { ProtocolError } from "../../../protocols/lib/errors.ts";
import { HEADER_VALUE_LENGTH_MAX, rawHeadersOf } from "../../../protocols/http/header-fields.ts";
import { messageSignatureBase, signRequestAsMessage } from "../../../protocols/http/message-signature.ts";
import { TARGET_LENGTH_MAX, type RequestLine, type UnsignedRequest } from "../../../protocols/http/request-fields.ts";
import { readSignedRequest, signRequest } from "../../../protocols/http/signed-request.ts";
import { ACME, OTHER, refused, refusedAny } from "../checkpoint/support.ts";
import { EXAMPLE, readInOrder, RECEIVER, type Receiver } from "./signing-support.ts";

const FORMS = { "X-Registry-Signature": signRequest, "RFC 9421": signRequestAsMessage };

/** Every text that differs from the given one in a single bit, a removed or a doubled character. */
function* neighbours(text: string): Generator<string> {
  for (let i = 0; i < text.length; i++) {
    const [head, tail] = [text.slice(0, i), text.slice(i + 1)];
    for (let bit = 1; bit < 256; bit <<= 1) yield head + String.fromCharCode(text.charCodeAt(i) ^ bit) + tail;
    yield head + tail;
    yield text.slice(0, i + 1) + text.slice(i);
  }
}

/** A receiver that would take whatever address the request was sent to, so that only the signature is in the way. */
function refusedAt(headers: Record<string, string>, line: RequestLine, body: Uint8Array, what: string): void {
  const receiver: Receiver = { ...RECEIVER, authorities: [line.authority] };
  refusedAny(() => readInOrder(rawHeadersOf(headers), line, body, receiver), what);
}

for (const [form, write] of Object.entries(FORMS)) {
  describe(`signed requests, ${form}`, () => {
    const headers = write(EXAMPLE, ACME.sign);
    const body = Buffer.from(EXAMPLE.body);

    it("T15 refuses every single changed, removed or doubled character of a header", () => {
      for (const [name, value] of Object.entries(headers)) {
        for (const other of neighbours(value)) refusedAt({ ...headers, [name]: other }, EXAMPLE, body, `${name}: ${other}`);
      }
    });

    it("T15 refuses every single changed, removed or doubled character of method, authority and target", () => {
      for (const part of ["method", "authority", "target"] as const) {
        for (const other of neighbours(EXAMPLE[part]))
          refusedAt(headers, { ...EXAMPLE, [part]: other }, body, `${part}: ${other}`);
        refusedAt(headers, { ...EXAMPLE, [part]: `${EXAMPLE[part]}?` }, body, part);
      }
    });

    it("T16 refuses every single changed, removed or doubled byte of the body", () => {
      for (const other of neighbours(body.toString("latin1"))) refusedAt(headers, EXAMPLE, Buffer.from(other, "latin1"), other);
    });

    it("T17 refuses every header that is missing, twice, or joined with a comma", () => {
      for (const [name, value] of Object.entries(headers)) {
        const { [name]: _, ...rest } = headers;
        // Without its signature alone the request is still seen as signed.
        refused("bad_header", () => readSignedRequest(rawHeadersOf(rest), EXAMPLE), name);
        for (const twice of [[value, value], [`${value}, ${value}`], [`${value},${value}`]]) {
          refused("bad_header", () => readSignedRequest(rawHeadersOf({ ...headers, [name]: twice }), EXAMPLE), name);
        }
      }
    });

    it("takes any request that it signs", () => {
      const text = (letters: string, max: number) =>
        fc.string({ unit: fc.constantFrom(...letters), minLength: 1, maxLength: max });
      const anyRequest: fc.Arbitrary<UnsignedRequest> = fc.record({
        method: fc.constantFrom("GET", "POST", "PUT", "DELETE"),
        authority: text("abcz019-.", 60).filter((host) => !/^[-.]|[-.]$/.test(host)),
        target: text("/abcXYZ019%?&=+;:@!$'()*,~._-\"<>[]{}|\\^`", 200).map((path) => `/${path}`),
        body: fc.uint8Array({ maxLength: 200 }),
        id: fc.constant(ACME.did),
        audience: fc.constant(OTHER.did),
        timestampMs: fc.integer({ min: 1, max: 999_999_999_999_999 }),
        nonce: fc.uint8Array({ minLength: 16, maxLength: 16 }),
      });
      const takes = (request: UnsignedRequest): void => {
        const receiver = { nowMs: request.timestampMs, ourDid: OTHER.did, authorities: [request.authority] };
        const read = readInOrder(rawHeadersOf(write(request, ACME.sign)), request, request.body, receiver);
        assert.deepEqual(Buffer.from(read.nonce), Buffer.from(request.nonce));
        assert.equal(read.timestampMs, request.timestampMs);
      };
      fc.assert(fc.property(anyRequest, takes), { numRuns: 200, seed: 9421 });
    });

    it("T51 never throws anything but a coded error, whatever the headers hold", () => {
      const values = fc.record(
        Object.fromEntries(
          Object.entries(headers).map(([name, value]) => [
            name,
            fc.oneof(fc.constant(value), fc.string({ unit: "binary", maxLength: 1_100 }), fc.string({ maxLength: 60 })),
          ]),
        ),
      );
      const reads = (given: Record<string, string>): void => {
        try {
          readSignedRequest(rawHeadersOf(given), EXAMPLE);
        } catch (error) {
          assert.ok(error instanceof ProtocolError, String(error));
          assert.ok(error.message.length < HEADER_VALUE_LENGTH_MAX, "a message repeats what was sent");
        }
      };
      fc.assert(fc.property(values, reads), { numRuns: 300, seed: 51 });
    });

    it("does not sign what nobody would take", () => {
      const wrong: Partial<UnsignedRequest>[] = [
        { method: "get" },
        { authority: "Reg-b.example" },
        { target: "/a\nb" },
        { target: `/${"a".repeat(TARGET_LENGTH_MAX)}` },
        { id: "did:web:reg-a.example" },
        { audience: "" },
        { timestampMs: Number.NaN },
        { timestampMs: 1.5 },
        { timestampMs: -1 },
        { nonce: new Uint8Array(15) },
      ];
      for (const part of wrong) {
        refused("bad_header", () => write({ ...EXAMPLE, ...part }, ACME.sign), Object.keys(part).join(" "));
      }
    });
  });
}

describe("HTTP Message Signatures", () => {
  it("builds the signature base of RFC 9421, appendix B.2.6", () => {
    const components = [
      ["date", "Tue, 20 Apr 2021 02:07:55 GMT"],
      ["@method", "POST"],
      ["@path", "/foo"],
      ["@authority", "example.com"],
      ["content-type", "application/json"],
      ["content-length", "18"],
    ] as const;
    const names = components.map(([name]) => `"${name}"`).join(" ");
    const base = messageSignatureBase(components, `(${names});created=1618884473;keyid="test-key-ed25519"`);
    const der = Buffer.from("MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=", "base64");
    const key = createPublicKey({ key: der, format: "der", type: "spki" });
    const signature = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==";
    assert.ok(verify(null, base, key, Buffer.from(signature, "base64")));
  });
});
