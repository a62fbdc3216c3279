import assert from "node:assert/strict";
import type { RequestLine, UnsignedRequest } from "../../../protocols/http/request-fields.ts";
import {
  checkAudience,
  checkAuthority,
  checkDigest,
  checkSignature,
  checkSkew,
  readSignedRequest,
  type SignedRequest,
} from "../../../protocols/http/signed-request.ts";
import { ACME, OTHER } from "../checkpoint/support.ts";

export interface Receiver {
  readonly nowMs: number;
  readonly ourDid: string;
  readonly authorities: readonly string[];
}

export const EXAMPLE: UnsignedRequest = {
  method: "POST",
  authority: "reg-b.example:8443",
  target: "/v1/federation/catalog?since=42&limit=10",
  body: Buffer.from('{"did":"did:key:z6MkAgent","v":7}'),
  id: ACME.did,
  audience: OTHER.did,
  timestampMs: 1_790_000_000_123,
  nonce: Buffer.from("000102030405060708090a0b0c0d0e0f", "hex"),
};

export const RECEIVER: Receiver = { nowMs: EXAMPLE.timestampMs, ourDid: OTHER.did, authorities: [EXAMPLE.authority] };

/** All that a receiver checks without state, in the order of signing.md. */
export function readInOrder(
  rawHeaders: readonly string[],
  line: RequestLine,
  body: Uint8Array,
  receiver: Receiver,
): SignedRequest {
  const request = readSignedRequest(rawHeaders, line);
  assert.ok(request !== undefined, "no signature found");
  checkSkew(request, receiver.nowMs);
  checkAudience(request, receiver.ourDid);
  checkAuthority(request, receiver.authorities);
  checkDigest(request, body);
  checkSignature(request);
  return request;
}
