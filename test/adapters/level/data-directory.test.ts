import assert from "node:assert/strict";
import { cp, mkdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  DATA_FORMAT,
  DataDirectoryError,
  FORMAT_FILE,
  IDENTITY_FILE,
  MARKER_FILE,
  openDataDirectory,
  type DataDirectoryErrorCode,
} from "../../../src/adapters/level/data-directory.ts";
import { openLevelStore } from "../../../src/adapters/level/level-store.ts";
import { temporaryDirectory } from "./temporary.ts";

const KEY = "registry.key";
const HOST = { machineId: "machine-1", bootId: "boot-1" };

describe("level: data directory", () => {
  let root: string;
  let path: string;
  let remove: () => Promise<void>;

  beforeEach(async () => {
    ({ path: root, remove } = await temporaryDirectory());
    path = join(root, "data");
  });
  afterEach(() => remove());

  const isCopied = async (at: string = path, host = HOST): Promise<boolean> => (await openDataDirectory(at, host, KEY)).copied;

  const refusedWith =
    (code: DataDirectoryErrorCode, ...words: readonly string[]) =>
    (error: unknown) => {
      assert.ok(error instanceof DataDirectoryError, String(error));
      assert.equal(error.code, code);
      for (const word of words) assert.ok(error.message.includes(word), `"${word}" in: ${error.message}`);
      return true;
    };

  /** A directory in use: a store with content, as a backup would find it. */
  async function filled(): Promise<void> {
    const { storeDirectory } = await openDataDirectory(path, HOST, KEY);
    const { store } = await openLevelStore({ directory: storeDirectory });
    await store.batch([{ type: "put", key: Buffer.from("k"), value: Buffer.from("v") }], { durable: true });
    await store.close();
    await writeFile(join(path, KEY), "a key");
  }

  it("creates itself for its owner alone, and opens again as the same", async () => {
    const first = await openDataDirectory(path, HOST, KEY);
    assert.equal(first.copied, false);
    assert.equal((await stat(path)).mode & 0o777, 0o700);
    assert.deepEqual(JSON.parse(await readFile(join(path, FORMAT_FILE), "utf8")), { format: DATA_FORMAT });
    await filled();
    assert.equal(await isCopied(), false);
  });

  it("T53 says so when only the key was put back, and until signing may go on; one that was made here is no stranger", async () => {
    await mkdir(path);
    await writeFile(join(path, KEY), "a key that signed elsewhere");
    assert.equal(await isCopied(), true);
    assert.equal(await isCopied(), true, "the start before this one settled nothing");
    await (await openDataDirectory(path, HOST, KEY)).acceptIdentity();
    assert.equal(await isCopied(), false);
    const made = join(root, "made");
    assert.equal(await isCopied(made), false);
    await writeFile(join(made, KEY), "a key of its own");
    assert.equal(await isCopied(made), false);
  });

  it("refuses a catalogue whose key is missing, and writes nothing", async () => {
    await filled();
    await rm(join(path, KEY));
    await assert.rejects(openDataDirectory(path, HOST, KEY), refusedWith("damaged", KEY, "restore"));
    await assert.rejects(stat(join(path, KEY)));
  });

  it("opens through a relative path and a symbolic link as the same directory", async () => {
    await filled();
    await symlink(path, join(root, "link"));
    assert.equal(await isCopied(join(root, "link")), false);
    assert.equal(await isCopied(join(path, "..", "data")), false);
  });

  it("stays the same when it is renamed, and when device numbers change with a new boot", async () => {
    await filled();
    await rename(path, join(root, "moved"));
    path = join(root, "moved");
    assert.equal(await isCopied(), false);
    const recorded = await readFile(join(path, IDENTITY_FILE), "utf8");
    await writeFile(join(path, IDENTITY_FILE), recorded.replaceAll(/"device": "\d+"/g, '"device": "4242"'));
    assert.equal(await isCopied(path, { ...HOST, bootId: "boot-2" }), false);
    assert.equal(await isCopied(path, { ...HOST, bootId: "boot-2" }), false);
  });

  it("T53 finds that it was copied, until the identity is accepted", async () => {
    await filled();
    const copy = join(root, "copy");
    await cp(path, copy, { recursive: true, preserveTimestamps: true });
    const opened = await openDataDirectory(copy, HOST, KEY);
    assert.equal(opened.copied, true);
    assert.equal(await isCopied(copy), true, "opening alone accepts nothing");
    await opened.acceptIdentity();
    assert.equal(await isCopied(copy), false);
    assert.equal(await isCopied(path), false, "the original is untouched");
  });

  it("T53 finds that it was restored in place, wholly or the store alone", async () => {
    await filled();
    const backup = join(root, "backup");
    await cp(path, backup, { recursive: true, preserveTimestamps: true });
    await rm(join(path, "store"), { recursive: true });
    await cp(join(backup, "store"), join(path, "store"), { recursive: true, preserveTimestamps: true });
    assert.equal(await isCopied(), true);
    await rm(path, { recursive: true });
    await cp(backup, path, { recursive: true, preserveTimestamps: true });
    assert.equal(await isCopied(), true);
  });

  it("T53 finds that its store was lost", async () => {
    await filled();
    await rm(join(path, "store"), { recursive: true });
    assert.equal(await isCopied(), true);
  });

  it("T53 finds that it came to another machine or another device", async () => {
    await filled();
    assert.equal(await isCopied(path, { ...HOST, machineId: "machine-2" }), true);
    const recorded = await readFile(join(path, IDENTITY_FILE), "utf8");
    await writeFile(join(path, IDENTITY_FILE), recorded.replaceAll(/"device": "\d+"/g, '"device": "4242"'));
    assert.equal(await isCopied(), true);
  });

  it("T53 takes the careful path when the recorded identity is missing or damaged", async () => {
    await filled();
    for (const content of ["", "{", "null", "[]", '{"machineId":7}', '{"directory":null}']) {
      await writeFile(join(path, IDENTITY_FILE), content);
      assert.equal(await isCopied(), true, content);
    }
    await rm(join(path, IDENTITY_FILE));
    assert.equal(await isCopied(), true);
  });

  it("is fresh after a first start that was cut short", async () => {
    await openDataDirectory(path, HOST, KEY);
    await rm(join(path, IDENTITY_FILE));
    assert.equal(await isCopied(), false);
    await rm(join(path, "store", MARKER_FILE));
    await rm(join(path, IDENTITY_FILE));
    assert.equal(await isCopied(), false);
  });

  it("refuses a newer format, names both versions, and writes nothing", async () => {
    await mkdir(path);
    await writeFile(join(path, FORMAT_FILE), JSON.stringify({ format: DATA_FORMAT + 1 }));
    const words = [`format ${DATA_FORMAT + 1}`, `up to ${DATA_FORMAT}`, "newer version", path];
    await assert.rejects(openDataDirectory(path, HOST, KEY), refusedWith("newer_format", ...words));
    await assert.rejects(stat(join(path, "store")));
  });

  it("T51 refuses a damaged format file, or a store without one", async () => {
    await filled();
    for (const content of ["", "{}", "[]", "null", '{"format":"1"}', '{"format":0}', '{"format":1.5}', "\u0000"]) {
      await writeFile(join(path, FORMAT_FILE), content);
      await assert.rejects(openDataDirectory(path, HOST, KEY), refusedWith("damaged", FORMAT_FILE));
    }
    await rm(join(path, FORMAT_FILE));
    await assert.rejects(openDataDirectory(path, HOST, KEY), refusedWith("damaged", FORMAT_FILE));
  });

  it("says so when the path is a file", async () => {
    await writeFile(path, "");
    await assert.rejects(openDataDirectory(path, HOST, KEY), refusedWith("unusable", path));
  });
});
