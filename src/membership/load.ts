import { fromUtf8 } from "../../protocols/lib/bytes.ts";
import { StoreError, type StoreReader } from "../ports/store.ts";
import { memberKey, memberRange } from "./rows.ts";

/** What membership kept over a restart. */
export interface StoredMembership {
  readonly own: Uint8Array | undefined;
  readonly descriptors: readonly Uint8Array[];
  readonly addresses: readonly string[];
  /** Suffixes of the rows of the registries that are isolated, and of the evidence at hand. */
  readonly isolated: readonly Uint8Array[];
  readonly evidence: readonly Uint8Array[];
  /** DIDs of the registries that the operator removed. */
  readonly removed: readonly string[];
}

const TABLE_KEY_BYTES = memberKey("own").length;

export async function loadMembership(store: StoreReader): Promise<StoredMembership> {
  const own = await store.get(memberKey("own"));
  const descriptors: Uint8Array[] = [];
  const suffixes = async (table: Parameters<typeof memberRange>[0]): Promise<Uint8Array[]> => {
    const found: Uint8Array[] = [];
    const add = (key: Uint8Array): void => void found.push(Uint8Array.from(key.subarray(TABLE_KEY_BYTES)));
    const range = memberRange(table);
    for (let from: Uint8Array | undefined = range.from; from !== undefined;) {
      const rest = { ...range, from };
      from = undefined;
      try {
        for await (const rows of store.scan(rest)) for (const [key] of rows) add(key);
      } catch (error) {
        // All that is wanted of these rows is in their keys: one that has rotted sets nobody free.
        if (!(error instanceof StoreError) || error.code !== "damaged" || error.key === undefined) throw error;
        add(error.key);
        from = Buffer.concat([error.key, Buffer.of(0)]);
      }
    }
    return found;
  };
  for await (const rows of store.scan(memberRange("descriptor"))) for (const [, bytes] of rows) descriptors.push(bytes);
  const addresses = (await suffixes("address")).map(fromUtf8);
  const removed = (await suffixes("removed")).map(fromUtf8);
  const [isolated, evidence] = [await suffixes("isolated"), await suffixes("evidence")];
  return { own, descriptors, addresses, isolated, evidence, removed };
}
