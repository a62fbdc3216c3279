import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { checksummed } from "../../../src/adapters/checksum/store.ts";
import { openLevelStore } from "../../../src/adapters/level/level-store.ts";
import { OWNER_FILE } from "../../../src/adapters/level/owner.ts";
import { StoreError } from "../../../src/ports/store.ts";
import { BATCH_KEYS, batchKey } from "./child-writer.ts";
import { temporaryDirectory } from "./temporary.ts";

/** Rounds of killing; each ends after another number of acknowledged batches. */
const KILL_AFTER_BATCHES = [0, 1, 37, 400];

describe("level: processes", () => {
  let directory: string;
  let remove: () => Promise<void>;
  let child: ChildProcess | undefined;

  beforeEach(async () => {
    const temporary = await temporaryDirectory();
    directory = join(temporary.path, "store");
    remove = temporary.remove;
  });
  afterEach(async () => {
    if (child !== undefined) await kill(child);
    await remove();
  });

  function startWriter(): { readonly process: ChildProcess; readonly lines: AsyncIterableIterator<string> } {
    const script = new URL("./child-writer.ts", import.meta.url).pathname;
    const started = spawn(process.execPath, [script, directory], { stdio: ["ignore", "pipe", "inherit"] });
    child = started;
    return { process: started, lines: createInterface({ input: started.stdout })[Symbol.asyncIterator]() };
  }

  async function kill(victim: ChildProcess): Promise<void> {
    if (victim.exitCode !== null || victim.signalCode !== null) return;
    const ended = once(victim, "exit");
    victim.kill("SIGKILL");
    await ended;
  }

  for (const killAfter of KILL_AFTER_BATCHES) {
    it(`T44 kill -9 after ${killAfter} acknowledged batches loses none of them and leaves no half batch`, async () => {
      const writer = startWriter();
      let acknowledged = 0;
      let highest = -1;
      for await (const line of writer.lines) {
        if (line !== "open") {
          acknowledged++;
          highest = Math.max(highest, Number(line));
        }
        if (acknowledged === killAfter) writer.process.kill("SIGKILL");
      }
      assert.ok(acknowledged >= killAfter);

      const store = checksummed((await openLevelStore({ directory })).store);
      const found = new Map<number, number>();
      for await (const chunk of store.scan({ from: Buffer.from("batch/"), to: Buffer.from("batch0") })) {
        for (const [key, value] of chunk) {
          const i = Number(Buffer.from(key).toString().split("/")[1]);
          assert.ok(Buffer.alloc(2_000, i).equals(value));
          found.set(i, (found.get(i) ?? 0) + 1);
        }
      }
      for (let i = 0; i <= highest; i++) assert.equal(found.get(i), BATCH_KEYS, `batch ${i}`);
      assert.ok([...found.values()].every((keys) => keys === BATCH_KEYS));
      // Batches survive as a prefix, and what they all overwrite is the last one's.
      const newest = found.size - 1;
      assert.deepEqual(
        [...found.keys()],
        Array.from({ length: found.size }, (_, i) => i),
      );
      const last = await store.get(Buffer.from("last"));
      assert.equal(last && Buffer.from(last).toString(), newest < 0 ? undefined : String(newest));
      assert.ok(newest < 0 || (await store.get(batchKey(newest, 0))) !== undefined);
      await store.close();
    });
  }

  it("names the directory and the live process that holds it", async () => {
    const writer = startWriter();
    await writer.lines.next();
    await assert.rejects(openLevelStore({ directory }), (error: unknown) => {
      assert.ok(error instanceof StoreError, String(error));
      assert.equal(error.code, "in_use");
      assert.ok(error.message.includes(`process ${writer.process.pid}`), error.message);
      assert.ok(error.message.includes(directory));
      return true;
    });
    await kill(writer.process);
    const { store } = await openLevelStore({ directory });
    await store.close();
  });

  it("does not name a dead process, and takes no harm from a damaged owner file", async () => {
    const writer = startWriter();
    await writer.lines.next();
    const dead = spawn(process.execPath, ["--version"], { stdio: "ignore" });
    await once(dead, "exit");
    for (const content of [JSON.stringify({ pid: dead.pid }), "", "null", '{"pid":-1}', '{"pid":"x"}']) {
      await writeFile(join(directory, OWNER_FILE), content);
      await assert.rejects(openLevelStore({ directory }), /^StoreError: another process holds the store/);
    }
  });

  it("says so when this process itself holds it", async () => {
    const { store } = await openLevelStore({ directory });
    await assert.rejects(openLevelStore({ directory }), /this process already holds the store/);
    await store.close();
  });
});
