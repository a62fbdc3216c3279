import { checksummed } from "../../../src/adapters/checksum/store.ts";
import { openLevelStore } from "../../../src/adapters/level/level-store.ts";

/**
 * Run as a process of its own: opens the store named by its argument, says "open", then writes numbered durable batches of
 * BATCH_KEYS keys, several under way at a time, and says each number once its batch was acknowledged. It never ends by itself.
 */
export const BATCH_KEYS = 5;
/** What a key of batch `i` is called; each batch also overwrites `last`. */
export const batchKey = (i: number, j: number): Buffer => Buffer.from(`batch/${String(i).padStart(8, "0")}/${j}`);

const BATCHES_UNDER_WAY = 4;

async function writeForever(directory: string): Promise<void> {
  const store = checksummed((await openLevelStore({ directory })).store);
  process.stdout.write("open\n");
  let next = 0;
  const write = async (): Promise<void> => {
    for (;;) {
      const i = next++;
      const puts = Array.from({ length: BATCH_KEYS }, (_, j) => ({
        type: "put" as const,
        key: batchKey(i, j),
        value: Buffer.alloc(2_000, i),
      }));
      await store.batch([...puts, { type: "put", key: Buffer.from("last"), value: Buffer.from(String(i)) }], { durable: true });
      process.stdout.write(`${i}\n`);
    }
  };
  await Promise.all(Array.from({ length: BATCHES_UNDER_WAY }, write));
}

if (import.meta.main) await writeForever(process.argv[2] as string);
