import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { chmod, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { decodeBundle } from "../../protocols/bundle/bundle.ts";
import { certificateIssuer } from "../../src/adapters/certificates/issuer.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { tlsFiles } from "../../src/adapters/system/tls-files.ts";
import { createRegistryIdentity } from "../../src/identity/registry-identity.ts";
import type { AuthorityFiles } from "../../src/ports/certificates.ts";
import { CredentialsError, type Credentials, type CredentialsErrorCode, type Svid } from "../../src/ports/credentials.ts";
import { DAY, HOUR, identity, isCode, useCredentials } from "./credentials-bench.ts";

describe("identity: the certificate authority", () => {
  const bench = useCredentials();
  const { start, pass, check, tls } = bench;

  const sequenceOf = (credentials: Credentials): number => decodeBundle(credentials.bundle()).sequence;

  it("starts with an authority on disk, a leaf in memory, and a bundle under which the leaf holds", async () => {
    const credentials = await start();
    const { path, notAfterMs } = check(credentials);
    assert.equal(path, "/registry/tokyo");
    assert.equal(notAfterMs, bench.clock.now() + HOUR);
    assert.deepEqual((await readdir(tls())).sort(), ["authority-1.pem", "bundle.json"]);
    assert.equal((await stat(tls("authority-1.pem"))).mode & 0o777, 0o600);
    assert.equal((await stat(tls())).mode & 0o777, 0o700);
    assert.equal(await readFile(tls("bundle.json"), "utf8"), credentials.bundle());
    assert.equal(sequenceOf(credentials), 1);
    const { certificate, key } = credentials.svid();
    assert.match(new X509Certificate(certificate).subjectAltName ?? "", /DNS:tokyo\.example, IP Address:127\.0\.0\.1/);
    assert.match(key, /^-----BEGIN PRIVATE KEY-----\n/);
    for (const name of await readdir(tls())) assert.ok(!(await readFile(tls(name), "utf8")).includes(key), name);
  });

  it("keeps its authority and its bundle over a restart, and raises nothing", async () => {
    const first = await start();
    const [bundle, before] = [first.bundle(), first.svid()];
    first.close();
    await start().then((second) => {
      assert.equal(second.bundle(), bundle);
      assert.notEqual(second.svid().key, before.key);
      assert.equal(check(second, before).spiffeId, identity.spiffeId);
    });
    assert.deepEqual((await readdir(tls())).sort(), ["authority-1.pem", "bundle.json"]);
  });

  it("T7 goes through three authorities: each is published long before it signs, and every leaf holds for all of its life", async () => {
    const credentials = await start({ svidLifetimeMs: 2 * HOUR, authorityLifetimeMs: 2 * DAY });
    const bundles: { readonly text: string; readonly atMs: number }[] = [{ text: credentials.bundle(), atMs: bench.clock.now() }];
    credentials.onChange((what) => {
      if (what === "bundle") bundles.push({ text: credentials.bundle(), atMs: bench.clock.now() });
    });
    const firstSeenMs = new Map<string, number>();
    const signers = new Set<string>();
    let leaves: Svid[] = [];
    for (let step = 0; step < 4 * 24; step++) {
      for (const { text, atMs } of bundles) {
        for (const der of decodeBundle(text).authorities) {
          const name = Buffer.from(der).toString("hex");
          firstSeenMs.set(name, firstSeenMs.get(name) ?? atMs);
        }
      }
      leaves = [...leaves, credentials.svid()].filter(({ notAfterMs }) => bench.clock.now() < notAfterMs).slice(-4);
      // The newest bundle of now still holds for every leaf that was ever served.
      for (const leaf of leaves) assert.equal(check(credentials, leaf).did, identity.did);
      const signer = signerOf(credentials);
      if (!signers.has(signer) && signers.size > 0) {
        assert.ok(bench.clock.now() - (firstSeenMs.get(signer) ?? Infinity) >= 11 * HOUR, "published before it signs");
      }
      signers.add(signer);
      await pass(HOUR);
    }
    assert.ok(signers.size >= 3, `${signers.size} authorities`);
    const sequences = bundles.map(({ text }) => decodeBundle(text).sequence);
    assert.ok(
      sequences.every((one, i) => i === 0 || one > (sequences[i - 1] as number)),
      sequences.join(),
    );
    assert.equal(await readFile(tls("bundle.json"), "utf8"), credentials.bundle());
    const files = (await readdir(tls())).filter((name) => name.startsWith("authority-"));
    assert.equal(files.length, decodeBundle(credentials.bundle()).authorities.length, "what has ended is removed");
    assert.deepEqual(
      bench.log.lines.filter(({ level }) => level !== "info"),
      [],
    );
  });

  it("keeps the old leaf and tries again when the files cannot be written", async () => {
    const real = tlsFiles(bench.directory);
    let isFull = false;
    const failing = async (): Promise<never> => {
      throw new CredentialsError("not_created", "no space");
    };
    const files: AuthorityFiles = {
      ...real,
      addAuthority: (...args) => (isFull ? failing() : real.addAuthority(...args)),
      writeBundle: (...args) => (isFull ? failing() : real.writeBundle(...args)),
    };
    const credentials = await start({ files, authorityLifetimeMs: 2 * DAY });
    const bundle = credentials.bundle();
    isFull = true;
    for (let step = 0; step < 50; step++) await pass(HOUR / 2 + 60_000);
    assert.equal(credentials.bundle(), bundle);
    check(credentials);
    assert.ok(bench.log.lines.some(({ level, message }) => level === "warn" && message.includes("could not be made")));
    isFull = false;
    await pass(60_000);
    assert.equal(decodeBundle(credentials.bundle()).authorities.length, 2);
    assert.equal(sequenceOf(credentials) > 1, true);
  });

  it("never shows a bundle that is not on disk, and signs by none but published authorities", async () => {
    const real = tlsFiles(bench.directory);
    let refused = false;
    const files: AuthorityFiles = {
      ...real,
      writeBundle: async (text) => {
        if (refused) throw new CredentialsError("not_created", "no space");
        await real.writeBundle(text);
      },
    };
    const credentials = await start({ files, authorityLifetimeMs: DAY });
    refused = true;
    const bundle = credentials.bundle();
    for (let hour = 0; hour < 22; hour++) {
      await pass(HOUR);
      check(credentials);
    }
    assert.equal(credentials.bundle(), bundle);
    assert.equal(await readFile(tls("bundle.json"), "utf8"), bundle);
  });

  describe("files", () => {
    async function assertRefused(code: CredentialsErrorCode, message: RegExp): Promise<void> {
      const before = await contents();
      await assert.rejects(start(), (error: unknown) => {
        assert.ok(isCode(code)(error), String(error));
        assert.match((error as Error).message, message);
        return true;
      });
      assert.deepEqual(await contents(), before, "everything stays as it was");
    }

    async function contents(): Promise<[string, string][]> {
      const names = (await readdir(tls())).sort();
      return Promise.all(names.map(async (name): Promise<[string, string]> => [name, await readFile(tls(name), "utf8")]));
    }

    async function stopped(): Promise<string> {
      const credentials = await start();
      credentials.close();
      return credentials.bundle();
    }

    it("refuses a key that others may read, and says what to do", async () => {
      await stopped();
      for (const mode of [0o640, 0o604, 0o666]) {
        await chmod(tls("authority-1.pem"), mode);
        await assertRefused("exposed", /run: chmod 600 /);
      }
      await chmod(tls("authority-1.pem"), 0o600);
      await start();
    });

    it("T45 reports damaged files, and replaces none", async () => {
      const bundle = await stopped();
      const pem = await readFile(tls("authority-1.pem"), "utf8");
      for (const text of ["", pem.slice(0, 400), pem.replace("MIG", "MIX"), "x".repeat(20_000)]) {
        await writeFile(tls("authority-1.pem"), text);
        await assertRefused("damaged", /authority-1\.pem/);
      }
      await writeFile(tls("authority-1.pem"), pem);
      for (const text of ["", "{}", bundle.slice(0, -5), "x".repeat(20_000)]) {
        await writeFile(tls("bundle.json"), text);
        await assertRefused("damaged", /bundle\.json .*restore it from a backup, or move/);
      }
    });

    it("refuses the authority of another registry", async () => {
      await stopped();
      const other = createRegistryIdentity(Buffer.alloc(32, 10), "osaka");
      const issuer = certificateIssuer(other.trustDomain, systemRandom());
      await assert.rejects(start({ identity: other, issuer }), isCode("damaged"));
    });

    it("T44 goes on after a start that was cut short before the bundle was written", async () => {
      const bundle = await stopped();
      await rm(tls("bundle.json"));
      assert.equal((await start()).bundle(), bundle);
    });

    it("T44 goes on after it was cut short between an authority and its bundle", async () => {
      const before = decodeBundle(await stopped());
      const issuer = certificateIssuer(identity.trustDomain, systemRandom());
      const next = await issuer.createAuthority({ notBeforeMs: bench.clock.now(), notAfterMs: bench.clock.now() + 7 * DAY });
      await writeFile(tls("authority-2.pem"), next.pem, { mode: 0o600 });
      const after = decodeBundle((await start()).bundle());
      assert.equal(after.sequence, before.sequence + 1);
      assert.deepEqual(after.authorities.length, 2);
    });

    it("does not start its sequence anew when a later bundle was lost", async () => {
      const credentials = await start({ authorityLifetimeMs: DAY });
      await pass(13 * HOUR);
      await pass(30_000);
      credentials.close();
      assert.equal(sequenceOf(credentials), 2);
      await rm(tls("bundle.json"));
      await assertRefused("damaged", /the published bundle is missing/);
    });

    it("makes a new authority in place of one that was moved away, under a higher sequence", async () => {
      const before = decodeBundle(await stopped());
      await rm(tls("authority-1.pem"));
      const after = decodeBundle((await start()).bundle());
      assert.equal(after.sequence, before.sequence + 1);
      assert.notDeepEqual(after.authorities, before.authorities);
    });

    it("says so when the directory cannot be made", async () => {
      await writeFile(join(bench.directory, "tls"), "a file");
      await assert.rejects(start(), isCode("unreadable"));
    });
  });

  it("refuses lifetimes that leave no time to rotate", async () => {
    const bad = [
      { svidLifetimeMs: 1_999 },
      { svidLifetimeMs: Number.NaN },
      { svidLifetimeMs: DAY, authorityLifetimeMs: 2 * DAY },
    ];
    for (const lifetimes of bad) await assert.rejects(start(lifetimes), isCode("invalid"));
  });
});

/** Whose key identifier stands in the leaf: which of the bundle's authorities signed it. */
function signerOf(credentials: Credentials): string {
  const leaf = new X509Certificate(credentials.svid().certificate);
  const { authorities } = decodeBundle(credentials.bundle());
  const found = authorities.find((der) => leaf.verify(new X509Certificate(der).publicKey));
  assert.ok(found !== undefined);
  return Buffer.from(found).toString("hex");
}
