import type { AgentStatus, Endpoint } from "../../../protocols/record/record.ts";
import type { Converted, SourceObject } from "./format.ts";
import { capabilitiesOf, descriptionOf, endpointsOf, humanReadableIdOf, nameOf, objectOf, objectsOf } from "./normalise.ts";
import { stringOf, stringsOf, tagsOf, versionOf, type Warn } from "./normalise.ts";

/**
 * MCP server.json: the official registry's early form (`version_detail.version`, `remotes[].transport_type`) and the current one
 * (`version`, `remotes[].type`, `title`), alone or as the registry's answer `{server, _meta}`.
 */
export function isServerJson(source: SourceObject): boolean {
  const server = serverOf(source);
  const schema = stringOf(server, "$schema") ?? "";
  return (
    schema.includes("server.schema.json") || ["version_detail", "packages", "remotes"].some((name) => Object.hasOwn(server, name))
  );
}

export function fromServerJson(source: SourceObject, warn: Warn): Converted {
  const server = serverOf(source);
  const name = stringOf(server, "name");
  if (name === undefined) return { refused: "the server has no name" };
  const id = humanReadableIdOf(name.trim(), warn);
  if (id === undefined) return { refused: `no humanReadableId can be made of the name ${JSON.stringify(name.slice(0, 60))}` };
  const tags = [...stringsOf(server["tags"], "tags", warn), ...stringsOf(server["keywords"], "keywords", warn)];
  const tools = Array.isArray(server["tools"])
    ? server["tools"].map((tool) => toolName(tool)).filter((tool) => tool !== undefined)
    : [];
  return {
    agent: {
      humanReadableId: id,
      name: nameOf(stringOf(server, "title") ?? name, warn),
      description: descriptionOf(stringOf(server, "description"), warn),
      capabilities: capabilitiesOf([...tags, ...tools], warn),
      tags: tagsOf(tags, warn),
      endpoints: endpointsOf(remotesOf(server), warn),
      version: versionOf(stringOf(server, "version") ?? stringOf(objectOf(server["version_detail"]) ?? {}, "version"), warn),
      status: statusOf(source, server),
    },
  };
}

function serverOf(source: SourceObject): SourceObject {
  return objectOf(source["server"]) ?? source;
}

function toolName(tool: unknown): string | undefined {
  return typeof tool === "string" ? tool : stringOf(objectOf(tool) ?? {}, "name");
}

function remotesOf(server: SourceObject): Endpoint[] {
  return objectsOf(server["remotes"]).map((remote) => {
    const transport = stringOf(remote, "type", "transport_type", "transportType");
    return { url: stringOf(remote, "url") ?? "", protocol: transport === undefined ? "mcp" : `mcp/${transport.toLowerCase()}` };
  });
}

/** Where the official registry keeps what it says about a server. */
const OFFICIAL_META = "io.modelcontextprotocol.registry/official";

function statusOf(source: SourceObject, server: SourceObject): AgentStatus {
  const official = objectOf((objectOf(source["_meta"]) ?? objectOf(server["_meta"]))?.[OFFICIAL_META]) ?? {};
  const status = stringOf(official, "status") ?? stringOf(server, "status");
  if (status === "deprecated") return "deprecated";
  return status === "deleted" ? "inactive" : "active";
}
