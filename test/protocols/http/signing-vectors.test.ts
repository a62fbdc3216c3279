import assert from "node:assert/strict";
import { createPrivateKey, sign as ed25519 } from "node:crypto";
import { readFileSync } from "node:fs";
import { base64, hex } from "../../../protocols/lib/bytes.ts";
import { ProtocolError, type ProtocolErrorCode } from "../../../protocols/lib/errors.ts";
import { sha256 } from "../../../protocols/lib/hash.ts";
import { rawHeadersOf } from "../../../protocols/http/header-fields.ts";
import { signRequestAsMessage } from "../../../protocols/http/message-signature.ts";
import type { RequestLine } from "../../../protocols/http/request-fields.ts";
import { readSignedRequest, REGISTRY_SIGNATURE_HEADER, signRequest } from "../../../protocols/http/signed-request.ts";
import { responseSignatureBase, signResponse, verifyResponse } from "../../../protocols/http/signed-response.ts";
import { refused } from "../checkpoint/support.ts";
import { readInOrder, type Receiver } from "./signing-support.ts";

type Pairs = readonly (readonly [string, string])[];
interface Key {
  readonly did: string;
  readonly secret_key: string;
}
interface Line {
  readonly name: string;
  readonly method: string;
  readonly authority: string;
  readonly target: string;
  readonly headers: Pairs;
}
interface Context {
  readonly now_ms: number;
  readonly our_did: string;
  readonly our_authorities: readonly string[];
}
/** The valid request named by `of`, with changes. */
interface Changed extends Partial<Omit<Taken, "name" | "headers">> {
  readonly name: string;
  readonly of: string;
  /** All values of a header; none when it is left out. */
  readonly headers?: Readonly<Record<string, readonly string[]>>;
  readonly context?: Partial<Context>;
  readonly error: ProtocolErrorCode;
}
interface Taken extends Line {
  readonly body: string;
  readonly base: string;
  readonly base_sha256: string;
  readonly request: {
    content_digest: string;
    id: string;
    audience: string;
    timestamp_ms: number;
    nonce: string;
    signature: string;
  };
}
interface Requests {
  readonly keys: { readonly sender: Key; readonly receiver: Key };
  readonly context: Context;
  readonly valid: readonly Taken[];
  readonly unsigned: readonly Line[];
  readonly invalid: readonly (Changed & { readonly header: string })[];
  readonly refused: readonly Changed[];
}
interface Answer {
  readonly name: string;
  readonly status: number;
  readonly body: string;
  readonly headers: Pairs;
  readonly request_signature: string;
}
interface Answers {
  readonly keys: { readonly asker: Key; readonly answerer: Key };
  readonly valid: readonly (Answer & { base: string; base_sha256: string })[];
  readonly refused: readonly (Answer & { asked: string; error: ProtocolErrorCode })[];
}

const requests = read("signing-requests.json") as Requests;
const answers = read("signing-responses.json") as Answers;

