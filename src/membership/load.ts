import { fromUtf8, hex } from "../../protocols/lib/bytes.ts";
import { sha256 } from "../../protocols/lib/hash.ts";
import type { StoreReader } from "../ports/store.ts";
import { memberKey, memberRange } from "./rows.ts";

/** What membership kept over a restart. */
export interface StoredMembership {
  readonly own: Uint8Array | undefined;
  readonly descriptors: readonly Uint8Array[];
  readonly addresses: readonly string[];
  /** Hashes (hex) of the evidence at hand. */
  readonly evidence: readonly string[];
}

const TABLE_KEY_BYTES = memberKey("own").length;

export async function loadMembership(store: StoreReader): Promise<StoredMembership> {
  const own = await store.get(memberKey("own"));
  const descriptors: Uint8Array[] = [];
  const addresses: string[] = [];
  const evidence: string[] = [];
  for await (const rows of store.scan(memberRange("descriptor"))) for (const [, bytes] of rows) descriptors.push(bytes);
  for await (const rows of store.scan(memberRange("address"))) {
    for (const [key] of rows) addresses.push(fromUtf8(key.subarray(TABLE_KEY_BYTES)));
  }
  for await (const rows of store.scan(memberRange("evidence"))) for (const [, bytes] of rows) evidence.push(hex(sha256(bytes)));
  return { own, descriptors, addresses, evidence };
}
