import { deadline } from "../../contract/network-support.ts";
import { makeNetwork } from "./lib.ts";

/** A process whose networks connect and stop; nothing but what they left behind keeps it alive. */
const [a, b] = [makeNetwork(), makeNetwork()];
await Promise.all([a.start(), b.start()]);
await a.connect({ addresses: b.addresses() }, deadline());
await Promise.all([a.stop(), b.stop()]);
process.send?.("stopped", () => process.disconnect());
