import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseOptions, UsageError } from "../../simulations/runner/options.ts";
import type { Summary } from "../../simulations/runner/summary.ts";
import { readRegressions } from "../../simulations/runner/simulate.ts";

const MAIN = fileURLToPath(new URL("./stand-in-main.ts", import.meta.url));
const TIMEOUT_MS = 60_000;

interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function simulate(nodes: string, ...args: string[]): Promise<Finished> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, nodes, ...args], { timeout: TIMEOUT_MS }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

function summaryOf({ stdout }: Finished): Summary {
  return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as Summary;
}

describe("simulations/runner: one seed, one trace", function () {
  this.timeout(TIMEOUT_MS);
  const run = ["--scenario", "churn", "--nodes", "4", "--seeds", "3", "--seed", "5", "--json"];

  it("gives the same trace hash in two processes, whatever the number of workers", async () => {
    const [a, b] = [summaryOf(await simulate("honest", ...run)), summaryOf(await simulate("honest", ...run, "--workers", "1"))];
    assert.match(a.traceHash, /^[0-9a-f]{64}$/);
    assert.deepEqual(a, b);
    assert.deepEqual([a.seeds, a.scenario, a.nodes, a.firstSeed, a.violations], [3, "churn", 4, 5, []]);
    assert.ok(a.simulatedSeconds > 0 && a.acknowledgedWrites > 0 && a.faults.lost > 0);
  });

  it("gives another hash for another seed", async () => {
    const other = run.with(7, "6");
    assert.notEqual(
      summaryOf(await simulate("honest", ...run)).traceHash,
      summaryOf(await simulate("honest", ...other)).traceHash,
    );
  });

  it("gives two hashes when the node under test rolls its own dice", async () => {
    const [a, b] = [summaryOf(await simulate("dice", ...run)), summaryOf(await simulate("dice", ...run))];
    assert.notEqual(a.traceHash, b.traceHash);
  });
});

describe("simulations/runner: command line", function () {
  this.timeout(TIMEOUT_MS);

  it("ends with 1 and prints the command that replays a violation", async () => {
    const finished = await simulate("early", "--scenario", "churn", "--nodes", "5", "--seed", "1", "--seeds", "1");
    assert.equal(finished.code, 1, finished.stderr);
    assert.match(finished.stdout, /VIOLATION contradiction/);
    assert.match(finished.stdout, /replay: npm run simulate -- --scenario churn --nodes 5 --seeds 1 --seed 1 --log/);
    assert.match(finished.stdout, /drawn: \{"safetyMs"/);
  });

  it("prints times to the millisecond", async () => {
    const { stdout } = await simulate("honest", "--scenario", "converge", "--nodes", "2", "--seed", "1", "--seeds", "1");
    assert.match(stdout, /, converged \d+(?:\.\d{1,3})? s after the faults,/);
  });

  it("counts a rejection that nobody handles as a violation of its run", async () => {
    const finished = await simulate("throws", "--scenario", "converge", "--nodes", "2", "--seeds", "2", "--json");
    assert.equal(finished.code, 1, finished.stderr);
    const { violations } = summaryOf(finished);
    assert.deepEqual(
      violations.map(({ seed, checker }) => [seed, checker]),
      [
        [1, "run"],
        [2, "run"],
      ],
    );
    assert.match(violations[0]?.message ?? "", /planted rejection/);
  });

  it("ends with 2 and the usage for options that it does not understand", async () => {
    const finished = await simulate("honest", "--scenario", "converg");
    assert.equal(finished.code, 2);
    assert.match(finished.stderr, /there is no scenario "converg": take converge, churn, partition-heal/);
    for (const argv of [
      [],
      ["--scenario", "churn", "--nodes", "1"],
      ["--scenario", "churn", "--seeds", "x"],
      ["--what"],
      ["x"],
    ]) {
      assert.throws(() => parseOptions(argv), UsageError);
    }
    assert.throws(() => parseOptions(["--scenario", "churn", "--regressions"]), UsageError);
    assert.equal(parseOptions(["--help"]), "help");
  });

  it("reads its list of regressions", () => {
    assert.ok(Array.isArray(readRegressions()));
  });
});
