import assert from "node:assert/strict";
import { agentInputJsonSchema, completeAgent } from "../../../protocols/http/agent-input.ts";
import { checkFields } from "../../../protocols/record/schema.ts";

const did = "did:web:a.example";

describe("an agent that is handed in", () => {
  it("is filled in where it says nothing, down to its id alone", () => {
    assert.deepEqual(checkFields({ did, ...completeAgent({ humanReadableId: "acme/translator" }) }), {
      ...{ did, humanReadableId: "acme/translator", name: "translator", description: "", capabilities: [], tags: [] },
      ...{ endpoints: [], version: "", status: "active" },
    });
  });

  it("keeps what it says, also what does not hold", () => {
    const given = {
      ...{
        humanReadableId: "acme/t",
        name: null,
        description: "d",
        capabilities: "none",
        tags: ["a"],
        version: "1",
        status: "old",
      },
      ...{ endpoints: [{ url: "https://a.example" }, { url: "https://b.example", protocol: "a2a" }, null, "x", []], more: 1 },
    };
    const endpoints = [{ url: "https://a.example", protocol: "https" }, ...given.endpoints.slice(1)];
    assert.deepEqual(completeAgent(given), { ...given, endpoints });
    assert.deepEqual(completeAgent({ humanReadableId: 7, tags: undefined })["tags"], []);
    assert.equal("name" in completeAgent({ humanReadableId: 7 }), false);
  });

  it("has its capabilities put in order, and none taken away", () => {
    const capabilities = ["vision", "a", "translation/en-fr", "a"];
    const { capabilities: ordered } = completeAgent({ humanReadableId: "acme/t", capabilities });
    assert.deepEqual(ordered, ["a", "a", "translation/en-fr", "vision"]);
  });

  it("is left as it is when it is signed: the signature covers every field", () => {
    const signed = {
      humanReadableId: "acme/t",
      capabilities: ["b", "a"],
      endpoints: [{ url: "https://a.example" }],
      agent_signature: "…",
    };
    assert.deepEqual(completeAgent(signed), signed);
  });

  it("is described with its defaults", () => {
    const { properties, required, dependentRequired } = agentInputJsonSchema() as {
      properties: Record<string, { default?: unknown; items?: { required: string[]; properties: Record<string, object> } }>;
      required: string[];
      dependentRequired: Record<string, string[]>;
    };
    const { name: _name, humanReadableId: _id, ...filledIn } = completeAgent({ humanReadableId: "a" });
    const described = Object.entries(properties).flatMap(([name, one]) => ("default" in one ? [[name, one.default]] : []));
    assert.deepEqual(Object.fromEntries(described), filledIn);
    assert.deepEqual(required, ["humanReadableId"]);
    assert.deepEqual(properties["endpoints"]?.items?.required, ["url"]);
    assert.deepEqual(properties["endpoints"].items.properties["protocol"], {
      ...{ type: "string", minLength: 1, maxLength: 64, default: "https" },
    });
    assert.deepEqual(dependentRequired["agent_signature"]?.toSorted(), [
      ...["capabilities", "description", "did", "endpoints", "humanReadableId", "name", "status", "tags", "version"],
    ]);
  });
});
