import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EXIT } from "../../src/cli/exit.ts";
import { Bench } from "./harness.ts";

describe("cli init", () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench();
  });
  afterEach(() => bench.close());

  it("says which flags a kept settings file does not have", async () => {
    writeFileSync(join(bench.directory, ".env"), "REGISTRY_NAME=old\n");
    const run = await bench.run(["init", "--name", "acme", "--http", "none"]);
    assert.equal(run.exit, EXIT.ok, run.stderr);
    assert.match(run.stderr, /warning: \S+\.env was there and is kept: --name, --http not written to it/);
    assert.equal(readFileSync(join(bench.directory, ".env"), "utf8"), "REGISTRY_NAME=old\n");
    assert.doesNotMatch((await bench.run(["init"])).stderr, /warning/);
  });

  it("makes the settings file that --env-file names", async () => {
    writeFileSync(join(bench.directory, ".env"), "REGISTRY_NAME=other\nFEDERATION_CONNECTIONS_MAX=none\n");
    for (const argv of [
      ["init", "--env-file", "after.env", "--http", "none"],
      ["--env-file", "before.env", "init", "--http", "none"],
    ]) {
      const run = await bench.run(argv);
      assert.equal(run.exit, EXIT.ok, run.stderr);
      assert.doesNotMatch(run.stderr, /warning/);
      const text = readFileSync(join(bench.directory, argv.find((word) => word.endsWith(".env")) ?? ""), "utf8");
      assert.match(text, /^REGISTRY_HTTP=none$/m);
      assert.match(text, /^# REGISTRY_NAME=/m, "it stands in for .env, which is not read");
    }
  });

  it("makes no settings file of wrong settings, and none where it cannot be", async () => {
    assert.equal((await bench.run(["init", "--env-file", "new.env", "--name", "a b"])).exit, EXIT.usage);
    assert.ok(!existsSync(join(bench.directory, "new.env")));
    const run = await bench.run(["init", "--env-file", "missing/new.env"]);
    assert.equal(run.exit, EXIT.failure);
    assert.match(run.stderr, /the settings file \S+new\.env cannot be made: .*name another with --env-file/);
    assert.equal((await bench.run(["id", "--env-file", "other.env"])).exit, EXIT.usage, "elsewhere it must be there");
  });
});
