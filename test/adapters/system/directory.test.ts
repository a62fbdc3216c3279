import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeDirectory } from "../../../src/adapters/system/directory.ts";

describe("system: directories", () => {
  let base = "";
  beforeEach(() => (base = mkdtempSync(join(tmpdir(), "directory-"))));
  afterEach(() => rmSync(base, { recursive: true, force: true }));

  it("makes a directory with its parents for the owner alone, and keeps one that is there", async () => {
    const path = join(base, "a", "b", "c");
    await makeDirectory(path);
    await makeDirectory(path);
    assert.equal(statSync(path).mode & 0o777, 0o700);
  });

  it("refuses a path that leads through a file, or is one", async () => {
    const file = join(base, "file");
    writeFileSync(file, "");
    await assert.rejects(makeDirectory(file), { code: "EEXIST" });
    await assert.rejects(makeDirectory(join(file, "below")), { code: "ENOTDIR" });
  });

  it("ends where the system keeps saying that there is no such file", async function () {
    if (process.platform !== "linux") this.skip();
    await assert.rejects(makeDirectory("/proc/none/below"), { code: "ENOENT" });
  });
});
