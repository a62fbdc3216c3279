import type { StoreRange } from "../ports/store.ts";

/** Rows of the facade in the store: their own first byte, then a table letter (compare `catalog/rows.ts`). */
const FACADE = 0x05;

const TABLES = {
  /** Nonces of registries: bucket (u48), serial (u48) → sender and nonce of each; nothing → the time up to which they were forgotten. */
  registryNonces: "n",
  /** The same for everybody else who signs. */
  otherNonces: "o",
  /** Idempotency keys (see `agents/`). */
  idempotency: "i",
  /** DID of an agent that its own key alone let in → nothing (see `agents/self-registered.ts`). */
  selfRegistered: "s",
} as const;

export type FacadeTable = keyof typeof TABLES;

export function facadeKey(table: FacadeTable, suffix: Uint8Array = new Uint8Array(0)): Uint8Array {
  return Buffer.concat([Buffer.of(FACADE), Buffer.from(TABLES[table]), suffix]);
}

export function facadeRange(table: FacadeTable): StoreRange {
  const from = facadeKey(table);
  const to = Buffer.from(from);
  to[1] = (to[1] as number) + 1;
  return { from, to };
}