function read(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../../protocols/http/vectors/${name}`, import.meta.url), "utf8"));
}

function signer(key: Key): (bytes: Uint8Array) => Uint8Array {
  const der = Buffer.from(`302e020100300506032b657004220420${key.secret_key}`, "hex");
  const secret = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  return (bytes) => ed25519(null, bytes, secret);
}

function receiverOf(context: Context): Receiver {
  return { nowMs: context.now_ms, ourDid: context.our_did, authorities: context.our_authorities };
}

function apply(vector: Changed): { line: RequestLine; rawHeaders: string[]; body: string } {
  const of = requests.valid.find(({ name }) => name === vector.of) as Taken;
  const { method, authority, target, body } = { ...of, ...vector };
  const sent = Object.fromEntries(of.headers.map(([name, value]) => [name.toLowerCase(), [value]]));
  return { line: { method, authority, target }, rawHeaders: rawHeadersOf({ ...sent, ...vector.headers }), body };
}

describe("signed request vectors", () => {
  for (const vector of requests.valid) {
    it(`takes ${vector.name}`, () => {
      const receiver = receiverOf(requests.context);
      const request = readInOrder(vector.headers.flat(), vector, Buffer.from(vector.body), receiver);
      const { contentDigest, id, audience, timestampMs, nonce, signature, base } = request;
      const found = {
        content_digest: contentDigest,
        id,
        audience,
        timestamp_ms: timestampMs,
        nonce: hex(nonce),
        signature: hex(signature),
      };
      assert.deepEqual(found, vector.request);
      assert.equal(Buffer.from(base).toString(), vector.base);
      assert.equal(hex(sha256(base)), vector.base_sha256);
    });
  }

  it("gives the same headers and signature for the same request, in both forms", () => {
    for (const name of ["the worked example", "a GET without a body, on the default port", "RFC 9421: the worked example"]) {
      const vector = requests.valid.find((one) => one.name === name) as Taken;
      const { id, audience, timestamp_ms: timestampMs, nonce } = vector.request;
      const { method, authority, target } = vector;
      const body = Buffer.from(vector.body);
      const unsigned = { method, authority, target, body, id, audience, timestampMs, nonce: Buffer.from(nonce, "hex") };
      const write = name.startsWith("RFC") ? signRequestAsMessage : signRequest;
      const lower = vector.headers.map(([header, value]) => [header.toLowerCase(), value]);
      assert.deepEqual(write(unsigned, signer(requests.keys.sender)), Object.fromEntries(lower));
    }
  });

  it("begins with the contract's own example", () => {
    const [vector] = requests.valid;
    assert.equal(vector?.base_sha256, "4d4bbd89359d73a716ae0e1c41972e70042ea49d8ff64e8adac49f6a44cbe136");
    const signature = vector.headers.find(([name]) => name.toLowerCase() === REGISTRY_SIGNATURE_HEADER)?.[1];
    assert.equal(signature, "Eu5pcl2f4aGey4JUC7DaYO3A2CDGahN2V7WRs3e5B7BEY+43bMk7Njt/NGkfkU2M75XgEAG7IoxuIKysu1whCA==");
  });

  for (const vector of requests.unsigned) {
    it(`finds no signature in ${vector.name}`, () => assert.equal(readSignedRequest(vector.headers.flat(), vector), undefined));
  }

  for (const vector of requests.invalid) {
    it(`refuses ${vector.name}`, () => {
      const { line, rawHeaders } = apply(vector);
      assert.throws(
        () => readSignedRequest(rawHeaders, line),
        (thrown) => {
          assert.ok(thrown instanceof ProtocolError, String(thrown));
          assert.deepEqual([thrown.code, thrown.detail["header"]], [vector.error, vector.header]);
          return true;
        },
      );
    });
  }

  for (const vector of requests.refused) {
    it(`refuses ${vector.name}: ${vector.error}`, () => {
      const { line, rawHeaders, body } = apply(vector);
      const receiver = receiverOf({ ...requests.context, ...vector.context });
      refused(vector.error, () => readInOrder(rawHeaders, line, Buffer.from(body), receiver));
    });
  }
});

describe("signed answer vectors", () => {
  const { did } = answers.keys.answerer;
  for (const vector of answers.valid) {
    it(`takes ${vector.name}`, () => {
      const { status } = vector;
      const requestSignature = Buffer.from(vector.request_signature, "base64");
      const answer = { status, body: Buffer.from(vector.body), requestSignature };
      verifyResponse(answer, vector.headers.flat(), did);
      const headers = signResponse(answer, did, signer(answers.keys.answerer));
      const sent = new Map(vector.headers.map(([name, value]) => [name.toLowerCase(), value]));
      for (const [name, value] of Object.entries(headers)) assert.equal(sent.get(name), value);
      verifyResponse(answer, rawHeadersOf(headers), did);
      const base = responseSignatureBase({ status, contentDigest: sent.get("content-digest") ?? "", id: did, requestSignature });
      assert.equal(Buffer.from(base).toString(), vector.base);
      assert.equal(hex(sha256(base)), vector.base_sha256);
      assert.equal(base64(requestSignature), vector.request_signature);
    });
  }

  for (const vector of answers.refused) {
    it(`refuses ${vector.name}: ${vector.error}`, () => {
      const requestSignature = Buffer.from(vector.request_signature, "base64");
      const answer = { status: vector.status, body: Buffer.from(vector.body), requestSignature };
      refused(vector.error, () => verifyResponse(answer, vector.headers.flat(), vector.asked));
    });
  }
});
