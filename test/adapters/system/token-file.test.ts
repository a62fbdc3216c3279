import assert from "node:assert/strict";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import {
  loadOrCreateTokenFile,
  TOKEN_FILE_NAME,
  TokenFileError,
  type TokenFileErrorCode,
} from "../../../src/adapters/system/token-file.ts";

describe("system: token file", () => {
  let directory: string;
  let path: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "registry-token-"));
    path = join(directory, "nested", TOKEN_FILE_NAME);
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  async function plant(content: string, mode = 0o600): Promise<void> {
    path = join(directory, TOKEN_FILE_NAME);
    await writeFile(path, content, { mode });
    await chmod(path, mode);
  }

  async function assertRefused(code: TokenFileErrorCode): Promise<void> {
    const before = await readFile(path, "utf8");
    await assert.rejects(loadOrCreateTokenFile(path), (error: unknown) => {
      assert.ok(error instanceof TokenFileError, String(error));
      assert.equal(error.code, code);
      assert.ok(error.message.includes(path));
      assert.ok(before.trim() === "" || !error.message.includes(before.trim()), "the token must not be told");
      return true;
    });
    assert.equal(await readFile(path, "utf8"), before, "the file must stay as it was");
  }

  it("makes 32 random bytes in a file of mode 0600 and gives the same token afterwards", async () => {
    const token = await loadOrCreateTokenFile(path);
    assert.equal(Buffer.from(token, "base64url").length, 32);
    assert.equal(token.length, 43);
    assert.equal(await loadOrCreateTokenFile(path), token);
    assert.equal(await readFile(path, "utf8"), `${token}\n`);
    if (process.platform !== "win32") assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(dirname(path)), [TOKEN_FILE_NAME], "no temporary file is left");
    assert.notEqual(await loadOrCreateTokenFile(join(directory, "other")), token);
  });

  it("gives all that make it at once the same token", async () => {
    const tokens = await Promise.all(Array.from({ length: 8 }, () => loadOrCreateTokenFile(path)));
    assert.equal(new Set(tokens).size, 1);
  });

  for (const mode of [0o640, 0o604, 0o620]) {
    it(`refuses a file that others may use (${mode.toString(8)})`, async function () {
      if (process.platform === "win32") this.skip();
      await plant(`${"A".repeat(43)}\n`, mode);
      await assertRefused("exposed");
    });
  }

  const damages: [string, string][] = [
    ["an empty file", ""],
    ["a short token", "A".repeat(42)],
    ["another alphabet", `${"A".repeat(42)}+`],
    ["bits beyond 32 bytes", `${"A".repeat(42)}B`],
    ["two lines", `${"A".repeat(43)}\n${"A".repeat(19)}`],
    ["a long file", "A".repeat(10_000)],
  ];
  for (const [what, content] of damages) {
    it(`refuses ${what}`, async () => {
      await plant(content);
      await assertRefused("damaged");
    });
  }

  it("says so when the file cannot be created", async () => {
    await plant("a file, not a directory");
    await assert.rejects(
      loadOrCreateTokenFile(join(path, "below")),
      (error: unknown) => error instanceof TokenFileError && ["unreadable", "not_created"].includes(error.code),
    );
  });
});
