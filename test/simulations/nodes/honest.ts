import type { StartNode } from "../../../simulations/federation/start-node.ts";
import { startStandIn } from "../stand-in.ts";

export const startNode: StartNode = startStandIn();
