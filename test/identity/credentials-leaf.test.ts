import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import fc from "fast-check";
import { systemClock } from "../../src/adapters/system/clock.ts";
import { ISSUED_LIFETIME_MS_MAX } from "../../src/identity/credentials.ts";
import { DAY, HOUR, identity, isCode, useCredentials } from "./credentials-bench.ts";

describe("identity: the leaf certificate", () => {
  const bench = useCredentials();
  const { start, pass, check } = bench;

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
    assert.equal(check(credentials).notAfterMs > bench.clock.now() + HOUR / 2, true);
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
      bench.clock.startMs += jumpMs;
      await pass(30_000);
      assert.equal(check(credentials).did, identity.did, `after ${jumpMs} ms`);
    }
    bench.closeNewest();
    check(await start({ svidLifetimeMs: 60_000 }));
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
    assert.ok(bench.log.lines.some(({ message }) => message === "the certificate could not be renewed"));
  });

  it("stops with close, also in the middle of a check", async () => {
    const credentials = await start();
    const { certificate } = credentials.svid();
    const told: string[] = [];
    credentials.onChange((what) => told.push(what));
    bench.clock.advance(HOUR);
    credentials.close();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(bench.clock.pending, 0);
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
    assert.ok(bench.log.lines.some(({ level, message }) => level === "error" && message.includes("listener")));
  });

  describe("for others", () => {
    it("issues certificates of our trust domain that end when they should", async () => {
      const credentials = await start();
      const svid = await credentials.issue({ path: "/operator/alice", lifetimeMs: 10 * 60_000 });
      const { path, did, notAfterMs } = check(credentials, svid);
      assert.deepEqual(
        { path, did, notAfterMs },
        { path: "/operator/alice", did: identity.did, notAfterMs: bench.clock.now() + 600_000 },
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
});
