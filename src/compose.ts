import { dirname, join } from "node:path";
import { ANNOUNCE_TOPIC } from "../protocols/announce/announcement.ts";
import { checksummed } from "./adapters/checksum/store.ts";
import { openDataDirectory } from "./adapters/level/data-directory.ts";
import { openLevelStore } from "./adapters/level/level-store.ts";
import { createLibp2pNetwork } from "./adapters/libp2p/network.ts";
import { systemClock } from "./adapters/system/clock.ts";
import { makeDirectory } from "./adapters/system/directory.ts";
import { hostFacts } from "./adapters/system/host.ts";
import { loadOrCreateKeyFile } from "./adapters/system/key-file.ts";
import { pinoLog } from "./adapters/system/log.ts";
import { systemRandom } from "./adapters/system/random.ts";
import { systemScheduler } from "./adapters/system/scheduler.ts";
import type { RegistryNode } from "./api.ts";
import { KEY_FILE_NAME, type RegistryConfig } from "./config.ts";
import { createRegistryIdentity } from "./identity/registry-identity.ts";
import { createNode } from "./node.ts";

/**
 * Starts a registry on this machine: LevelDB in the data directory, libp2p on the configured addresses. `stop` closes all of it.
 * @throws DataDirectoryError, KeyFileError, StoreError (`in_use`, `damaged`, …), NetworkError (`address_in_use`, …)
 */
export async function startRegistry(config: RegistryConfig): Promise<RegistryNode> {
  const log = pinoLog({ level: config.logLevel });
  const clock = systemClock();
  // Only its parents; what keeps the directory itself from being made is said by `openDataDirectory`.
  await makeDirectory(dirname(config.dataDir)).catch(() => undefined);
  const directory = await openDataDirectory(config.dataDir, hostFacts(), KEY_FILE_NAME);
  const { seed } = await loadOrCreateKeyFile(join(directory.path, KEY_FILE_NAME));
  const identity = createRegistryIdentity(seed, config.name);
  const level = await openLevelStore({ directory: directory.storeDirectory });
  try {
    const { listen, announce } = config;
    const network = createLibp2pNetwork({
      key: seed,
      listen,
      announce,
      datastore: level.datastore,
      log,
      clock,
      topics: [ANNOUNCE_TOPIC],
    });
    const accept = (): void => {
      directory
        .acceptIdentity()
        .catch((error: unknown) => log.error("the identity of the data directory could not be recorded", { error }));
    };
    const node = await createNode(
      { clock, random: systemRandom(), network, store: checksummed(level.store), log, scheduler: systemScheduler() },
      {
        ...{ identity, domain: config.domain, peers: config.peers, follow: config.follow },
        ...{ agentsPerReplicaMax: config.agentsPerReplicaMax, replicasMax: config.replicasMax },
        ...{ registriesMax: config.registriesMax, connectionsMax: config.connectionsMax },
        requestsPerPeerPerMinuteMax: config.requestsPerPeerPerMinuteMax,
        unsure: directory.copied,
        settled: accept,
      },
    );
    let stopped: Promise<void> | undefined;
    const stop = (): Promise<void> => (stopped ??= node.stop().finally(() => level.store.close()));
    return { ...node, stop };
  } catch (error) {
    await level.store.close();
    throw error;
  }
}
