import type { Federation } from "../federation/federation.ts";
import type { Machine } from "../federation/machine.ts";

/** Timers that one process may have armed at a time. */
export const TIMERS_MAX = 5_000;
/** Turns that one process may have asked for and not had: its actor system asks for one at a time. */
export const TURNS_MAX = 64;
/** Streams that one peer may have open to a machine, over all protocols. */
export const STREAMS_PER_PEER_MAX = 32;

/** What of a running node has outgrown its bound, a line each. */
export async function outgrown(federation: Federation, machine: Machine): Promise<string[]> {
  const status = await machine.ask((node) => node.status());
  if (status === undefined) return [];
  const machines = federation.machines.length;
  const counts: readonly (readonly [what: string, count: number, max: number])[] = [
    ["timers armed", machine.power.pendingTimers, TIMERS_MAX],
    ["turns asked for", machine.power.pendingTurns, TURNS_MAX],
    ["connections", machine.network?.connected().length ?? 0, machines - 1],
    ["streams served", machine.network?.servedStreams ?? 0, machines * STREAMS_PER_PEER_MAX],
    ["peers known", status.peers.length, machines - 1],
    ["agents of its own", status.catalog.agents, machine.ledger.names.length],
  ];
  return counts
    .filter(([, count, max]) => count > max)
    .map(([what, count, max]) => `${machine.name}: ${count} ${what}, at most ${max}`);
}
