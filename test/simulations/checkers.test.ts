import assert from "node:assert/strict";
import { ContradictionChecker } from "../../simulations/checkers/contradiction.ts";
import { Ledger } from "../../simulations/federation/ledger.ts";
import { SCENARIOS, scenarioNamed } from "../../simulations/scenarios/index.ts";
import { runSeed, type RunReport } from "../../simulations/scenarios/run.ts";
import type { AgentInput } from "../../src/api.ts";
import type { AgentRecord } from "../../protocols/record/record.ts";
import { startStandIn, type Bug } from "./stand-in.ts";

const NODES = 4;

async function run(name: string, seed: number, bug?: Bug): Promise<RunReport> {
  const scenario = scenarioNamed(name);
  assert.ok(scenario);
  return runSeed({ scenario, nodes: NODES, seed, startNode: startStandIn(bug) });
}

/** The checkers that complain, up to the first seed in which `wanted` does. */
async function foundIn(name: string, bug: Bug, seeds: number, wanted: string): Promise<string[]> {
  const found = new Set<string>();
  for (let seed = 1; seed <= seeds && !found.has(wanted); seed++) {
    for (const { checker } of (await run(name, seed, bug)).violations) found.add(checker);
  }
  return [...found];
}

describe("simulations: scenarios over an honest stand-in", function () {
  this.timeout(60_000);

  // It does not know what to do in the place of a machine that was lost: the node does.
  for (const { name } of SCENARIOS.filter(({ families }) => !families.includes("restores"))) {
    it(`T46 T48 ${name} converges without a violation`, async () => {
      for (let seed = 1; seed <= 5; seed++) {
        const report = await run(name, seed);
        assert.deepEqual(report.violations, [], `seed ${seed}`);
        assert.ok(report.convergedAfterMs !== undefined && report.acknowledgements > 0 && report.checkpoints > 0);
      }
    });
  }

  it("T44 strikes at writes, cuts power, and refuses writes", async () => {
    const reports = await Promise.all([1, 2, 3, 4, 5, 6].map((seed) => run("churn", seed)));
    const total = (kind: keyof RunReport["faults"]): number => reports.reduce((sum, { faults }) => sum + faults[kind], 0);
    for (const kind of ["lost", "doubled", "reordered", "killedAtWrite", "powerCut", "failedWrite", "clockJump"] as const) {
      assert.ok(total(kind) > 0, kind);
    }
  });
});

describe("simulations: every checker finds what it is there for", function () {
  this.timeout(60_000);

  const planted: readonly (readonly [bug: Bug, scenario: string, checker: string, seeds: number])[] = [
    ["acknowledges too early", "churn", "durability", 12],
    ["signs before it persists", "churn", "contradiction", 12],
    ["forges", "converge", "forgery", 1],
    ["never syncs again", "converge", "convergence", 1],
    ["leaks timers", "converge", "bounds", 1],
    ["cannot list", "converge", "run", 1],
    ["never repairs", "converge", "run", 1],
    ["never repairs", "bit-rot", "repair", 1],
  ];
  for (const [bug, scenario, checker, seeds] of planted) {
    it(`${checker}: a registry that ${bug}`, async () => {
      const found = await foundIn(scenario, bug, seeds, checker);
      assert.ok(found.includes(checker), `found ${found.join(", ") || "nothing"}`);
    });
  }

  it("T53 contradiction: a registry that goes on from an old copy of its disk as if it were the newest", async () => {
    const found = new Set<string>();
    for (let seed = 1; seed <= 12 && !found.has("contradiction"); seed++) {
      for (const { checker } of (await run("restore", seed)).violations) found.add(checker);
    }
    assert.ok(found.has("contradiction"), `found ${[...found].join(", ") || "nothing"}`);
  });

  it("contradiction: two roots of one size, also inside JSON, but only from their author", () => {
    const did = "did:key:z6MkpZ71gTNqyiqyu9F8kifFLmMXzNxMkAttxe8u6HkgfJ7U";
    const note = (size: number, root: string): string => `${did}/catalog/0\n${size}\n${root.padEnd(43, "A")}=\n\n— signature\n`;
    const checker = new ContradictionChecker((peerId) => (peerId === "author" ? did : "did:key:z6MkOther"));
    const send = (from: string, text: string, stage: "sent" | "delivered" = "delivered"): void =>
      checker.observe({ stage, type: "frame", from, to: "x", bytes: Buffer.from(text) });
    send("author", `binary\u0000\u00ff${note(1, "R")}`);
    send("author", JSON.stringify({ checkpoint: note(1, "R") }));
    send("author", note(2, "S"));
    send("stranger", note(2, "T"));
    send("author", note(2, "T"), "sent");
    assert.deepEqual([checker.complaints, checker.checkpoints], [[], 2]);
    send("author", JSON.stringify({ checkpoint: note(2, "T") }));
    send("author", note(2, "T"));
    assert.equal(checker.complaints.length, 1);
  });

  it("durability: what was acknowledged, what is uncertain, what was refused", () => {
    const agent = (version: string): AgentInput => ({
      humanReadableId: "h/a",
      name: "a",
      description: "",
      capabilities: [],
      tags: [],
      endpoints: [],
      version,
      status: "active",
    });
    const held = (version: string): AgentRecord[] => [
      { ...agent(version), did: "did:x:a", registry: "did:key:h", epoch: 0, revision: 1, hlc: "0".repeat(16) },
    ];
    const put = (version: string) => ({ name: "h/a", mutation: { op: "put", agent: agent(version) } }) as const;
    const remove = { name: "h/a", mutation: { op: "delete", did: "did:x:a" } } as const;
    const ledger = new Ledger();
    ledger.attempt(put("1"));
    assert.deepEqual([ledger.broken([]), ledger.broken(held("1"))], [[], []]);
    ledger.settle(put("1"), { outcome: "created", did: "did:x:a", revision: 1 });
    assert.deepEqual([ledger.broken([]).length, ledger.broken(held("1")), ledger.broken(held("2")).length], [1, [], 1]);
    ledger.attempt(put("2"));
    assert.deepEqual([ledger.broken(held("1")), ledger.broken(held("2")), ledger.broken([]).length], [[], [], 1]);
    ledger.attempt(remove);
    ledger.settle(remove, { outcome: "refused", did: null, code: "x", reason: "x" });
    assert.equal(ledger.broken([]).length, 1);
    ledger.attempt(remove);
    ledger.settle(remove, { outcome: "deleted", did: "did:x:a", revision: 3 });
    assert.deepEqual([ledger.broken([]), ledger.broken(held("2")).length], [[], 1]);
    assert.ok(ledger.wrote(held("2")[0] as AgentRecord) && !ledger.wrote(held("3")[0] as AgentRecord));
  });
});
