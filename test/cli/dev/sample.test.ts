import assert from "node:assert/strict";
import { mintDid } from "../../../protocols/lib/did.ts";
import { checkFields } from "../../../protocols/record/schema.ts";
import { sampleAgents } from "../../../src/cli/dev/sample.ts";

describe("cli dev: sample catalogue", () => {
  it("is the same on every run, and a longer one begins with a shorter one", () => {
    assert.deepEqual(sampleAgents(400).slice(0, 50), sampleAgents(50));
  });

  it("has unique names and only agents that a registry takes", () => {
    const agents = sampleAgents(3_000);
    assert.equal(new Set(agents.map(({ humanReadableId }) => humanReadableId)).size, agents.length);
    const key = new Uint8Array(32).fill(9);
    for (const { reputation_score: score, ...agent } of agents) {
      checkFields({ ...agent, did: mintDid(key, agent.humanReadableId) });
      assert.ok(score !== undefined && score >= 0 && score <= 1 && Math.round(score * 100) / 100 === score);
    }
  });
});
