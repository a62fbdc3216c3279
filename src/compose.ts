import { dirname, join } from "node:path";
import { ANNOUNCE_TOPIC } from "../protocols/announce/announcement.ts";
import { checksummed } from "./adapters/checksum/store.ts";
import { openDataDirectory } from "./adapters/level/data-directory.ts";
import { openLevelStore } from "./adapters/level/level-store.ts";
import { createLibp2pNetwork } from "./adapters/libp2p/network.ts";
import { createNames } from "./adapters/names/names.ts";
import { systemClock } from "./adapters/system/clock.ts";
import { makeDirectory } from "./adapters/system/directory.ts";
import { hostFacts } from "./adapters/system/host.ts";
import { loadOrCreateKeyFile } from "./adapters/system/key-file.ts";
import { pinoLog } from "./adapters/system/log.ts";
import { systemPressure } from "./adapters/system/pressure.ts";
import { systemRandom } from "./adapters/system/random.ts";
import { systemScheduler } from "./adapters/system/scheduler.ts";
import type { RegistryNode } from "./api.ts";
import { KEY_FILE_NAME, type RegistryConfig } from "./config.ts";
import { adminRoutes } from "./facade/admin/routes.ts";
import { agentRoutes } from "./facade/agents/routes.ts";
import { createRegistryIdentity } from "./identity/registry-identity.ts";
import { createNode } from "./node.ts";
import type { Credentials } from "./ports/credentials.ts";
import { openWebFace } from "./web-face.ts";

export interface StartedRegistry extends RegistryNode {
  /** Our certificates; absent without a web face. */
  readonly credentials?: Credentials;
}

/**
 * Starts a registry on this machine: LevelDB in the data directory, libp2p and HTTPS on the configured addresses. `stop` closes all of it.
 * @param requestStop ends the process that this registry is; without it operators cannot stop it over HTTPS
 * @throws DataDirectoryError, KeyFileError, TokenFileError, CredentialsError, WebCertificateError, StoreError (`in_use`, `damaged`, …), NetworkError (`address_in_use`, …)
 */
export async function startRegistry(config: RegistryConfig, requestStop?: () => void): Promise<StartedRegistry> {
  const log = pinoLog({ level: config.logLevel });
  const system = { clock: systemClock(), random: systemRandom(), log };
  // Only its parents; what keeps the directory itself from being made is said by `openDataDirectory`.
  await makeDirectory(dirname(config.dataDir)).catch(() => undefined);
  const directory = await openDataDirectory(config.dataDir, hostFacts(), KEY_FILE_NAME);
  const { seed } = await loadOrCreateKeyFile(join(directory.path, KEY_FILE_NAME));
  const identity = createRegistryIdentity(seed, config.name);
  const opened = new Opened();
  try {
    const level = await openLevelStore({ directory: directory.storeDirectory });
    opened.add(() => level.store.close());
    const store = checksummed(level.store);
    const pressure = systemPressure();
    opened.add(async () => pressure.close());
    const names = createNames(system);
    const face =
      config.http === null
        ? undefined
        : await openWebFace({ ...config, http: config.http }, directory.path, identity, { ...system, names });
    if (face !== undefined) opened.add(() => face.close());
    const network = createLibp2pNetwork({
      ...{ key: seed, listen: config.listen, announce: config.announce, datastore: level.datastore },
      ...{ log, clock: system.clock, topics: [ANNOUNCE_TOPIC], allowPrivateAddresses: config.allowPrivateAddresses, names },
    });
    const accept = (): void => {
      directory
        .acceptIdentity()
        .catch((error: unknown) => log.error("the identity of the data directory could not be recorded", { error }));
    };
    const node = await createNode(
      { ...system, network, store, pressure, scheduler: systemScheduler(), ...(face && { web: face.web }) },
      {
        ...{ identity, domain: config.domain, peers: config.peers, follow: config.follow },
        ...{ agentsPerReplicaMax: config.agentsPerReplicaMax, replicasMax: config.replicasMax },
        ...{ registriesMax: config.registriesMax, connectionsMax: config.connectionsMax },
        requestsPerPeerPerMinuteMax: config.requestsPerPeerPerMinuteMax,
        ...{ unsure: directory.copied, settled: accept },
        ...(face && { facade: face.facts, fetchDidDocument: face.fetchDidDocument }),
      },
    );
    opened.add(() => node.stop());
    if (face !== undefined) {
      // What is in flight ends against a node that lives.
      opened.add(() => face.facade.close());
      const { credentials, served: urls, operatorToken } = face;
      const { domain, requestsPerAddressPerMinuteMax } = config;
      const context = {
        ...{ node, identity, credentials, ...system, pressure, store, domain, urls, operatorToken },
        requestsPerAddressPerMinuteMax,
      };
      credentials.onChange((what) => (what === "bundle" ? node.facadeChanged() : undefined));
      await face.facade.serve(context, [...agentRoutes(context, config), ...adminRoutes(context, requestStop)]);
    }
    return { ...node, ...(face && { credentials: face.credentials }), stop: () => opened.close() };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** What was opened, closed in the opposite order, once. */
class Opened {
  readonly #closers: (() => Promise<void>)[] = [];
  #closed: Promise<void> | undefined;

  add(close: () => Promise<void>): void {
    this.#closers.push(close);
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#closeAll());
  }

  async #closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (const close of this.#closers.reverse()) await close().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw new AggregateError(failures, "not everything of the registry could be closed");
  }
}
