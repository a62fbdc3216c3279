import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  KEY_FILE_BYTES_MAX,
  KeyFileError,
  loadOrCreateKeyFile,
  type KeyFileErrorCode,
} from "../../../src/adapters/system/key-file.ts";
import { createKeyMaterial } from "../../../src/identity/key-material.ts";

describe("system: key file", () => {
  let directory: string;
  let path: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "registry-key-"));
    path = join(directory, "nested", "key.pem");
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  async function assertRefused(code: KeyFileErrorCode): Promise<void> {
    const before = await readFile(path);
    await assert.rejects(loadOrCreateKeyFile(path), (error: unknown) => {
      assert.ok(error instanceof KeyFileError, String(error));
      assert.equal(error.code, code);
      assert.ok(error.message.includes(path));
      return true;
    });
    assert.deepEqual(await readFile(path), before, "the file must stay as it was");
  }

  async function plant(content: string | Buffer, mode = 0o600): Promise<void> {
    path = join(directory, "planted.pem");
    await writeFile(path, content, { mode });
    await chmod(path, mode);
  }

  it("makes an Ed25519 PKCS#8 PEM file of mode 0600 and gives the same key afterwards", async () => {
    const first = await loadOrCreateKeyFile(path);
    const second = await loadOrCreateKeyFile(path);
    assert.equal(first.created, true);
    assert.equal(second.created, false);
    assert.deepEqual(first.seed, second.seed);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.match(await readFile(path, "utf8"), /^-----BEGIN PRIVATE KEY-----\n/);
    assert.deepEqual(await readdir(join(directory, "nested")), ["key.pem"]);
  });

  it("reads the key that another tool wrote", async () => {
    const pair = generateKeyPairSync("ed25519");
    await plant(pair.privateKey.export({ format: "pem", type: "pkcs8" }));
    const { seed } = await loadOrCreateKeyFile(path);
    const { x } = pair.publicKey.export({ format: "jwk" });
    assert.equal(Buffer.from(createKeyMaterial(seed).publicKey).toString("base64url"), x);
  });

  it("settles on one key when several make it at once", async () => {
    const keys = await Promise.all(Array.from({ length: 8 }, () => loadOrCreateKeyFile(path)));
    assert.equal(keys.filter((key) => key.created).length, 1);
    assert.equal(new Set(keys.map((key) => Buffer.from(key.seed).toString("hex"))).size, 1);
  });

  it("refuses a file that others may read", async () => {
    const pem = generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" });
    for (const mode of [0o640, 0o604, 0o660]) {
      await plant(pem, mode);
      await assertRefused("exposed");
    }
  });

  it("refuses a damaged file, and never replaces it", async () => {
    const pem = generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }) as string;
    const damaged = ["", "not a key", pem.slice(0, 60), pem.replace("MC4C", "MC4D"), Buffer.alloc(KEY_FILE_BYTES_MAX + 1, "a")];
    for (const content of damaged) {
      await plant(content);
      await assertRefused("damaged");
    }
  });

  it("refuses keys of other kinds", async () => {
    await plant(generateKeyPairSync("x25519").privateKey.export({ format: "pem", type: "pkcs8" }));
    await assertRefused("not_ed25519");
    await plant(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "pem", type: "pkcs8" }));
    await assertRefused("not_ed25519");
  });

  it("says so when the file cannot be created", async () => {
    await plant("a file, not a directory");
    await assert.rejects(
      loadOrCreateKeyFile(join(path, "key.pem")),
      (error: unknown) => error instanceof KeyFileError && ["unreadable", "not_created"].includes(error.code),
    );
  });
});
