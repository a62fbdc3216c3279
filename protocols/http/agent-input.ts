import { AGENT_STATUSES, type AgentStatus } from "../record/record.ts";
import { recordJsonSchema } from "../record/schema.ts";

/** What an agent says of itself where whoever hands it in leaves it out. Its name is then the last segment of its humanReadableId. */
export const AGENT_DEFAULTS: {
  readonly description: string;
  readonly capabilities: readonly string[];
  readonly tags: readonly string[];
  readonly endpoints: readonly unknown[];
  readonly version: string;
  readonly status: AgentStatus;
} = { description: "", capabilities: [], tags: [], endpoints: [], version: "", status: AGENT_STATUSES[0] };

/** Of an endpoint that names none. */
export const ENDPOINT_PROTOCOL_DEFAULT = "https";

/** What the home sets; in an agent that is handed in it may stand as a reader got it, and is set anew. */
const SET_BY_HOME: readonly string[] = ["did", "registry", "epoch", "revision", "hlc"];

/**
 * An agent as it was handed in, with what it leaves out (rest.md, "What may be left out") and its capabilities in order; what is
 * there stays as it is otherwise, also what does not hold. A signed one is given back as it came: its signature covers it all.
 */
export function completeAgent(given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const there = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  if (there["agent_signature"] !== undefined) return there;
  const { humanReadableId, capabilities, endpoints } = there;
  return {
    ...AGENT_DEFAULTS,
    ...(typeof humanReadableId === "string" && { name: humanReadableId.split("/").at(-1) }),
    ...there,
    // A set, whose order a record fixes and no JSON Schema can ask for.
    ...(isTexts(capabilities) && { capabilities: capabilities.toSorted() }),
    ...(Array.isArray(endpoints) && { endpoints: endpoints.map(withProtocol) }),
  };
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function withProtocol(endpoint: unknown): unknown {
  const isObject = typeof endpoint === "object" && endpoint !== null && !Array.isArray(endpoint);
  return isObject ? { protocol: ENDPOINT_PROTOCOL_DEFAULT, ...endpoint } : endpoint;
}

/** The JSON Schema (draft 2020-12) of what `completeAgent` takes, with its defaults. */
export function agentInputJsonSchema(): Record<string, unknown> {
  const { required, title: _title, $schema: _schema, ...rest } = recordJsonSchema();
  const properties = structuredClone(rest["properties"]) as Record<string, Record<string, unknown>>;
  for (const [name, value] of Object.entries(AGENT_DEFAULTS)) Object.assign(properties[name] as object, { default: value });
  const { name, endpoints } = properties as { name: object; endpoints: { items: EndpointSchema } };
  Object.assign(name, { description: "the last segment of humanReadableId where it is left out" });
  endpoints.items.required = ["url"];
  Object.assign(endpoints.items.properties.protocol, { default: ENDPOINT_PROTOCOL_DEFAULT });
  const ownFields = (required as readonly string[]).filter((field) => !SET_BY_HOME.includes(field));
  return {
    title: "Agent input",
    ...rest,
    properties,
    required: ["humanReadableId"],
    // Nothing is filled in for what is signed.
    dependentRequired: { agent_signature: ["did", ...ownFields] },
  };
}

interface EndpointSchema {
  required: readonly string[];
  readonly properties: { readonly protocol: object };
}
