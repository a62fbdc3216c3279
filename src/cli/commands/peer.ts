import type { Command } from "commander";
import type { Cli } from "../cli.ts";
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
    .argument("<multiaddr>", "address that ends in /p2p/<peer id>")
    .description("meet another registry, now and after every start")
    .action(async (address: string, _options, command: Command) => {
      await cli.withNode(command, (client) => client.addPeer(address));
      await cli.show(command, { added: address }, () => `added ${address}`);
    });
  peer
    .command("remove")
    .argument("<multiaddr|did>", "what `peer list` shows")
    .description("forget a configured registry and stop following it")
    .action(async (addressOrDid: string, _options, command: Command) => {
      await cli.withNode(command, (client) => client.removePeer(addressOrDid));
      await cli.show(command, { removed: addressOrDid }, () => `removed ${addressOrDid}`);
    });
}
