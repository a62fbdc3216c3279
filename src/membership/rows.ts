import { utf8 } from "../../protocols/lib/bytes.ts";
import type { StoreRange } from "../ports/store.ts";

/** Rows of membership in the store: their own first byte, then a table letter (compare `catalog/rows.ts`). */
const MEMBERSHIP = 0x02;

const TABLES = {
  /** Our own newest descriptor. */
  own: "o",
  /** DID → newest descriptor of a known registry. */
  descriptor: "d",
  /** Address → nothing: peers added by the operator at run time. */
  address: "a",
  /** Hash of the DID, hash of the evidence, 1 for a registry that is wanted or 0, serial (u48) → the evidence. */
  evidence: "e",
  /** Hash of the DID → nothing: registries that contradicted themselves. */
  isolated: "i",
  /** DID → nothing: registries that the operator removed. */
  removed: "x",
} as const;

export function memberKey(table: keyof typeof TABLES, suffix: Uint8Array = new Uint8Array(0)): Uint8Array {
  return Buffer.concat([Buffer.of(MEMBERSHIP), Buffer.from(TABLES[table]), suffix]);
}

export function memberRange(table: keyof typeof TABLES): StoreRange {
  const from = memberKey(table);
  const to = Buffer.from(from);
  to[1] = (to[1] as number) + 1;
  return { from, to };
}

export function descriptorKey(did: string): Uint8Array {
  return memberKey("descriptor", utf8(did));
}

export function removedKey(did: string): Uint8Array {
  return memberKey("removed", utf8(did));
}

export function addressKey(address: string): Uint8Array {
  return memberKey("address", utf8(address));
}
