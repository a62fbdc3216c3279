import type { AgentInput } from "../../src/api.ts";

const DESCRIPTION = "Answers questions about one field and hands over to others where it ends; made for measurements, number ";

/** A plausible agent whose stored record, home fields included, has about 580 bytes. `version` tells revisions apart. */
export function syntheticAgent(index: number, version: number): AgentInput {
  return {
    humanReadableId: `bench/agent-${index}`,
    name: `Agent ${index}`,
    description: DESCRIPTION + index,
    capabilities: [`category/field-${index % 97}`, `translation/en-${index % 13}`],
    tags: ["bench"],
    endpoints: [{ url: `https://agents.example/${index}`, protocol: "a2a" }],
    version: `1.${version}.0`,
    status: "active",
  };
}
