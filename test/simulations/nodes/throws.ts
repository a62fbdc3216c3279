import type { StartNode } from "../../../simulations/federation/start-node.ts";
import { startStandIn } from "../stand-in.ts";

const start = startStandIn();

/** A registry that leaves a rejection which nobody handles. */
export const startNode: StartNode = async (ports, settings) => {
  ports.clock.after(1_000, () => void Promise.reject(new Error("planted rejection")));
  return start(ports, settings);
};
