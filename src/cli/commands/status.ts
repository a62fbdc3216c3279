import type { Command } from "commander";
import type { PeerContact, PeerStatus, Status } from "../../api.ts";
import type { Cli } from "../cli.ts";
import { duration, facts, plain, plural, short, table } from "../text.ts";

export function statusCommand(program: Command, cli: Cli): void {
  program
    .command("status")
    .description("show the running node: its catalogue and the registries it knows")
    .action(async (_options, command: Command) => {
      const status = await cli.withNode(command, (client) => client.status());
      await cli.show(command, status, () => describeStatus(status));
    });
}

function describeStatus(status: Status): string {
  const { catalog } = status;
  const head = facts([
    ["name", plain(status.name)],
    ["DID", status.did],
    ["HTTPS", status.http?.url ?? ""],
    ["addresses", status.multiaddrs.join("\n")],
    ["up", duration(status.uptimeSeconds)],
    ["catalogue", `${plural(catalog.agents, "agent")}, ${plural(catalog.logSize, "commit")}, epoch ${catalog.epoch}`],
    ["map root", catalog.mapRoot],
    ["checkpoint", catalog.checkpointTime ?? "none yet"],
    ["paused", catalog.paused ?? ""],
    ["evidence", status.evidence === 0 ? "" : `${plural(status.evidence, "piece")} of misbehaviour held`],
  ]);
  return `${head}\n\n${describePeers(status.peers, short)}${describeContacts(status.contacts, Date.now())}`;
}

/** @param showDid whole, to be copied, or short, to be told apart */
export function describePeers(peers: readonly PeerStatus[], showDid: (did: string) => string): string {
  if (peers.length === 0) return "No other registry is known yet.";
  const rows = peers.map((peer) => [
    plain(peer.name) || "(not met)",
    showDid(peer.did),
    peer.domain === null ? "" : `${plain(peer.domain)}${peer.domainVerified ? "" : " (claimed)"}`,
    reached(peer),
    peer.agents,
    syncState(peer),
    peer.rttMs === null ? "" : `${peer.rttMs.toFixed(1)} ms`,
    peer.refusedRecords,
  ]);
  return table(["REGISTRY", "DID", "DOMAIN", "STATE", "AGENTS", "SYNC", "RTT", "REFUSED"], rows);
}

/** The addresses at which nobody was met, why, and what to do; nothing when all were. */
export function describeContacts(contacts: readonly PeerContact[], nowMs: number): string {
  const missed = contacts.filter(({ state }) => state !== "met");
  if (missed.length === 0) return "";
  const lines = missed.flatMap((contact) => {
    const { address, problem } = contact;
    if (problem === null) return [`  ${plain(address)}: ${attempts(contact, nowMs)}`];
    const said = [`  ${plain(address)}: ${plain(problem.reason)}`, `      → ${plain(problem.fix)}`];
    return [...said, `      ${attempts(contact, nowMs)}`];
  });
  return `\n\nNamed as peers, and not met there:\n${lines.join("\n")}`;
}

function attempts({ lastAttempt, nextAttempt }: PeerContact, nowMs: number): string {
  const apart = (iso: string): string => duration(Math.abs(Date.parse(iso) - nowMs) / 1_000);
  const last = lastAttempt === null ? "not tried yet" : `tried ${apart(lastAttempt)} ago`;
  return nextAttempt === null ? last : `${last}, next in ${apart(nextAttempt)}`;
}

function reached({ connected, state, transport }: PeerStatus): string {
  if (transport === "http") return `${state}, over HTTPS`;
  return connected ? state : `${state}, not connected`;
}

function syncState(peer: PeerStatus): string {
  if (!peer.followed) return "not followed";
  if (peer.syncedRoot === null) return "not yet";
  return peer.syncedRoot === peer.mapRoot ? "up to date" : "behind";
}
