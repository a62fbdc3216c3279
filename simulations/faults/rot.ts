import { CHECKSUM_BYTES } from "../../src/adapters/checksum/store.ts";
import type { SortedMap } from "../../src/adapters/memory/sorted-map.ts";
import { OWN_CATALOGUE, recordOfRow, rowKey, tableRange, type Table } from "../../src/catalog/rows.ts";
import type { SeededRandom } from "../engine/random.ts";
import type { Federation } from "../federation/federation.ts";
import type { Machine } from "../federation/machine.ts";
import type { RotFaults } from "./plan.ts";

const REPLICA_TABLES: readonly Table[] = ["head", "record", "bucket", "leaf"];
/** Bytes of a key that is drawn to find the next row after it. */
const DRAWN_KEY_BYTES = 32;

/**
 * Flips a bit of some row on the machine's disk, below the checksum, and says of which; `undefined` where the draw met no row
 * that may rot.
 */
export function rotOn(
  machine: Machine,
  federation: Federation,
  target: RotFaults["target"],
  random: SeededRandom,
): string | undefined {
  const { content } = machine.disk.store;
  const replicas = federation.machines.length - 1;
  const row =
    target === "records"
      ? drawnRow(content, random.integer(OWN_CATALOGUE, replicas), "record", random)
      : drawnRow(content, random.integer(OWN_CATALOGUE + 1, Math.max(1, replicas)), random.pick(REPLICA_TABLES), random);
  if (row === undefined) return undefined;
  const [key, value] = row;
  if (target === "records" && !isHeldElsewhere(key, value, machine, federation)) return undefined;
  const bit = random.integer(CHECKSUM_BYTES * 8, value.length * 8 - 1);
  return machine.disk.store.flipBit(key, bit) ? `${machine.name} ${Buffer.from(key).toString("hex")} bit ${bit}` : undefined;
}

type Row = readonly [key: Uint8Array, value: Uint8Array];

function drawnRow(content: SortedMap, catalogue: number, table: Table, random: SeededRandom): Row | undefined {
  const { from, to } = tableRange(catalogue, table);
  const drawn = content.nearest(rowKey(catalogue, table, random.bytes(DRAWN_KEY_BYTES)), false);
  const row = drawn !== undefined && Buffer.compare(drawn[0], to) < 0 ? drawn : content.nearest(from, false);
  return row !== undefined && Buffer.compare(row[0], to) < 0 && row[1].length > CHECKSUM_BYTES ? row : undefined;
}

/** Whether another disk holds the same record: then neither of the two has rotted before. */
function isHeldElsewhere(key: Uint8Array, value: Uint8Array, machine: Machine, { machines }: Federation): boolean {
  const record = recordOfRow(key);
  if (record === undefined) return false;
  const bytes = value.subarray(CHECKSUM_BYTES);
  return machines.some((other) => {
    if (other === machine) return false;
    return machines.some((_, catalogue) => {
      const held = other.disk.store.content.get(rowKey(catalogue, "record", record.key));
      return held !== undefined && Buffer.compare(held.subarray(CHECKSUM_BYTES), bytes) === 0;
    });
  });
}
