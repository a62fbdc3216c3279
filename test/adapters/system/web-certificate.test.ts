import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certificateIssuer } from "../../../src/adapters/certificates/issuer.ts";
import { systemClock } from "../../../src/adapters/system/clock.ts";
import { systemRandom } from "../../../src/adapters/system/random.ts";
import {
  openWebCertificate,
  WEB_CERTIFICATE_CHECK_MS,
  type WebCertificateFiles,
  type WebCertificatePair,
} from "../../../src/adapters/system/web-certificate.ts";
import type { Log } from "../../../src/ports/log.ts";

const HOUR_MS = 3_600_000;

/** A pair that ends so long after now. */
async function newPair(lifetimeMs: number = HOUR_MS): Promise<WebCertificatePair> {
  const nowMs = systemClock().now();
  const issuer = certificateIssuer("web.example", systemRandom());
  const validity = { notBeforeMs: nowMs - 2 * HOUR_MS, notAfterMs: nowMs + lifetimeMs };
  const authority = await issuer.createAuthority({ ...validity, notAfterMs: nowMs + 2 * HOUR_MS });
  return issuer.createLeaf(authority, { ...validity, path: "/web", names: ["registry.example"] });
}

describe("the certificate files of the public web", () => {
  let directory: string;
  let paths: { certificate: string; key: string };
  let logged: string[];
  let due: { delayMs: number; fire: () => void }[];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "web-certificate-"));
    paths = { certificate: join(directory, "chain.pem"), key: join(directory, "key.pem") };
    [logged, due] = [[], []];
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
    return openWebCertificate({ paths, clock: { ...systemClock(), after }, log });
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
    ["an expired certificate", "expired", /chain\.pem is valid .*renew it/, async () => place(await newPair(-HOUR_MS))],
    ["a key that everybody may read", "exposed", /key\.pem \(mode 0604\): run chmod/, () => chmod(paths.key, 0o604)],
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
});
