import { LIST_LIMIT_MAX, NodeError, type RegistryNode } from "../../src/api.ts";
import type { AgentRecord } from "../../protocols/record/record.ts";

/** A promise that was broken. */
export interface Violation {
  /** The checker that found it. */
  readonly checker: string;
  /** What was wrong, and where. */
  readonly message: string;
  /** Virtual time, in milliseconds. */
  readonly atMs: number;
}

/** Complaints that one checker reports of one run; the rest is only counted. */
export const COMPLAINTS_MAX = 20;
/** Pages of a listing; more mean that its cursor goes round in circles. */
const PAGES_MAX = 1_000;

/**
 * All agents of one registry that `node` shows: none while it holds nothing of that registry. Rejects as the node does, and with
 * `damaged` where one cannot be shown.
 */
export async function catalogueOf(node: RegistryNode, registry: string): Promise<AgentRecord[]> {
  try {
    return await readPages(node, registry);
  } catch (error) {
    if (error instanceof NodeError && error.code === "not_found") return [];
    throw error;
  }
}

/** Whether the node said that stored bytes have rotted, instead of showing them (T45). */
export function isDamage(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "damaged";
}

async function readPages(node: RegistryNode, registry: string): Promise<AgentRecord[]> {
  const agents: AgentRecord[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < PAGES_MAX; page++) {
    const answer = await node.listAgents({ limit: LIST_LIMIT_MAX, registry, ...(cursor === null ? {} : { cursor }) });
    if (answer.unavailable.length > 0) throw new NodeError("damaged", `${answer.unavailable.length} records have rotted`);
    agents.push(...answer.agents);
    cursor = answer.cursor;
    if (cursor === null) return agents;
  }
  throw new Error(`the listing of ${registry} had not ended after ${PAGES_MAX} pages`);
}
