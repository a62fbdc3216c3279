import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AdminClient } from "../../../src/admin/client.ts";
import type { Mutation, MutationResult } from "../../../src/api.ts";
import type { ImportedLine } from "../../../src/catalog/import/documents.ts";
import { EXIT } from "../../../src/cli/exit.ts";
import { BATCH_AGENTS_MAX, importAgents } from "../../../src/cli/import/import-agents.ts";
import { REFUSALS_LISTED_MAX, WARNING_KINDS_MAX, type ImportReport } from "../../../src/cli/import/report.ts";
import { agentInput } from "../../admin/map-node.ts";
import { Bench, Capture } from "../harness.ts";

describe("cli agent import", () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = new Bench();
    await bench.serve();
  });
  afterEach(() => bench.close());

  const lines = (...values: unknown[]): string => values.map((value) => JSON.stringify(value)).join("\n") + "\n";
  const imported = async (content: string, ...more: string[]): Promise<[number, ImportReport]> => {
    writeFileSync(join(bench.directory, "agents.jsonl"), content);
    const run = await bench.run(["agent", "import", "agents.jsonl", "--json", ...more]);
    return [run.exit, run.json<ImportReport>()];
  };

  it("counts what was imported, and finds nothing to do the second time", async () => {
    const content = lines(agentInput("acme/a"), agentInput("acme/b"));
    const [exit, first] = await imported(content);
    assert.deepEqual([exit, first.lines, first.imported, first.refused], [EXIT.ok, 2, 2, []]);
    const [, second] = await imported(content);
    assert.deepEqual([second.imported, second.updated, second.unchanged], [0, 0, 2]);
  });

  it("takes the good lines and names the bad ones: exit 5", async () => {
    const content = `${lines(agentInput("acme/a"))}{"broken\n\n${lines(agentInput("acme/c", "refuse me"), agentInput("acme/d"))}`;
    const [exit, report] = await imported(content);
    assert.equal(exit, EXIT.partial);
    assert.deepEqual([report.imported, report.refusedCount], [2, 2]);
    assert.deepEqual(
      report.refused.map(({ line, reason }) => [line, reason !== ""]),
      [
        [2, true],
        [4, true],
      ],
    );
  });

  it("ends with 4 when every line was refused", async () => {
    assert.equal((await imported("nonsense\n"))[0], EXIT.refused);
  });

  it("lets the later of two lines for one agent win, also far apart", async () => {
    const others = Array.from({ length: 3 * BATCH_AGENTS_MAX }, (_, i) => agentInput(`acme/${i}`));
    const [, report] = await imported(lines(agentInput("acme/a", "first"), ...others, agentInput("acme/a", "last")));
    assert.deepEqual([report.imported, report.updated, report.updatedIds], [others.length + 1, 1, ["acme/a"]]);
    const { agent } = (await bench.run(["agent", "get", "acme/a", "--json"])).json<{ agent: { name: string } }>();
    assert.equal(agent.name, "last");
  });

  it("names the agents that it changed, the first of many, each once", async () => {
    const agents = (version: string): unknown[] => Array.from({ length: 7 }, (_, i) => agentInput(`acme/${i}`, version));
    writeFileSync(join(bench.directory, "agents.jsonl"), lines(...agents("old")));
    assert.doesNotMatch((await bench.run(["agent", "import", "agents.jsonl"])).stdout, /^updated:/m);
    writeFileSync(join(bench.directory, "agents.jsonl"), lines(...agents("new")));
    const { stdout } = await bench.run(["agent", "import", "agents.jsonl"]);
    assert.match(stdout, /^updated: acme\/0, acme\/1, acme\/2, acme\/3, acme\/4 \(7 updates in all\)$/m);
    const [, report] = await imported(lines(agentInput("acme/0", "a"), agentInput("acme/0", "b")));
    assert.deepEqual([report.updated, report.updatedIds], [2, ["acme/0"]]);
  });

  it("reads standard input, and gives everything back", async () => {
    const content = lines(agentInput("acme/a"), agentInput("acme/b"));
    const run = await bench.run(["agent", "import", "-", "--format", "jsonl"], { stdin: content });
    assert.match(run.stdout, /^2 imported, 0 updated, 0 unchanged, 0 refused, in /);
    const records = (await bench.run(["agent", "export"])).stdout.trimEnd().split("\n");
    assert.deepEqual(
      records.map((record) => JSON.parse(record) as unknown),
      [...bench.node.agents.values()],
    );
    assert.equal((await bench.run(["agent", "export", "--format", "original"])).stdout, content);
  });

  it("draws a bar on a terminal that reports no columns, and none elsewhere", async () => {
    writeFileSync(join(bench.directory, "agents.jsonl"), lines(agentInput("acme/a")));
    const terminal = new Capture({ isTTY: true, columns: 0 });
    await bench.run(["agent", "import", "agents.jsonl"], { stderr: terminal });
    assert.match(terminal.text, /import .*100%.*1 agents/);
    assert.equal((await bench.run(["agent", "import", "agents.jsonl"])).stderr, "");
  });

  it("bounds what the report lists, and still counts all", async () => {
    const refuseAll: Pick<AdminClient, "mutateAll"> = {
      async *mutateAll(batches: AsyncIterable<readonly Mutation[]>) {
        for await (const batch of batches) {
          yield batch.map((): MutationResult => ({ outcome: "refused", did: null, code: "schema", reason: "no" }));
        }
      },
    };
    const total = REFUSALS_LISTED_MAX + 5;
    async function* source(): AsyncGenerator<ImportedLine> {
      for (let line = 1; line <= total; line++)
        yield { line, bytes: 10, agent: agentInput(`a/${line}`), warnings: [`kind ${line}`] };
    }
    const report = await importAgents(refuseAll, source(), () => {});
    assert.deepEqual([report.refused.length, report.refusedCount, report.warningsCount], [REFUSALS_LISTED_MAX, total, total]);
    assert.equal(report.warnings.length, WARNING_KINDS_MAX + 1);
  });
});
