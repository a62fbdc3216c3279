import assert from "node:assert/strict";
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addFile, exposedMode, isCode, replaceFile } from "../../src/adapters/files.ts";

describe("files that are whole or not there", () => {
  let directory: string;
  let path: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "registry-files-"));
    path = join(directory, "file");
  });
  afterEach(() => rm(directory, { recursive: true }));

  const mode = async (): Promise<number> => (await stat(path)).mode & 0o777;

  it("replaces a file as a whole, for its owner alone, and leaves nothing else behind", async () => {
    await replaceFile(path, "first");
    await writeFile(path, "somebody else's, and longer", { mode: 0o644 });
    await replaceFile(path, "second");
    assert.equal(await readFile(path, "utf8"), "second");
    assert.equal(await mode(), 0o600);
    assert.deepEqual(await readdir(directory), ["file"]);
  });

  it("gives a reader the old text or the new one, however many write at once", async () => {
    const texts = Array.from({ length: 8 }, (_, i) => String(i).repeat(200_000));
    await replaceFile(path, texts[0] as string);
    let writing = true;
    const writes = Promise.all(texts.map((text) => replaceFile(path, text))).then(() => (writing = false));
    do assert.ok(texts.includes(await readFile(path, "utf8")), "half a text was read");
    while (writing);
    await writes;
    assert.deepEqual(await readdir(directory), ["file"]);
  });

  it("adds a file, and never in the place of another", async () => {
    await addFile(path, "first");
    await assert.rejects(addFile(path, "second"), { code: "EEXIST" });
    assert.equal(await readFile(path, "utf8"), "first");
    assert.equal(await mode(), 0o600);
    assert.deepEqual(await readdir(directory), ["file"]);
  });

  it("leaves what was there, and no temporary file, when it cannot put the file into its place", async () => {
    await mkdir(join(path, "full"), { recursive: true });
    await assert.rejects(replaceFile(path, "text"), (error) => isCode(error, "EISDIR") || isCode(error, "ENOTEMPTY"));
    assert.deepEqual(await readdir(directory), ["file"]);
    await assert.rejects(replaceFile(join(directory, "missing", "file"), "text"), (error) => isCode(error, "ENOENT"));
  });

  it("tells a file that others may use", async () => {
    for (const [bits, told] of [
      [0o600, undefined],
      [0o640, "0640"],
      [0o604, "0604"],
    ] as const) {
      await rm(path, { force: true });
      await writeFile(path, "", { mode: bits });
      const file = await open(path, "r");
      assert.equal(await exposedMode(file), told);
      await file.close();
    }
  });
});
