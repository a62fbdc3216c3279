import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod, mkdtemp, rename, rm, symlink, writeFile, mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/adapters/system/clock.ts";
import {
  openWebCertificate,
  WEB_CERTIFICATE_CHECK_MS,
  type WebCertificateFiles,
} from "../../../src/adapters/system/web-certificate.ts";
import type { WebCertificatePair } from "../../../src/adapters/system/web-certificate-pair.ts";
import type { Log } from "../../../src/ports/log.ts";
import { DOMAIN, HOUR_MS, newPair } from "./web-pair.ts";

/** A user without rights, as containers run their processes. */
const NOBODY_UID = 65_534;

describe("the certificate files of the public web", () => {
  let directory: string;
  let paths: { certificate: string; key: string };
  let logged: string[];
  /** Of the machine's clock. */
  let aheadMs: number;
  let due: { delayMs: number; fire: () => void }[];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "web-certificate-"));
    paths = { certificate: join(directory, "chain.pem"), key: join(directory, "key.pem") };
    [logged, due, aheadMs] = [[], [], 0];
  });
  afterEach(() => rm(directory, { recursive: true }));

  async function place({ certificate, key }: WebCertificatePair): Promise<void> {
    await writeFile(paths.certificate, certificate);
    await writeFile(paths.key, key, { mode: 0o600 });
  }

  function opened(): Promise<WebCertificateFiles> {
    const note: Log["info"] = (message, fields) =>
      void logged.push(`${message} ${fields?.["error"] instanceof Error ? fields["error"].message : ""}`);
    const log: Log = { debug: note, info: note, warn: note, error: note, child: () => log };
    const after = (delayMs: number, fire: () => void): (() => void) => {
      const timer = { delayMs, fire };
      due.push(timer);
      return () => void (due = due.filter((each) => each !== timer));
    };
    return openWebCertificate({
      paths,
      domain: DOMAIN,
      clock: { ...systemClock(), now: () => systemClock().now() + aheadMs, after },
      log,
    });
  }

  it("hands on a renewed pair once, looked for each minute", async () => {
    await place(await newPair());
    const files = await opened();
    const renewed = await newPair();
    const { promise, resolve } = Promise.withResolvers<WebCertificatePair>();
    let taken = 0;
    files.watch((pair) => {
      taken += 1;
      resolve(pair);
    });
    await files.check();
    assert.equal(taken, 0, "nothing has changed");
    await place(renewed);
    assert.deepEqual(
      due.map(({ delayMs }) => delayMs),
      [WEB_CERTIFICATE_CHECK_MS],
    );
    due.splice(0)[0]?.fire();
    assert.equal((await promise).certificate, renewed.certificate);
    await files.check();
    assert.deepEqual([taken, files.pair.key], [1, renewed.key]);
    files.close();
    assert.deepEqual(due, [], "a closed one looks no more");
  });

  it("keeps the old pair while the new one does not hold, says so once, and takes it when it does", async () => {
    const old = await newPair();
    await place(old);
    const files = await opened();
    const taken: string[] = [];
    files.watch(({ certificate }) => taken.push(certificate));
    const renewed = await newPair();
    await writeFile(paths.certificate, renewed.certificate);
    await files.check();
    await files.check();
    assert.deepEqual([files.pair.certificate, taken], [old.certificate, []]);
    assert.equal(logged.length, 1);
    assert.match(logged[0] as string, /key\.pem is not the key of the first certificate in .*chain\.pem/);
    await writeFile(paths.key, renewed.key);
    await files.check();
    assert.deepEqual(taken, [renewed.certificate]);
    await rm(paths.key);
    await files.check();
    assert.equal(files.pair.certificate, renewed.certificate);
    files.close();
  });

  const refused: [what: string, code: string, message: RegExp, spoil: () => Promise<void>][] = [
    ["a pair that does not match", "mismatch", /key\.pem .*one pair/, async () => writeFile(paths.key, (await newPair()).key)],
    [
      "an expired certificate",
      "expired",
      /chain\.pem is valid .*renew it/,
      async () => place(await newPair({ lifetimeMs: -HOUR_MS })),
    ],
    [
      "a certificate that begins tomorrow",
      "expired",
      /not now: renew it, or set this machine's clock/,
      async () => place(await newPair({ beginsInMs: 24 * HOUR_MS, lifetimeMs: 48 * HOUR_MS })),
    ],
    [
      "a certificate of another domain",
      "wrong_name",
      /chain\.pem is for DNS:other\.example, not for registry\.acme\.example: .*REGISTRY_DOMAIN/,
      async () => place(await newPair({ names: ["other.example"] })),
    ],
    [
      "a wildcard for deeper names",
      "wrong_name",
      /not for registry\.acme\.example/,
      async () => place(await newPair({ names: ["*.registry.acme.example"] })),
    ],
    [
      "a name that stands in the subject alone",
      "wrong_name",
      /is for no name/,
      async () => place(await newPair({ names: [], commonName: DOMAIN })),
    ],
    ["a key that everybody may read", "exposed", /key\.pem \(mode 0604\): run chmod/, () => chmod(paths.key, 0o604)],
    ["a key that everybody may write", "exposed", /key\.pem \(mode 0602\): run chmod/, () => chmod(paths.key, 0o602)],
    ["a key that is none", "damaged", /key\.pem holds no private key/, () => writeFile(paths.key, "none")],
    ["a chain that is none", "damaged", /chain\.pem holds no certificate/, () => writeFile(paths.certificate, "none")],
    ["a missing key", "unreadable", /key\.pem cannot be read/, () => rm(paths.key)],
  ];
  for (const [what, code, message, spoil] of refused) {
    it(`refuses ${what} at the start`, async () => {
      await place(await newPair());
      await spoil();
      await assert.rejects(opened(), { name: "WebCertificateError", code, message });
    });
  }

  for (const names of [["*.acme.example"], ["other.example", DOMAIN]]) {
    it(`takes a certificate of ${names.join(" and ")}`, async () => {
      await place(await newPair({ names }));
      (await opened()).close();
    });
  }

  it("keeps the old pair when the renewed one is of another domain, and tells when the old one has ended", async () => {
    const old = await newPair();
    await place(old);
    const files = await opened();
    await place(await newPair({ names: ["other.example"] }));
    await files.check();
    aheadMs = HOUR_MS;
    for (let i = 0; i < 3; i++) await files.check();
    assert.equal(files.pair.certificate, old.certificate);
    assert.equal(logged.length, 2, logged.join("\n"));
    assert.match(logged[0] as string, /was not renewed: the old one stays .*not for registry\.acme\.example/);
    assert.match(logged[1] as string, /has expired: renew it/);
    files.close();
  });

  describe("of containers", () => {
    it("takes a key that its group may read", async () => {
      await place(await newPair());
      await chmod(paths.key, 0o640);
      (await opened()).close();
      assert.deepEqual(logged, []);
    });

    it("follows links that are moved to a new folder as a whole", async () => {
      const volume = async (name: string): Promise<WebCertificatePair> => {
        const pair = await newPair();
        await mkdir(join(directory, name));
        await writeFile(join(directory, name, "chain.pem"), pair.certificate);
        await writeFile(join(directory, name, "key.pem"), pair.key, { mode: 0o640 });
        await symlink(name, join(directory, "..new"));
        await rename(join(directory, "..new"), join(directory, "..data"));
        return pair;
      };
      await volume("first");
      for (const name of ["chain.pem", "key.pem"]) await symlink(join("..data", name), join(directory, name));
      const files = await opened();
      const second = await volume("second");
      await files.check();
      assert.equal(files.pair.key, second.key);
      files.close();
    });

    it("takes a key of root that everybody may read where this user cannot change it, and says so", async function () {
      if (process.geteuid?.() !== 0) this.skip();
      await place(await newPair());
      await chmod(directory, 0o755);
      await chmod(paths.key, 0o444);
      await assert.rejects(opened(), { code: "exposed" }, "root can change it");
      process.seteuid?.(NOBODY_UID);
      try {
        (await opened()).close();
        assert.match(logged.join(), /everybody may use the key \S+key\.pem \(mode 0444\): it is taken/);
      } finally {
        process.seteuid?.(0);
      }
    });

    it("takes a key that everybody may read from a volume that is mounted read-only, and says so", async function () {
      const mount = (...argv: string[]): boolean => spawnSync("mount", [...argv, directory]).status === 0;
      if (process.platform !== "linux" || !mount("-t", "tmpfs", "-o", "size=1m", "tmpfs")) this.skip();
      try {
        await place(await newPair());
        await chmod(paths.key, 0o444);
        await assert.rejects(opened(), { code: "exposed" }, "it can be changed");
        assert.ok(mount("-o", "remount,ro"));
        (await opened()).close();
        assert.match(logged.join(), /mode 0444\): it is taken/);
      } finally {
        assert.equal(spawnSync("umount", [directory]).status, 0);
      }
    });
  });
});
