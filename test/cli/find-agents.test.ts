import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AgentPage, ListQuery } from "../../src/api.ts";
import { SEARCH_PAGES_MAX } from "../../src/cli/commands/find-agents.ts";
import { EXIT } from "../../src/cli/exit.ts";
import { agentInput } from "../admin/map-node.ts";
import { Bench } from "./harness.ts";

describe("cli: a list over pages that are short or empty", () => {
  let bench: Bench;
  let asked: ListQuery[];

  beforeEach(async () => {
    bench = new Bench();
    asked = [];
    await bench.serve();
    const lines = ["a", "b", "c"].map((id) => JSON.stringify(agentInput(`acme/${id}`)));
    writeFileSync(join(bench.directory, "agents.jsonl"), lines.join("\n"));
    assert.equal((await bench.run(["agent", "import", "agents.jsonl"])).exit, EXIT.ok);
  });
  afterEach(() => bench.close());

  /** Gives so many agents on each page; the cursor is the number of the next one. */
  function pages(sizes: readonly number[]): void {
    bench.node.listAgents = (query) => {
      asked.push(query);
      const at = Number(query.cursor ?? 0);
      const before = sizes.slice(0, at).reduce((sum, size) => sum + size, 0);
      const agents = [...bench.node.agents.values()].slice(before, before + (sizes[at] ?? 0));
      return Promise.resolve({ agents, unavailable: [], cursor: at + 1 < sizes.length ? String(at + 1) : null });
    };
  }

  it("goes on to the end, and finds what only the last page has", async () => {
    pages([0, 0, 1, 0, 2]);
    const { exit, stdout, stderr } = await bench.run(["agent", "list", "--text", "upper"]);
    assert.deepEqual([exit, stderr], [EXIT.ok, ""]);
    for (const id of ["acme/a", "acme/b", "acme/c"]) assert.ok(stdout.includes(id), stdout);
    assert.ok(asked.every(({ text }) => text === "upper"));
    const page = (await bench.run(["agent", "list", "--json"])).json<AgentPage>();
    assert.deepEqual([page.agents.length, page.cursor], [3, null]);
  });

  it("stops when the limit is full, asks for no more than is missing, and goes on behind that", async () => {
    pages([0, 1, 1, 1]);
    const first = await bench.run(["agent", "list", "--limit", "2"]);
    assert.match(first.stderr, /^more: --cursor 3$/m);
    assert.deepEqual(
      asked.map(({ limit }) => limit),
      [2, 2, 1],
    );
    const rest = (await bench.run(["agent", "list", "--limit", "2", "--cursor", "3", "--json"])).json<AgentPage>();
    assert.deepEqual([rest.agents.map(({ humanReadableId }) => humanReadableId), rest.cursor], [["acme/c"], null]);
  });

  it("says that there are none only at the end", async () => {
    pages([0, 0, 0]);
    const { stdout, stderr } = await bench.run(["agent", "list"]);
    assert.deepEqual([stdout, stderr, asked.length], ["No agents.\n", "", 3]);
  });

  it("reads a bounded number of pages, and says where to go on", async () => {
    pages(Array.from({ length: SEARCH_PAGES_MAX + 1 }, (_, at) => (at < SEARCH_PAGES_MAX ? 0 : 1)));
    const { exit, stdout, stderr } = await bench.run(["agent", "list"]);
    assert.deepEqual([exit, stdout, asked.length], [EXIT.ok, "No agents so far.\n", SEARCH_PAGES_MAX]);
    assert.equal(stderr, `searched so far: none yet; more: --cursor ${SEARCH_PAGES_MAX}\n`);
    const rest = await bench.run(["agent", "list", "--cursor", String(SEARCH_PAGES_MAX)]);
    assert.match(rest.stdout, /acme\/a/);
  });
});
