import { randomBytes } from "node:crypto";
import { createLibp2pNetwork } from "../../../src/adapters/libp2p/network.ts";
import type { Network } from "../../../src/ports/network.ts";
import { networkContract } from "../../contract/network.ts";
import { TOPIC } from "../../contract/network-support.ts";
import { quietLog, realClock } from "./lib.ts";

networkContract("libp2p", async () => {
  const made: Network[] = [];
  return {
    make: async () => {
      const options = {
        key: randomBytes(32),
        listen: ["/ip4/127.0.0.1/tcp/0"],
        log: quietLog,
        clock: realClock,
        topics: [TOPIC],
      };
      const network = createLibp2pNetwork(options);
      made.push(network);
      return network;
    },
    close: async () => {
      await Promise.all(made.map((network) => network.stop()));
    },
  };
});
