import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { pinnedPeer, type PeerPins } from "../peer-address.ts";
import { describePeers } from "./status.ts";

export function peerCommand(program: Command, cli: Cli): void {
  const peer = program.command("peer").description("the registries that this one knows");
  peer
    .command("list")
    .description("list them with their state")
    .action(async (_options, command: Command) => {
      const peers = await cli.withNode(command, (client) => client.listPeers());
      await cli.show(command, { peers }, () => describePeers(peers));
    });
  peer
    .command("add")
    .argument("<url|multiaddr>", "https://<host>[:port], or a multiaddr that ends in /p2p/<peer id>")
    .option("--public-key <pem|file>", "its Ed25519 public key: any other registry is refused at this address")
    .option("--pin <did>", "its DID, to the same end")
    .description("meet another registry, now and after every start")
    .action(async (given: string, options: PeerPins, command: Command) => {
      const address = await pinnedPeer(cli.io, given, options);
      await cli.withNode(command, (client) => client.addPeer(address));
      await cli.show(command, { added: address }, () => `added ${address}`);
    });
  peer
    .command("remove")
    .argument("<url|multiaddr|did>", "what `peer list` shows")
    .description("forget a configured registry and stop following it")
    .action(async (addressOrDid: string, _options, command: Command) => {
      await cli.withNode(command, (client) => client.removePeer(addressOrDid));
      await cli.show(command, { removed: addressOrDid }, () => `removed ${addressOrDid}`);
    });
}
