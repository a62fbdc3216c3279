import type { Network } from "../../../src/ports/network.ts";
import { networkContract } from "../../contract/network.ts";
import { makeNetwork } from "./lib.ts";

networkContract("libp2p", () => {
  const made: Network[] = [];
  return Promise.resolve({
    make: () => {
      const network = makeNetwork();
      made.push(network);
      return Promise.resolve(network);
    },
    close: async () => {
      await Promise.all(made.map((network) => network.stop()));
    },
  });
});
