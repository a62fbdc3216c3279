import type { PeerStatus, Status } from "../../src/api.ts";
import type { Federation } from "../federation/federation.ts";
import type { Machine } from "../federation/machine.ts";

/**
 * What still differs between homes and their followers, a line each; empty once every running node holds the newest map of every
 * other. Every registry follows all others here.
 */
export async function differences(federation: Federation): Promise<string[]> {
  const states = await Promise.all(
    federation.running.map(async (machine) => ({ machine, status: await machine.ask((node) => node.status()) })),
  );
  const complaints = federation.machines
    .filter((machine) => machine.runs > 0 && machine.node === undefined)
    .map(({ name }) => `${name} is down`);
  const known = states.filter((state): state is { machine: Machine; status: Status } => state.status !== undefined);
  for (const { machine, status } of known) {
    const peers = new Map<string, PeerStatus>(status.peers.map((peer) => [peer.did, peer]));
    for (const home of known) {
      if (home.machine === machine) continue;
      const complaint = difference(peers.get(home.machine.did), home.status);
      if (complaint !== undefined) complaints.push(`${machine.name} on ${home.machine.name}: ${complaint}`);
    }
  }
  return complaints;
}

function difference(peer: PeerStatus | undefined, home: Status): string | undefined {
  const { agents, mapRoot } = home.catalog;
  if (peer === undefined) return "never heard of it";
  if (peer.syncedRoot === null && agents === 0) return undefined;
  if (peer.syncedRoot !== mapRoot) return `holds ${String(peer.syncedRoot).slice(0, 12)}, the home is at ${mapRoot.slice(0, 12)}`;
  if (peer.agents !== agents) return `holds the right map with ${peer.agents} agents, the home has ${agents}`;
  return undefined;
}
