import type { RegistryNode } from "../../src/api.ts";
import type { RegistryIdentity } from "../../src/identity/registry-identity.ts";
import type { NodePorts } from "../../src/node.ts";

/** What differs between the registries of a federation. */
export interface NodeSettings {
  readonly identity: RegistryIdentity;
  /** Addresses of configured peers, each ending in `/p2p/<peer id>`. */
  readonly peers: readonly string[];
  /** The disk was put back from a copy since signing was last settled. */
  readonly unsure: boolean;
  readonly settled: () => void;
}

/** Starts a registry on simulated ports: the real node, or a stand-in where the simulator itself is under test. */
export type StartNode = (ports: NodePorts, settings: NodeSettings) => Promise<RegistryNode>;
