import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AgentPage, UnavailableAgent } from "../../src/api.ts";
import { EXIT } from "../../src/cli/exit.ts";
import { agentInput, OWN_DID } from "../admin/map-node.ts";
import { Bench } from "./harness.ts";

const MISSING: UnavailableAgent = { registry: OWN_DID, key: "ab".repeat(32), reason: "damaged" };

describe("cli: agents whose stored bytes are damaged", () => {
  let bench: Bench;

  beforeEach(async () => {
    bench = new Bench();
    await bench.serve();
    writeFileSync(join(bench.directory, "a.json"), JSON.stringify(agentInput("acme/a")));
    assert.equal((await bench.run(["agent", "register", "a.json"])).exit, EXIT.ok);
  });
  afterEach(() => bench.close());

  it("T45 a list shows the others, says what is missing, and ends with 5", async () => {
    bench.node.unavailable = [MISSING];
    const listed = await bench.run(["agent", "list"]);
    assert.equal(listed.exit, EXIT.partial);
    assert.match(listed.stdout, /acme\/a/);
    assert.match(listed.stderr, /missing: 1 agent of this page.*damaged/);
    const { agents, unavailable } = (await bench.run(["agent", "list", "--json"])).json<AgentPage>();
    assert.deepEqual([agents.length, unavailable], [1, [MISSING]]);
  });

  it("T45 an export never leaves one out in silence: it says so and ends with 5", async () => {
    bench.node.unavailable = [MISSING, MISSING];
    const exported = await bench.run(["agent", "export"]);
    assert.equal(exported.exit, EXIT.partial);
    assert.match(exported.stderr, /missing: 2 agents of this export/);
    assert.equal(exported.stdout.trim().split("\n").length, 1, "nothing but records on standard output");
    bench.node.unavailable = [];
    const whole = await bench.run(["agent", "export"]);
    assert.deepEqual([whole.exit, whole.stderr, whole.stdout], [EXIT.ok, "", exported.stdout]);
  });
});
