import { AGENT_DEFAULTS, ENDPOINT_PROTOCOL_DEFAULT } from "../../../protocols/http/agent-input.ts";
import { isDid, isMinted } from "../../../protocols/lib/did.ts";
import { AGENT_STATUSES, SCORE_STEPS, type AgentStatus, type Endpoint } from "../../../protocols/record/record.ts";
import type { Converted, SourceObject } from "./format.ts";
import {
  capabilitiesOf,
  categoryOf,
  derivedId,
  descriptionOf,
  endpointsOf,
  humanReadableIdOf,
  nameOf,
  objectOf,
} from "./normalise.ts";
import { objectsOf, shown, stringOf, stringsOf, tagsOf, versionOf, type Warn } from "./normalise.ts";

/**
 * One agent as plain JSON: our own export (a whole record), or what other catalogues hold: `humanReadableId` or `name`,
 * `description`, `capabilities`, `tags`, `tools`, `category`, `endpoints` or `url`/`remoteUrl`, `version`, `status`.
 * @param namespace what the DIDs begin with that the importing registry mints; minted DIDs of others are not kept
 */
export function fromAgentLine(source: SourceObject, namespace: string | undefined, warn: Warn): Converted {
  const given = stringOf(source, "humanReadableId");
  const name = stringOf(source, "name");
  if (given === undefined && name === undefined) return { refused: "the agent has neither a humanReadableId nor a name" };
  const provider = stringOf(source, "provider", "author") ?? "";
  const id = given === undefined ? derivedId(provider, name ?? "") : humanReadableIdOf(given, warn);
  if (id === undefined) return { refused: `no humanReadableId can be made of ${shown(given ?? name ?? "")}` };
  const tags = stringsOf(source["tags"], "tags", warn);
  const named = [
    ...stringsOf(source["capabilities"], "capabilities", warn),
    ...tags,
    ...stringsOf(source["tools"], "tools", warn),
  ];
  return {
    agent: {
      ...didOf(source, namespace, warn),
      humanReadableId: id,
      name: name && nameOf(name, warn),
      description: descriptionOf(stringOf(source, "description"), warn),
      capabilities: capabilitiesOf([...named, ...categoryOf(stringOf(source, "category"))], warn),
      tags: tagsOf(tags, warn),
      endpoints: endpointsOf(agentEndpoints(source), warn),
      version: versionOf(stringOf(source, "version"), warn),
      status: statusOf(stringOf(source, "status"), warn),
      ...scoreOf(source["reputation_score"], warn),
    },
  };
}

function agentEndpoints(source: SourceObject): Endpoint[] {
  const endpoints = objectsOf(source["endpoints"]).map((endpoint) => ({
    url: stringOf(endpoint, "url") ?? "",
    protocol: stringOf(endpoint, "protocol") ?? ENDPOINT_PROTOCOL_DEFAULT,
  }));
  const url = stringOf(source, "url", "remoteUrl");
  return url === undefined
    ? endpoints
    : [...endpoints, { url, protocol: Object.hasOwn(source, "remoteUrl") ? "mcp" : ENDPOINT_PROTOCOL_DEFAULT }];
}

function didOf(source: SourceObject, namespace: string | undefined, warn: Warn): { did?: string } {
  const did = stringOf(source, "did");
  return did === undefined ? {} : keptDid(did, namespace, warn);
}

/** The DID that stays: not one minted by another registry, whose namespace is not ours to write in. */
export function keptDid(did: string, namespace: string | undefined, warn: Warn): { did?: string } {
  if (!isDid(did)) {
    warn(`did: ${shown(did)} is not a DID, one is minted`);
    return {};
  }
  if (!isMinted(did) || (namespace !== undefined && did.startsWith(namespace))) return { did };
  warn(`did: ${shown(did)} was minted by another registry, one is minted here`);
  return {};
}

function statusOf(status: string | undefined, warn: Warn): AgentStatus | undefined {
  const known = AGENT_STATUSES.find((name) => name === status?.toLowerCase());
  if (status !== undefined && known === undefined) {
    warn(`status: ${shown(status)} is not known, taken as ${AGENT_DEFAULTS.status}`);
  }
  return known;
}

function scoreOf(score: unknown, warn: Warn): { reputation_score?: number } {
  if (score === undefined || score === null) return {};
  if (typeof score !== "number" || !(score >= 0 && score <= 1)) {
    warn("reputation_score: not a number from 0 to 1, left out");
    return {};
  }
  return { reputation_score: Math.round(score * SCORE_STEPS) / SCORE_STEPS };
}

/** Whether it is a record as a registry exports it: it names its home and its revision. */
export function isExported(source: SourceObject): boolean {
  return (
    ["registry", "revision", "hlc", "humanReadableId"].every((name) => Object.hasOwn(source, name)) &&
    objectOf(source) !== undefined
  );
}
