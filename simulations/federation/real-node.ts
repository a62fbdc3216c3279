import { CONFIG_DEFAULTS } from "../../src/config.ts";
import { createNode } from "../../src/node.ts";
import type { StartNode } from "./start-node.ts";

/** The node as it is published, with the settings that an operator gets without naming any. */
export const startNode: StartNode = (ports, { identity, peers, unsure, settled }) =>
  createNode(ports, {
    identity,
    domain: null,
    peers,
    follow: "all",
    agentsPerReplicaMax: CONFIG_DEFAULTS.agentsPerReplicaMax,
    replicasMax: CONFIG_DEFAULTS.replicasMax,
    registriesMax: CONFIG_DEFAULTS.registriesMax,
    connectionsMax: CONFIG_DEFAULTS.connectionsMax,
    requestsPerPeerPerMinuteMax: CONFIG_DEFAULTS.requestsPerPeerPerMinuteMax,
    unsure,
    settled,
  });
