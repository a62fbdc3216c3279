import type { AdminClient } from "../../admin/client.ts";
import type { AgentPage, ListQuery } from "../../api.ts";

/** Pages that one search reads; of a rare word each may be empty, and stand for thousands of records that were looked at. */
export const SEARCH_PAGES_MAX = 64;

/**
 * The agents that pass the conditions, over as many pages as it takes: until `limit` are found, the end is reached (`cursor` is
 * null) or SEARCH_PAGES_MAX pages are read.
 */
export async function findAgents(client: Pick<AdminClient, "listAgents">, query: ListQuery): Promise<AgentPage> {
  let found = await client.listAgents(query);
  for (let pages = 1; pages < SEARCH_PAGES_MAX; pages++) {
    const { agents, unavailable, cursor } = found;
    if (cursor === null || agents.length >= query.limit) break;
    const next = await client.listAgents({ ...query, limit: query.limit - agents.length, cursor });
    const all = { agents: [...agents, ...next.agents], unavailable: [...unavailable, ...next.unavailable] };
    found = { ...all, cursor: next.cursor };
  }
  return found;
}
