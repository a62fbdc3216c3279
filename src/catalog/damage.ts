import { NodeError } from "../api.ts";
import { StoreError } from "../ports/store.ts";
import { recordOfRow } from "./rows.ts";

/** K of the record whose stored bytes fail their checksum; `undefined` for any other error. */
export function damagedKey(error: unknown): Uint8Array | undefined {
  const isDamage = error instanceof StoreError && error.code === "damaged" && error.key !== undefined;
  return isDamage ? recordOfRow(error.key)?.key : undefined;
}

/** What a reader of such a record is told. @param retryAfterMs until peers may have brought it back */
export function damagedRecord(retryAfterMs: number, cause?: Error): NodeError {
  const help = "registries that may have a copy are asked for it: try again, or write the agent anew at its home";
  return new NodeError("damaged", `the agent's stored record fails its checksum; ${help}`, { cause, retryAfterMs });
}
