import { ECHO, echo } from "../../contract/network-support.ts";
import { makeNetwork } from "./lib.ts";

/** A process with one echoing network, to be killed. */
const network = makeNetwork();
network.handle(ECHO, echo, { streamsPerPeerMax: 2 });
await network.start();
process.on("disconnect", () => process.exit());
process.send?.(network.addresses()[0]);
