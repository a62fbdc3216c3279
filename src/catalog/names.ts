import { fromUtf8, hex } from "../../protocols/lib/bytes.ts";
import { isMinted } from "../../protocols/lib/did.ts";
import type { AgentRecord } from "../../protocols/record/record.ts";
import type { Store, StoreOperation, StoreReader } from "../ports/store.ts";
import { nameKey } from "./mutations.ts";
import { OWN_CATALOGUE, readIntact, rowKey, rowSuffix, scanIntact, tableRange } from "./rows.ts";

/**
 * Who holds these names without its DID spelling it: name key (hex) → K (hex). A row that has rotted is made anew from the records
 * (T45), which takes as long as to read all of them.
 */
export async function readHolders(store: Store, names: readonly Uint8Array[]): Promise<Map<string, string>> {
  const keys = names.map((name) => rowKey(OWN_CATALOGUE, "name", name));
  const rows = await readIntact(store, keys);
  const rotten = names.filter((_, i) => rows[i] === "damaged");
  const found = rotten.length === 0 ? new Map<string, string>() : await mend(store, rotten);
  rows.forEach((row, i) => {
    if (row instanceof Uint8Array) found.set(hex(names[i] as Uint8Array), hex(row));
  });
  return found;
}

async function mend(store: Store, rotten: readonly Uint8Array[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const sought = new Set(rotten.map(hex));
  const operations: StoreOperation[] = rotten.map((name) => ({ type: "del", key: rowKey(OWN_CATALOGUE, "name", name) }));
  for await (const [name, key] of holders(store)) {
    if (!sought.has(hex(name))) continue;
    found.set(hex(name), hex(key));
    operations.push({ type: "put", key: rowKey(OWN_CATALOGUE, "name", name), value: key });
  }
  await store.batch(operations, { durable: false });
  return found;
}

/** Name key and K of each record that needs a row. */
async function* holders(store: StoreReader): AsyncGenerator<readonly [Uint8Array, Uint8Array]> {
  for await (const rows of scanIntact(store, tableRange(OWN_CATALOGUE, "record"), () => undefined)) {
    for (const [row, bytes] of rows) {
      const { did, humanReadableId } = JSON.parse(fromUtf8(bytes)) as AgentRecord;
      if (!isMinted(did)) yield [nameKey(humanReadableId), Uint8Array.from(rowSuffix(row))];
    }
  }
}
