import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { decodeBundle } from "../../protocols/bundle/bundle.ts";
import { certificateIssuer } from "../../src/adapters/certificates/issuer.ts";
import { systemClock } from "../../src/adapters/system/clock.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { tlsFiles } from "../../src/adapters/system/tls-files.ts";
import { ISSUED_LIFETIME_MS_MAX, openCredentials, type CredentialsOptions } from "../../src/identity/credentials.ts";
import { createRegistryIdentity } from "../../src/identity/registry-identity.ts";
import { checkSvid, type PeerSvid } from "../../src/identity/svid.ts";
import type { AuthorityFiles } from "../../src/ports/certificates.ts";
import { CredentialsError, type Credentials, type CredentialsErrorCode, type Svid } from "../../src/ports/credentials.ts";
import { memoryLog, VirtualClock } from "../actors/virtual-time.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const identity = createRegistryIdentity(Buffer.alloc(32, 9), "tokyo");

describe("identity: credentials", () => {
  let directory: string;
  let clock: VirtualClock;
  let log: ReturnType<typeof memoryLog>;
  let open: Credentials[];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "registry-tls-"));
    clock = new VirtualClock();
    log = memoryLog();
    open = [];
  });
  afterEach(async () => {
    for (const one of open) one.close();
    await rm(directory, { recursive: true, force: true });
  });

  async function start(options: Partial<CredentialsOptions> = {}): Promise<Credentials> {
    const random = systemRandom();
    const issuer = certificateIssuer(identity.trustDomain, random);
    const names = (): readonly string[] => ["tokyo.example", "127.0.0.1"];
    const files = tlsFiles(directory);
    const credentials = await openCredentials({ identity, files, issuer, names, clock, random, log, ...options });
    open.push(credentials);
    return credentials;
  }

  /** Lets time pass, and the check that this starts come to its end. */
  async function pass(ms: number): Promise<void> {
    clock.advance(ms);
    while (clock.pending === 0) await new Promise((resolve) => setImmediate(resolve));
  }

  function check(credentials: Credentials, svid = credentials.svid(), nowMs = clock.now()): PeerSvid {
    return checkSvid([derOf(svid)], { did: identity.did, bundle: credentials.bundle() }, nowMs);
  }

  const tls = (name = ""): string => join(directory, "tls", name);
  const sequenceOf = (credentials: Credentials): number => decodeBundle(credentials.bundle()).sequence;

  it("starts with an authority on disk, a leaf in memory, and a bundle under which the leaf holds", async () => {
    const credentials = await start();
    const { path, notAfterMs } = check(credentials);
    assert.equal(path, "/registry/tokyo");
    assert.equal(notAfterMs, clock.now() + HOUR);
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

  it("renews the leaf at about half of its life, and tells so", async () => {
    const credentials = await start();
    const told: string[] = [];
    credentials.onChange((what) => told.push(what));
    const { certificate } = credentials.svid();
    for (let minute = 0; minute < 26; minute++) await pass(60_000);
    assert.equal(credentials.svid().certificate, certificate);
    for (let minute = 26; minute < 34; minute++) await pass(60_000);
    assert.notEqual(credentials.svid().certificate, certificate);
    assert.deepEqual(told, ["svid"]);
    assert.equal(check(credentials).notAfterMs > clock.now() + HOUR / 2, true);
  });

  it("T7 goes through three authorities: each is published long before it signs, and every leaf holds for all of its life", async () => {
    const credentials = await start({ svidLifetimeMs: 2 * HOUR, authorityLifetimeMs: 2 * DAY });
    const bundles: { readonly text: string; readonly atMs: number }[] = [{ text: credentials.bundle(), atMs: clock.now() }];
    credentials.onChange((what) => {
      if (what === "bundle") bundles.push({ text: credentials.bundle(), atMs: clock.now() });
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
      leaves = [...leaves, credentials.svid()].filter(({ notAfterMs }) => clock.now() < notAfterMs).slice(-4);
      // The newest bundle of now still holds for every leaf that was ever served.
      for (const leaf of leaves) assert.equal(check(credentials, leaf).did, identity.did);
      const signer = signerOf(credentials);
      if (!signers.has(signer) && signers.size > 0) {
        assert.ok(clock.now() - (firstSeenMs.get(signer) ?? Infinity) >= 11 * HOUR, "published before it signs");
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
      log.lines.filter(({ level }) => level !== "info"),
      [],
    );
  });

  it("lives with certificates of four seconds", async () => {
    const credentials = await start({ svidLifetimeMs: 4_000, authorityLifetimeMs: 40_000 });
    const served = new Set<string>();
    for (let step = 0; step < 80; step++) {
      await pass(500);
      served.add(check(credentials).spiffeId + credentials.svid().certificate);
    }
    assert.ok(served.size >= 12 && served.size <= 60, `${served.size} leaves in 40 s`);
  });

  it("renews by the machine's own clock", async () => {
    const real = systemClock();
    const credentials = await start({ clock: real, svidLifetimeMs: 2_000 });
    const { certificate } = credentials.svid();
    const keepAlive = setInterval(() => undefined, 1_000);
    try {
      await new Promise<void>((resolve) => void credentials.onChange(() => resolve()));
    } finally {
      clearInterval(keepAlive);
    }
    assert.notEqual(credentials.svid().certificate, certificate);
    assert.equal(check(credentials, credentials.svid(), real.now()).did, identity.did);
  });

  it("T47 is whole again soon after the clock jumped, in either direction and however far", async () => {
    const credentials = await start({ svidLifetimeMs: 60_000 });
    for (const jumpMs of [600_000, -600_000, 600_000, 30 * DAY, -400 * DAY, 10 * 365 * DAY]) {
      clock.startMs += jumpMs;
      await pass(30_000);
      assert.equal(check(credentials).did, identity.did, `after ${jumpMs} ms`);
    }
    open.pop()?.close();
    check(await start({ svidLifetimeMs: 60_000 }));
  });

  it("keeps the old leaf and tries again when the files cannot be written", async () => {
    const real = tlsFiles(directory);
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
    assert.ok(log.lines.some(({ level, message }) => level === "warn" && message.includes("could not be made")));
    isFull = false;
    await pass(60_000);
    assert.equal(decodeBundle(credentials.bundle()).authorities.length, 2);
    assert.equal(sequenceOf(credentials) > 1, true);
  });

  it("never shows a bundle that is not on disk, and signs by none but published authorities", async () => {
    const real = tlsFiles(directory);
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

  it("makes a new leaf when the names change", async () => {
    let names = ["one.example"];
    const credentials = await start({ names: () => names });
    names = ["one.example", "two.example"];
    await pass(30_000);
    assert.match(new X509Certificate(credentials.svid().certificate).subjectAltName ?? "", /DNS:two\.example/);
    names = ["not a name"];
    await pass(30_000);
    assert.match(new X509Certificate(credentials.svid().certificate).subjectAltName ?? "", /DNS:two\.example/);
    assert.ok(log.lines.some(({ message }) => message === "the certificate could not be renewed"));
  });

  it("stops with close, also in the middle of a check", async () => {
    const credentials = await start();
    const { certificate } = credentials.svid();
    const told: string[] = [];
    credentials.onChange((what) => told.push(what));
    clock.advance(HOUR);
    credentials.close();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(clock.pending, 0);
    assert.equal(credentials.svid().certificate, certificate);
    assert.deepEqual(told, []);
  });

  it("ends a listener, and a listener that throws keeps nobody from being told", async () => {
    const credentials = await start();
    const told: string[] = [];
    credentials.onChange(() => {
      throw new Error("listener");
    });
    const end = credentials.onChange(() => told.push("ended"));
    credentials.onChange((what) => told.push(what));
    end();
    await pass(HOUR);
    assert.deepEqual(told, ["svid"]);
    assert.ok(log.lines.some(({ level, message }) => level === "error" && message.includes("listener")));
  });

  describe("for others", () => {
    it("issues certificates of our trust domain that end when they should", async () => {
      const credentials = await start();
      const svid = await credentials.issue({ path: "/operator/alice", lifetimeMs: 10 * 60_000 });
      const { path, did, notAfterMs } = check(credentials, svid);
      assert.deepEqual(
        { path, did, notAfterMs },
        { path: "/operator/alice", did: identity.did, notAfterMs: clock.now() + 600_000 },
      );
      assert.match(svid.key, /^-----BEGIN PRIVATE KEY-----\n/);
      assert.ok(new X509Certificate(svid.certificate).subjectAltName?.includes("DNS:") === false);
    });

    it("refuses to issue a registry's name, what is no path, and lifetimes out of bounds", async () => {
      const credentials = await start();
      const minute = 60_000;
      const bad: [string, number][] = [
        ...["/registry/tokyo", "/registry/osaka", "/registry", "", "/", "operator/alice", "/operator/", "/operator//a"].map(
          (path): [string, number] => [path, minute],
        ),
        ...["/operator/../registry/tokyo", "/operator/ä", "/operator/a b", `/operator/${"a".repeat(2_048)}`].map(
          (path): [string, number] => [path, minute],
        ),
        ...[0, -1, 1_999, Number.NaN, ISSUED_LIFETIME_MS_MAX + 1].map((ms): [string, number] => ["/operator/alice", ms]),
      ];
      for (const [path, lifetimeMs] of bad) {
        await assert.rejects(credentials.issue({ path, lifetimeMs }), isCode("invalid"), `${path} ${lifetimeMs}`);
      }
    });

    it("issues nothing that our own check refuses, whatever path it takes", async () => {
      const credentials = await start();
      const segment = fc.stringMatching(/^[A-Za-z0-9._-]{1,20}$/).filter((text) => text !== "." && text !== "..");
      const paths = fc.array(segment, { minLength: 1, maxLength: 6 }).filter(([first]) => first !== "registry");
      const lifetimes = fc.integer({ min: 2_000, max: ISSUED_LIFETIME_MS_MAX });
      await fc.assert(
        fc.asyncProperty(paths, lifetimes, async (segments, lifetimeMs) => {
          const path = `/${segments.join("/")}`;
          assert.equal(check(credentials, await credentials.issue({ path, lifetimeMs })).path, path);
        }),
        { numRuns: 15 },
      );
    });
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
      const next = await issuer.createAuthority({ notBeforeMs: clock.now(), notAfterMs: clock.now() + 7 * DAY });
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
      await writeFile(join(directory, "tls"), "a file");
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

function isCode(code: CredentialsErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof CredentialsError && error.code === code;
}

function derOf(svid: Svid): Uint8Array {
  return new X509Certificate(svid.certificate).raw;
}

/** Whose key identifier stands in the leaf: which of the bundle's authorities signed it. */
function signerOf(credentials: Credentials): string {
  const leaf = new X509Certificate(credentials.svid().certificate);
  const { authorities } = decodeBundle(credentials.bundle());
  const found = authorities.find((der) => leaf.verify(new X509Certificate(der).publicKey));
  assert.ok(found !== undefined);
  return Buffer.from(found).toString("hex");
}
