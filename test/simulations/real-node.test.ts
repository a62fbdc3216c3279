import assert from "node:assert/strict";
import { startNode } from "../../simulations/federation/real-node.ts";
import { scenarioNamed } from "../../simulations/scenarios/index.ts";
import { runSeed, type RunReport } from "../../simulations/scenarios/run.ts";

const TIMEOUT_MS = 120_000;

async function runs(name: string, nodes: number, seeds: readonly number[]): Promise<RunReport[]> {
  const scenario = scenarioNamed(name);
  assert.ok(scenario);
  const reports: RunReport[] = [];
  for (const seed of seeds) reports.push(await runSeed({ scenario, nodes, seed, startNode }));
  return reports;
}

function struck(reports: readonly RunReport[], kind: keyof RunReport["faults"]): number {
  return reports.reduce((sum, { faults }) => sum + faults[kind], 0);
}

describe("simulations: faults of disks under the real node", function () {
  this.timeout(TIMEOUT_MS);

  it("T45 bit rot is never shown, and repaired wherever a copy is left", async () => {
    const reports = await runs("bit-rot", 4, [1, 2, 3, 4]);
    assert.deepEqual(
      reports.flatMap(({ violations }) => violations),
      [],
    );
    assert.deepEqual(new Set(reports.map(({ plan }) => plan.faults.rot.target)), new Set(["records", "replicas"]));
    assert.ok(struck(reports, "bitRot") > 0);
  });

  it("T53 machines that come back with an old copy of their disk, or their key alone, contradict nothing that they signed", async () => {
    const reports = await runs("restore", 4, [1, 2, 3, 4]);
    assert.deepEqual(
      reports.flatMap(({ violations }) => violations),
      [],
    );
    assert.ok(struck(reports, "restored") > 0 && struck(reports, "restoredKeyOnly") > 0);
  });
});
