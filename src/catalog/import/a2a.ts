import type { Endpoint } from "../../../protocols/record/record.ts";
import type { Converted, SourceObject } from "./format.ts";
import { capabilitiesOf, derivedId, descriptionOf, endpointsOf, nameOf, objectOf, objectsOf } from "./normalise.ts";
import { stringOf, stringsOf, tagsOf, versionOf, type Warn } from "./normalise.ts";

/**
 * A2A agent cards. v0.2 has one `url`; v0.3 adds `preferredTransport` and `additionalInterfaces` {url, transport}; v1.0 has
 * `supportedInterfaces` {url, protocolBinding} alone.
 */
export function isAgentCard(source: SourceObject): boolean {
  return ["skills", "supportedInterfaces", "defaultInputModes", "preferredTransport"].some(
    (name) => Array.isArray(source[name]) || typeof source[name] === "string",
  );
}

export function fromAgentCard(source: SourceObject, warn: Warn): Converted {
  const name = stringOf(source, "name");
  if (name === undefined) return { refused: "the agent card has no name" };
  const skills = objectsOf(source["skills"]);
  const tags = skills.flatMap((skill) => stringsOf(skill["tags"], "skills[].tags", warn));
  const ids = skills.map((skill) => stringOf(skill, "id", "name")).filter((id) => id !== undefined);
  const endpoints = endpointsOf(interfacesOf(source), warn);
  if (endpoints.length === 0) warn("endpoints: the agent card has no usable URL");
  const provider = stringOf(objectOf(source["provider"]) ?? {}, "organization");
  const id = derivedId(provider ?? hostOf(endpoints) ?? "", name);
  if (id === undefined) return { refused: `no humanReadableId can be made of the name ${JSON.stringify(name.slice(0, 60))}` };
  return {
    agent: {
      humanReadableId: id,
      name: nameOf(name, warn),
      description: descriptionOf(stringOf(source, "description"), warn),
      capabilities: capabilitiesOf([...ids, ...tags], warn),
      tags: tagsOf(tags, warn),
      endpoints,
      version: versionOf(stringOf(source, "version"), warn),
      status: "active",
    },
  };
}

function interfacesOf(source: SourceObject): Endpoint[] {
  const main = stringOf(source, "url");
  const listed = [...objectsOf(source["supportedInterfaces"]), ...objectsOf(source["additionalInterfaces"])];
  const endpoints = listed.map((entry) => ({
    url: stringOf(entry, "url") ?? "",
    protocol: protocolOf(stringOf(entry, "protocolBinding", "transport")),
  }));
  // JSONRPC is the transport of a card that names none (A2A v0.3, section 5.6).
  if (main !== undefined) endpoints.unshift({ url: main, protocol: protocolOf(stringOf(source, "preferredTransport")) });
  return endpoints;
}

function protocolOf(binding: string | undefined): string {
  return `a2a/${(binding ?? "JSONRPC").toLowerCase()}`;
}

/** The provider that a card without one comes from: its host, unless that says nothing about who it is. */
function hostOf(endpoints: readonly Endpoint[]): string | undefined {
  for (const { url } of endpoints) {
    const { hostname } = new URL(url);
    if (hostname.includes(".") && !/^[\d.]+$/.test(hostname)) return hostname;
  }
  return undefined;
}
