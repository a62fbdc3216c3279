import type { KeyObject } from "node:crypto";
import type { RegistryNode } from "../../src/api.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Log } from "../../src/ports/log.ts";
import type { Network } from "../../src/ports/network.ts";
import type { Random } from "../../src/ports/random.ts";
import type { Scheduler } from "../../src/ports/scheduler.ts";
import type { Store } from "../../src/ports/store.ts";

export interface NodePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly store: Store;
  readonly log: Log;
  readonly scheduler: Scheduler;
}

export interface NodeSettings {
  readonly name: string;
  /** The registry's Ed25519 private key. */
  readonly key: KeyObject;
  /** Addresses of configured peers. */
  readonly peers: readonly string[];
}

/** Starts a registry on simulated ports: the real node, or a stand-in where the simulator itself is under test. */
export type StartNode = (ports: NodePorts, settings: NodeSettings) => Promise<RegistryNode>;
