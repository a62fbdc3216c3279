import { equal } from "../../protocols/lib/bytes.ts";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import { valueOf } from "../../protocols/lib/hash.ts";
import { admit } from "../../protocols/record/codec.ts";
import type { AgentRecord } from "../../protocols/record/record.ts";
import { refusal } from "../catalog/admission.ts";
import type { Catalogue } from "../catalog/catalogue.ts";
import { rowKey, rowSuffix, tableRange } from "../catalog/rows.ts";
import type { Clock } from "../ports/clock.ts";
import type { Store, StoreOperation } from "../ports/store.ts";

/**
 * Checks every record of a replica after a bulk sync, beside everything else: which of them may never be shown, and why. A
 * record that changed meanwhile was checked by the session that changed it.
 * @param turn runs `work` in the replica's own turn
 */
export async function checkAdmission(
  ports: {
    readonly catalogue: Catalogue;
    readonly store: Store;
    readonly clock: Clock;
    readonly turn: <T>(work: () => T) => Promise<T>;
  },
  signal: AbortSignal,
): Promise<void> {
  const { catalogue, store, clock, turn } = ports;
  const context = { home: catalogue.home, epoch: catalogue.epoch, nowMs: clock.now() };
  for await (const rows of store.scan(tableRange(catalogue.number, "record"))) {
    signal.throwIfAborted();
    const refused = rows.flatMap(([row, record]) => {
      const key = Uint8Array.from(rowSuffix(row));
      const reason = refusal(record, key, context);
      return reason === undefined ? [] : [{ key, reason, value: valueOf(record) }];
    });
    if (refused.length === 0) continue;
    const operations = await turn(() =>
      refused.flatMap(({ key, reason, value }): StoreOperation[] => {
        const stands = catalogue.map.get(key);
        if (stands === undefined || !equal(stands, value)) return [];
        catalogue.refuse(key, reason);
        return [{ type: "put", key: rowKey(catalogue.number, "refused", key), value: Buffer.from(reason) }];
      }),
    );
    if (operations.length > 0) await store.batch(operations, { durable: false });
  }
}

/** The record, if it may be shown now. */
export function readAdmitted(
  { home, epoch }: Catalogue,
  bytes: Uint8Array,
  key: Uint8Array,
  nowMs: number,
): AgentRecord | undefined {
  try {
    return admit(bytes, key, { home, epoch, nowMs });
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}
