import { utf8 } from "./bytes.ts";

/**
 * Domain prefixes: every hash and signature of the federation starts with one, so that bytes made for one purpose never pass
 * for another. Inside the tree the labelled top bit does that work, in the log RFC 6962's own prefix bytes do.
 */
const domain = (name: string): Uint8Array => utf8(`theprotocol/${name}/v1\0`);

export const KEY_DOMAIN: Uint8Array = domain("key");
export const RECORD_DOMAIN: Uint8Array = domain("record");
export const AGENT_SIGNATURE_DOMAIN: Uint8Array = domain("agent-signature");
export const DESCRIPTOR_DOMAIN: Uint8Array = domain("descriptor");
export const HINT_DOMAIN: Uint8Array = domain("hint");
