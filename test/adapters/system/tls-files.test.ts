import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AUTHORITY_FILES_MAX, TLS_FILE_BYTES_MAX, tlsFiles } from "../../../src/adapters/system/tls-files.ts";
import type { AuthorityFiles } from "../../../src/ports/certificates.ts";
import { CredentialsError, type CredentialsErrorCode } from "../../../src/ports/credentials.ts";

describe("system: certificate files", () => {
  let directory: string;
  let files: AuthorityFiles;
  const path = (name: string): string => join(directory, "tls", name);

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "registry-tls-files-"));
    files = tlsFiles(directory);
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  async function assertRefused(code: CredentialsErrorCode, step: Promise<unknown>, message: RegExp): Promise<void> {
    await assert.rejects(step, (error: unknown) => {
      assert.ok(error instanceof CredentialsError, String(error));
      assert.equal(error.code, code);
      assert.match(error.message, message);
      return true;
    });
  }

  it("reads nothing where nothing was written, and makes nothing", async () => {
    assert.deepEqual(await files.read(), { authorities: [], bundle: undefined });
    assert.deepEqual(await readdir(directory), []);
  });

  it("reads back what it wrote, by number and not by name, and leaves nothing else behind", async () => {
    for (const number of [9, 10, 2]) await files.addAuthority(number, `pem ${number}`);
    await files.writeBundle("first");
    await files.writeBundle("second");
    await files.removeAuthority(9);
    const { authorities, bundle } = await files.read();
    assert.deepEqual(
      authorities,
      [2, 10].map((number) => ({ number, path: path(`authority-${number}.pem`), text: `pem ${number}` })),
    );
    assert.deepEqual(bundle, { path: path("bundle.json"), text: "second" });
    assert.deepEqual((await readdir(path(""))).sort(), ["authority-10.pem", "authority-2.pem", "bundle.json"]);
    for (const name of await readdir(path(""))) assert.equal((await stat(path(name))).mode & 0o777, 0o600, name);
    assert.equal((await stat(path(""))).mode & 0o777, 0o700);
  });

  it("never replaces an authority", async () => {
    await files.addAuthority(1, "first");
    await assertRefused("not_created", files.addAuthority(1, "second"), /authority-1\.pem cannot be written.*check permissions/);
    assert.equal(await readFile(path("authority-1.pem"), "utf8"), "first");
  });

  it("refuses a key that others may use, also behind a link", async () => {
    await files.addAuthority(1, "pem");
    await chmod(path("authority-1.pem"), 0o644);
    await assertRefused("exposed", files.read(), /mode 0644\); run: chmod 600 .*authority-1\.pem/);
    await chmod(path("authority-1.pem"), 0o600);
    await writeFile(join(directory, "elsewhere"), "pem", { mode: 0o640 });
    await symlink(join(directory, "elsewhere"), path("authority-2.pem"));
    await assertRefused("exposed", files.read(), /authority-2\.pem/);
  });

  it("takes no note of other files, and refuses too many or too long ones", async () => {
    await mkdir(path(""));
    for (const name of ["authority-0.pem", "authority-01.pem", "authority-1.pem.tmp", "notes.txt", "authority-x.pem"]) {
      await writeFile(path(name), "x", { mode: 0o644 });
    }
    assert.deepEqual(await files.read(), { authorities: [], bundle: undefined });
    await writeFile(path("bundle.json"), "x".repeat(TLS_FILE_BYTES_MAX + 1));
    await assertRefused("damaged", files.read(), /bundle\.json has \d+ bytes/);
    for (let number = 1; number <= AUTHORITY_FILES_MAX + 1; number++) await files.addAuthority(number, "pem");
    await assertRefused("damaged", files.read(), /holds 17 authorities/);
  });
});
