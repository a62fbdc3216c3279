import { randomBytes } from "node:crypto";
import { MemoryHub } from "../../src/adapters/memory/hub.ts";
import { createMemoryNetwork } from "../../src/adapters/memory/network.ts";
import { MemoryStore } from "../../src/adapters/memory/store.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { systemScheduler } from "../../src/adapters/system/scheduler.ts";
import { CONFIG_DEFAULTS } from "../../src/config.ts";
import { adminRoutes } from "../../src/facade/admin/routes.ts";
import { agentRoutes } from "../../src/facade/agents/routes.ts";
import type { FacadeContext } from "../../src/facade/context.ts";
import { openFacade, type Facade } from "../../src/facade/server.ts";
import type { RunningNode } from "../../src/federation-api.ts";
import { createRegistryIdentity } from "../../src/identity/registry-identity.ts";
import { createNode } from "../../src/node.ts";
import { silentLog } from "../admin/map-node.ts";
import { clock, OPERATOR_TOKEN, TestCredentials } from "./harness.ts";

/** A whole node behind a real server, in real time. */
export interface ServedNode {
  readonly node: RunningNode;
  readonly credentials: TestCredentials;
  readonly facade: Facade;
  readonly store: MemoryStore;
  readonly url: string;
  readonly stop: () => Promise<void>;
}

export async function serveNode(requestStop?: () => void): Promise<ServedNode> {
  const identity = createRegistryIdentity(randomBytes(32), "server");
  const credentials = await TestCredentials.create(identity);
  const random = systemRandom();
  const network = createMemoryNetwork(new MemoryHub({ clock, random }), { peerId: identity.peerId, listen: ["/memory/server"] });
  const store = new MemoryStore();
  const ports = { clock, random, network, store, log: silentLog, scheduler: systemScheduler() };
  const node = await createNode(ports, {
    ...{ identity, domain: null, peers: [], follow: "all", unsure: false },
    agentsPerReplicaMax: CONFIG_DEFAULTS.agentsPerReplicaMax,
    replicasMax: CONFIG_DEFAULTS.replicasMax,
    registriesMax: CONFIG_DEFAULTS.registriesMax,
    connectionsMax: CONFIG_DEFAULTS.connectionsMax,
    requestsPerPeerPerMinuteMax: CONFIG_DEFAULTS.requestsPerPeerPerMinuteMax,
  });
  const facade = await openFacade({ listen: { host: "127.0.0.1", port: 0 }, credentials, clock, log: silentLog });
  const url = `https://127.0.0.1:${facade.port}`;
  const context: FacadeContext = {
    ...{ node, identity, credentials, clock, random, log: silentLog, store, domain: null },
    ...{ pressure: { current: () => 0, eventLoop: () => 0 }, urls: () => [url], operatorToken: OPERATOR_TOKEN },
    requestsPerAddressPerMinuteMax: CONFIG_DEFAULTS.requestsPerAddressPerMinuteMax,
  };
  await facade.serve(context, [...agentRoutes(context, CONFIG_DEFAULTS), ...adminRoutes(context, requestStop)]);
  const stop = async (): Promise<void> => {
    await facade.close();
    await node.stop();
  };
  return { node, credentials, facade, store, url, stop };
}
