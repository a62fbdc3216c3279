import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CertificateFacts } from "../../src/cli/certificates.ts";
import { EXIT } from "../../src/cli/exit.ts";
import type { Credentials } from "../../src/ports/credentials.ts";
import { ownCredentials } from "../admin/credentials.ts";
import { Bench } from "./harness.ts";

interface Shown {
  readonly svid: CertificateFacts | null;
  readonly authorities: readonly CertificateFacts[];
  readonly bundle: string;
}

describe("cli certificates", () => {
  let bench: Bench;
  let credentials: Credentials;
  before(async () => {
    credentials = await ownCredentials();
  });
  after(() => credentials.close());
  beforeEach(async () => {
    bench = new Bench();
    bench.node.credentials = credentials;
    await bench.run(["init"]);
  });
  afterEach(() => bench.close());

  const issue = (...more: string[]): ReturnType<Bench["run"]> =>
    bench.run(["certificate", "issue", "--path", "/operator/alice", "--out", "alice", ...more]);

  describe("id --certificates", () => {
    it("shows what the running registry serves, and its authorities", async () => {
      await bench.serve();
      const shown = (await bench.run(["id", "--certificates", "--json"])).json<Shown>();
      assert.equal(shown.svid?.spiffeId, credentials.svid().spiffeId);
      const [authority] = shown.authorities;
      assert.ok(new X509Certificate(shown.svid?.pem ?? "").verify(new X509Certificate(authority?.pem ?? "").publicKey));
      assert.equal(shown.bundle, credentials.bundle());
      const text = (await bench.run(["id", "--certificates"])).stdout;
      assert.match(text, /certificate +spiffe:\/\/[a-z0-9]+\/registry\/alder\n +valid for \d+ min/);
      assert.match(text, /authorities +valid for 6 d 23 h/);
    });

    it("shows the authorities that a registry which does not run published last", async () => {
      mkdirSync(join(bench.dataDir, "tls"));
      writeFileSync(join(bench.dataDir, "tls", "bundle.json"), credentials.bundle());
      const shown = (await bench.run(["id", "--certificates", "--json"])).json<Shown>();
      assert.deepEqual([shown.svid, shown.authorities.length], [null, 1]);
    });

    it("says when there are none", async () => {
      const run = await bench.run(["id", "--certificates"]);
      assert.equal(run.exit, EXIT.failure);
      assert.match(run.stderr, /no trust bundle/);
      delete bench.node.credentials;
      await bench.serve();
      assert.match((await bench.run(["id", "--certificates"])).stderr, /runs without an HTTPS interface/);
    });
  });

  describe("certificate issue", () => {
    it("writes a key that nobody else can read, and its certificate", async () => {
      await bench.serve();
      const run = await issue("--hours", "2", "--json");
      assert.equal(run.exit, EXIT.ok, run.stderr);
      const { keyFile, certificateFile, spiffeId } = run.json<Record<string, string>>();
      assert.equal(statSync(keyFile ?? "").mode & 0o777, 0o600);
      const certificate = new X509Certificate(readFileSync(certificateFile ?? ""));
      assert.ok(certificate.checkPrivateKey(createPrivateKey(readFileSync(keyFile ?? ""))));
      assert.match(spiffeId ?? "", /^spiffe:\/\/[a-z0-9]+\/operator\/alice$/);
      assert.equal(certificate.subjectAltName, `URI:${spiffeId}`);
      const hours = (certificate.validToDate.getTime() - Date.now()) / 3_600_000;
      assert.ok(hours > 1.9 && hours <= 2, `${hours} h`);
    });

    it("never writes over a file, and leaves no key without its certificate", async () => {
      await bench.serve();
      writeFileSync(join(bench.directory, "alice.pem"), "precious");
      const run = await issue();
      assert.equal(run.exit, EXIT.failure);
      assert.match(run.stderr, /alice\.pem cannot be written: it is there already/);
      assert.equal(readFileSync(join(bench.directory, "alice.pem"), "utf8"), "precious");
      assert.throws(() => statSync(join(bench.directory, "alice.key")), { code: "ENOENT" });
    });

    it("refuses what no certificate can be made for", async () => {
      await bench.serve();
      for (const [argv, reason] of [
        [["--path", "operator"], /operator/],
        [["--path", "/operator/../x"], /path/],
        [["--days", "0"], /--days takes a whole number from 1/],
        [["--days", "365"], /--days takes 1 at most, not 365: a certificate is issued for 24 hours at most; issue another/],
        [["--hours", "25"], /--hours takes 24 at most, not 25: a certificate/],
        [["--days", "1", "--hours", "1"], /conflict|cannot be used/],
      ] as const) {
        const run = await issue(...argv);
        assert.equal(run.exit, EXIT.usage, run.stderr);
        assert.match(run.stderr, reason);
      }
    });

    it("needs a running registry", async () => {
      assert.equal((await issue()).exit, EXIT.unreachable);
    });
  });
});
