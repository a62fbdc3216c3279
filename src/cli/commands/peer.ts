import type { Command } from "commander";
import { peerIdOfDid } from "../../../protocols/lib/did.ts";
import type { PeerAddition, PeerStatus } from "../../api.ts";
import type { Cli } from "../cli.ts";
import { EXIT } from "../exit.ts";
import { pinnedPeer, type PeerPins } from "../peer-address.ts";
import type { ResolvedSettings } from "../settings/resolve.ts";
import { duration, plain } from "../text.ts";
import { describeContacts, describePeers } from "./status.ts";

export function peerCommand(program: Command, cli: Cli): void {
  const peer = program.command("peer").description("the registries that this one knows");
  peer
    .command("list")
    .description("list them with their state")
    .action(async (_options, command: Command) => {
      const { peers, contacts } = await cli.withNode(command, (client) => client.listPeers());
      const text = (): string => describePeers(peers, (did) => did) + describeContacts(contacts, Date.now());
      await cli.show(command, { peers, contacts }, text);
    });
  peer
    .command("add")
    .argument("<url|multiaddr>", "https://<host>[:port], or a multiaddr that ends in /p2p/<peer id>")
    .option("--public-key <pem|file>", "its Ed25519 public key: any other registry is refused at this address")
    .option("--pin <did>", "its DID, to the same end")
    .description("meet another registry, now and after every start")
    .action(async (given: string, options: PeerPins, command: Command) => {
      const address = await pinnedPeer(cli.io, given, options);
      const addition = await cli.withNode(command, (client) => client.addPeer(address));
      if (addition.outcome === "kept") cli.exitCode = EXIT.partial;
      await cli.show(command, { added: address, ...addition }, () => describeAddition(address, addition));
    });
  peer
    .command("remove")
    .argument("<url|multiaddr|did|name>", "what `peer list` shows; a name that only one registry has")
    .description("forget a configured registry and stop following it")
    .action(async (which: string, _options, command: Command) => {
      const peer = await cli.withNode(command, async (client) => {
        const { peers } = await client.listPeers();
        await client.removePeer(which);
        return findPeer(peers, which);
      });
      const who = peer === undefined || peer.did === which ? which : `${which} (${peer.did})`;
      await cli.show(command, { removed: which }, () => `removed ${who}`);
      const note = noteOfReturn(cli.settings(command, ["dataDir"]), which, peer);
      if (note !== undefined) cli.say(note);
    });
}

function describeAddition(address: string, addition: PeerAddition): string {
  if (addition.outcome === "met") return `met ${plain(addition.name)} (${addition.did}) at ${address}`;
  const { problem, retryMsMax } = addition;
  return [
    `kept ${address}, not reached yet: ${plain(problem.reason)}`,
    `  → ${plain(problem.fix)}`,
    `  it is tried again every ${duration(retryMsMax / 1_000)} at the latest, also after a restart`,
  ].join("\n");
}

/** Whom the node removed by `which`; `undefined` for a URL, of which only the node knows where it leads. */
function findPeer(peers: readonly PeerStatus[], which: string): PeerStatus | undefined {
  const isExact = ({ did }: PeerStatus): boolean => did === which || isOfPeer(which, did);
  return peers.find(isExact) ?? peers.find(({ name }) => name === which);
}

/** A start meets whom its settings name, also who was removed. Those that are seen from here need not be those of the node. */
function noteOfReturn({ config, origins }: ResolvedSettings, which: string, peer: PeerStatus | undefined): string | undefined {
  const named = config.peers.find(
    (address) => withoutPin(address) === withoutPin(which) || (peer !== undefined && isOfPeer(address, peer.did)),
  );
  const source = origins.peers.kind === "file" ? `FEDERATION_PEERS (${origins.peers.name})` : "FEDERATION_PEERS";
  if (named !== undefined) return `note: it comes back at the next start, unless ${named} is taken out of ${source}`;
  // Who was not named by the operator, by an address, was never in any settings.
  if (peer?.configured === false) return undefined;
  return "note: it comes back at the next start, should FEDERATION_PEERS or --peer of that start name it";
}

function isOfPeer(address: string, did: string): boolean {
  const peerId = peerIdOfDid(did);
  return address === peerId || address.endsWith(`/p2p/${peerId}`) || address.endsWith(`#${did}`);
}

function withoutPin(address: string): string {
  return address.replace(/#.*$/, "").replace(/\/$/, "");
}
