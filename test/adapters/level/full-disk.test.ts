import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { Key, type Datastore } from "interface-datastore";
import { checksummed } from "../../../src/adapters/checksum/store.ts";
import { openLevelStore, REOPEN_FREE_BYTES } from "../../../src/adapters/level/level-store.ts";
import { StoreError, type Store } from "../../../src/ports/store.ts";
import { temporaryDirectory } from "./temporary.ts";

const DISK_BYTES = REOPEN_FREE_BYTES + 16 * 1_048_576;
const DURABLE = { durable: true } as const;

const isFull = (error: unknown): boolean => error instanceof StoreError && error.code === "write_failed";
const name = (i: number): Buffer => Buffer.from(`key/${String(i).padStart(6, "0")}`);
const LARGE_BYTES = 20_000;
/** A batch of these fits the buffer of the C library, which keeps what it could not write and writes it later. */
const SMALL_BYTES = 700;
const value = (i: number, bytes = LARGE_BYTES): Buffer => Buffer.alloc(bytes, i);

describe("level: a full disk", () => {
  let disk: string;
  let filler: string;
  let removeDirectory: () => Promise<void>;
  let mounted = false;
  let store: Store;
  let datastore: Datastore;

  beforeEach(async function () {
    ({ path: disk, remove: removeDirectory } = await temporaryDirectory());
    mounted = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_BYTES}`, "tmpfs", disk]).status === 0;
    if (!mounted) {
      process.stderr.write("      skipped: a full disk needs the right to mount a small tmpfs\n");
      return this.skip();
    }
    filler = join(disk, "filler");
    await open();
  });
  afterEach(async () => {
    if (mounted) {
      await store.close();
      assert.equal(spawnSync("umount", [disk]).status, 0);
    }
    await removeDirectory();
  });

  async function open(): Promise<void> {
    const opened = await openLevelStore({ directory: join(disk, "store") });
    store = checksummed(opened.store);
    datastore = opened.datastore;
  }

  /** Leaves `leave` bytes free, then writes batches until the disk refuses one; gives the number of that batch. */
  async function fill(leave: number, bytes = LARGE_BYTES): Promise<number> {
    const { bavail, bsize } = await statfs(disk);
    const stream = createWriteStream(filler);
    stream.end(Buffer.alloc(bavail * bsize - leave));
    await once(stream, "close");
    for (let i = 0; ; i++) {
      try {
        await store.batch(
          [
            { type: "put", key: name(i), value: value(i, bytes) },
            { type: "put", key: Buffer.from("last"), value: name(i) },
          ],
          DURABLE,
        );
      } catch (error) {
        assert.ok(isFull(error), String(error));
        return i;
      }
    }
  }

  async function assertHolds(batches: number, bytes = LARGE_BYTES): Promise<void> {
    for (let i = 0; i < batches; i++) assert.ok(value(i, bytes).equals((await store.get(name(i))) as Uint8Array), `batch ${i}`);
    assert.equal(await store.get(name(batches)), undefined, "nothing of the refused batch");
    assert.equal(Buffer.from((await store.get(Buffer.from("last"))) as Uint8Array).toString(), name(batches - 1).toString());
  }

  it("refuses the batch with write_failed, goes on reading, and says what is missing", async () => {
    const refused = await fill(300_000);
    assert.ok(refused > 0);
    await assertHolds(refused);
    await assert.rejects(store.batch([{ type: "put", key: name(refused), value: value(1) }], DURABLE), (error: unknown) => {
      assert.ok(isFull(error));
      assert.match((error as Error).message, new RegExp(`full: \\d+ bytes are free, ${REOPEN_FREE_BYTES} are needed`));
      return true;
    });
    await assertHolds(refused);
  });

  // Amounts at which the torn record ends at different places of the engine's log and its buffer.
  for (const [leave, bytes] of [
    [100_000, LARGE_BYTES],
    [131_072, LARGE_BYTES],
    [1_000_000, LARGE_BYTES],
    [60_000, SMALL_BYTES],
    [100_000, SMALL_BYTES],
  ] as const) {
    it(`writes again once there is space; the refused batch and a gap appear neither then nor later (${leave} / ${bytes} bytes)`, async () => {
      const refused = await fill(leave, bytes);
      await rm(filler);
      for (let i = 0; i < 50; i++) await store.batch([{ type: "put", key: Buffer.from(`later/${i}`), value: value(i) }], DURABLE);
      await assertHolds(refused, bytes);
      await store.close();
      await open();
      await assertHolds(refused, bytes);
      for (let i = 0; i < 50; i++)
        assert.ok(value(i).equals((await store.get(Buffer.from(`later/${i}`))) as Uint8Array), `later ${i}`);
    });
  }

  it("refuses and heals writes of libp2p's datastore in the same way", async () => {
    const refused = await fill(200_000);
    await assert.rejects(async () => datastore.put(new Key("/peers/a"), value(1)), isFull);
    await rm(filler);
    await datastore.put(new Key("/peers/a"), value(1));
    assert.ok(value(1).equals(await datastore.get(new Key("/peers/a"))));
    await assertHolds(refused);
  });

  it("closes cleanly while the disk is full, and nothing acknowledged is lost", async () => {
    const refused = await fill(150_000);
    await store.close();
    await rm(filler);
    await open();
    await assertHolds(refused);
  });
});
