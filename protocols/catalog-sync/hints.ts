import { domainHash } from "../lib/hash.ts";
import { concat } from "../lib/bytes.ts";
import { HINT_DOMAIN } from "../lib/domains.ts";

/** A hint stands for a subtree hash: the first `hintBytes` of SHA-256(hint domain ‖ salt ‖ hash). The salt is new in each session. */
export function hintOf(salt: Uint8Array, hash: Uint8Array, hintBytes: number): Uint8Array {
  return domainHash(HINT_DOMAIN, concat(salt, hash)).subarray(0, hintBytes);
}
