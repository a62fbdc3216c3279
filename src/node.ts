import { ANNOUNCE_TOPIC } from "../protocols/announce/announcement.ts";
import { exchangeHello, HELLO_PROTOCOL, type Hello } from "../protocols/announce/hello.ts";
import { CATALOG_SYNC_PROTOCOL } from "../protocols/catalog-sync/messages.ts";
import type { ActorRef } from "./actors/actor.ts";
import { ActorSystem } from "./actors/system.ts";
import { Generation } from "./agent-cache.ts";
import { CatalogActor } from "./catalog/actor.ts";
import type { CatalogOptions } from "./catalog/options.ts";
import { OWN_CATALOGUE } from "./catalog/rows.ts";
import { startScrub } from "./catalog/scrub.ts";
import type { CatalogMessage, CatalogueQuery, Published } from "./catalog/messages.ts";
import type { FollowPolicy } from "./config.ts";
import { federationOf } from "./federation.ts";
import type { OwnVersion, RunningNode } from "./federation-api.ts";
import type { RegistryIdentity } from "./identity/registry-identity.ts";
import { AbortAfter } from "./ports/abort-after.ts";
import { MembershipActor } from "./membership/actor.ts";
import { announcementValidator } from "./membership/gossip.ts";
import { HELLO_STREAMS_MAX, HELLO_TIMEOUT_MS, HELLOS_PER_PEER_PER_MINUTE_MAX } from "./membership/greeter.ts";
import type { MembershipEvent, MembershipMessage } from "./membership/messages.ts";
import type { MembershipOptions } from "./membership/options.ts";
import { Operations } from "./operations.ts";
import type { Clock } from "./ports/clock.ts";
import type { Log } from "./ports/log.ts";
import type { Network } from "./ports/network.ts";
import { pause } from "./ports/pause.ts";
import type { Pressure } from "./ports/pressure.ts";
import type { Random } from "./ports/random.ts";
import type { Scheduler } from "./ports/scheduler.ts";
import type { Store } from "./ports/store.ts";
import type { Web } from "./ports/web.ts";
import { RequestLimiter } from "./replication/limiter.ts";
import { refetch } from "./replication/refetch.ts";
import { loadReplicaNumbers, Replicas } from "./replication/replicas.ts";
import { serveFollower, SYNC_STREAMS_PER_PEER_MAX } from "./replication/serve.ts";

export interface NodePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly store: Store;
  readonly log: Log;
  readonly scheduler: Scheduler;
  /** Absent where registries are reached over the network port alone. */
  readonly web?: Web;
  /** Absent where nothing presses. */
  readonly pressure?: Pressure;
}

export interface NodeOptions {
  readonly identity: RegistryIdentity;
  /** Claimed alias; `null` for none. */
  readonly domain: string | null;
  /** Registries to meet first: addresses that end in `/p2p/<peer id>`, and URLs of web faces. */
  readonly peers: readonly string[];
  readonly follow: FollowPolicy;
  readonly agentsPerReplicaMax: number;
  readonly replicasMax: number;
  readonly registriesMax: number;
  readonly connectionsMax: number;
  readonly requestsPerPeerPerMinuteMax: number;
  /** Our own web face, and how the domains that others claim are looked up. */
  readonly facade?: MembershipOptions["facade"];
  readonly fetchDidDocument?: MembershipOptions["fetchDidDocument"];
  /** The store may be older than what this registry signed last: it was copied or restored. */
  readonly unsure: boolean;
  /** Called once it is settled that signing may go on. */
  readonly settled?: () => void;
}

/** A restored registry waits this long for a peer that knows its newest version, then raises its epoch. */
export const SETTLE_MS = 10_000;

/** How often the rate of requests follows the pressure. */
const ADAPT_MS = 1_000;

/**
 * Starts the actors of one registry over its ports, and its network. It knows no adapter: the same node runs over libp2p and
 * LevelDB, and in the simulator. The ports belong to the caller, who closes the store after `stop`.
 * @throws NetworkError, StoreError when the ports cannot be used
 */
export async function createNode(ports: NodePorts, options: NodeOptions): Promise<RunningNode> {
  const { clock, random, network, store, log, web } = ports;
  const { identity } = options;
  const sign = (bytes: Uint8Array): Uint8Array => identity.sign(bytes);
  const system = new ActorSystem(ports);
  const startedAtMs = clock.monotonic();
  const generation = new Generation();
  let version: Published | undefined;
  const versionListeners = new Set<(version: OwnVersion) => void>();
  let isListening = false;
  let unsure = options.unsure;
  const numbers = await loadReplicaNumbers(store);

  const replicas: Replicas = new Replicas({
    ...{ system, store, network, clock, random, log, numbers, ...(web && { web }) },
    ...{ follow: options.follow, replicasMax: options.replicasMax, agentsMax: options.agentsPerReplicaMax },
    evidence: (evidence, did) => membership.tell({ type: "evidence", did, evidence }),
    changed: ({ did, head }, shown) => {
      if (shown) generation.move();
      if (head !== undefined) membership.tell({ type: "replicated", did, head });
    },
  });

  const onEvent = (event: MembershipEvent): void => {
    switch (event.type) {
      case "member":
        return replicas.member(event.descriptor);
      case "head":
        return replicas.head(event.did, event.head);
      case "connected":
        return replicas.connected(event.dids);
      case "web":
        return replicas.reachable(event.peers);
      case "own_head":
        catalog.tell({ type: "own_head", head: event.head });
        return;
      case "forgotten":
        replicas
          .forget(event.did)
          .catch((error: unknown) => log.warn("a replica could not be forgotten", { did: event.did, error }));
        // It is no longer asked from here on, although its rows take a while to go.
        generation.move();
    }
  };
  const membership: ActorRef<MembershipMessage> = system.spawn<MembershipMessage>({
    name: "membership",
    create: (context) =>
      new MembershipActor(
        {
          ...{ identity, sign, store, network, clock, random, log, event: onEvent, peers: options.peers },
          ...(web && { web }),
          ...(options.facade && { facade: options.facade }),
          ...(options.fetchDidDocument && { fetchDidDocument: options.fetchDidDocument }),
          ...{
            domain: options.domain ?? undefined,
            registriesMax: options.registriesMax,
            connectionsMax: options.connectionsMax,
          },
          // Before the network listens we could not say where we are.
          isListening: () => isListening,
          published: () => (isListening ? version : undefined),
          isFollowed: (did) => replicas.get(did) !== undefined,
        },
        context,
      ),
  });
  const catalog: ActorRef<CatalogMessage> = system.spawn<CatalogMessage>({
    name: "catalog",
    create: (context) => {
      if (unsure) {
        const settle = async (signal: AbortSignal): Promise<boolean> => {
          await pause(clock, SETTLE_MS, signal);
          return membership.ask((reply) => ({ type: "all_heard", reply }), SETTLE_MS);
        };
        context.task(settle, (heard) => ({ type: "head_settled", allHeard: heard.ok && heard.value }));
      }
      const settled = (): void => {
        unsure = false;
        options.settled?.();
      };
      const publish = (newest: Published): void => {
        version = newest;
        generation.move();
        if (isListening) membership.tell({ type: "published", version });
        for (const listener of versionListeners) listener(newest);
      };
      const { did } = identity;
      const lookElsewhere: CatalogOptions["refetch"] = (lost, signal) =>
        refetch({ network, clock, random, log }, { ...lost, registry: did }, signal);
      return new CatalogActor(
        { did, sign, store, clock, random, log, unsure, settled, publish, refetch: lookElsewhere },
        context,
      );
    },
  });

  const find = (did: string): ActorRef<CatalogueQuery> | undefined =>
    (did === identity.did ? catalog : replicas.get(did)) as ActorRef<CatalogueQuery> | undefined;
  const limiter = new RequestLimiter(options.requestsPerPeerPerMinuteMax);
  const stopAdapting = ports.pressure === undefined ? (): void => undefined : adapt(limiter, clock, ports.pressure);
  network.handle(CATALOG_SYNC_PROTOCOL, (frames, peerId) => serveFollower({ clock, limiter, find }, frames, peerId), {
    streamsPerPeerMax: SYNC_STREAMS_PER_PEER_MAX,
  });
  const scrubbing = startScrub({
    ...{ store, clock, log },
    damaged: (number, key) => {
      if (number === OWN_CATALOGUE) catalog.tell({ type: "damaged", key });
      else replicas.byNumber(number)?.tell({ type: "damaged", key });
    },
  });
  const stopping = new AbortController();
  const hellos = new RequestLimiter(HELLOS_PER_PEER_PER_MINUTE_MAX);
  network.handle(
    HELLO_PROTOCOL,
    async (frames, peerId) => {
      if (hellos.retryAfterMs(peerId, clock.monotonic()) > 0) throw new Error("too many hellos in a minute");
      const mine = await membership.ask<Hello>((reply) => ({ type: "hello", peerId, reply }), HELLO_TIMEOUT_MS);
      using deadline = new AbortAfter(clock, HELLO_TIMEOUT_MS, stopping.signal);
      membership.tell({ type: "hello_received", peerId, hello: await exchangeHello(frames, mine, deadline.signal) });
    },
    { streamsPerPeerMax: HELLO_STREAMS_MAX },
  );
  network.subscribe(ANNOUNCE_TOPIC, announcementValidator(membership, clock));
  network.onPeer((event) => membership.tell({ type: "peer", event }));

  try {
    await network.start();
    isListening = true;
    membership.tell({ type: "listening" });
    if (version !== undefined) membership.tell({ type: "published", version });
    const followed = new Set(typeof options.follow === "string" ? [] : options.follow);
    const federation = federationOf({
      ...{ clock, sign, catalog, membership, limiter, followed },
      ...{ version: () => version, versionListeners },
    });
    const operations = new Operations({
      identity,
      network,
      store,
      clock,
      startedAtMs,
      catalog,
      membership,
      replicas,
      find,
      face: () => {
        const facts = options.facade?.();
        return facts === undefined ? null : { url: facts.localUrl, urls: facts.urls };
      },
      epoch: () => version?.epoch ?? 0,
      generation,
    });
    await operations.ready();
    const node = operations.node(async () => {
      await operations.drain();
      stopping.abort();
      scrubbing.stop();
      stopAdapting();
      await network.stop();
      system.stopAll();
    });
    return { ...node, ...federation };
  } catch (error) {
    stopping.abort();
    scrubbing.stop();
    stopAdapting();
    await network.stop();
    system.stopAll();
    throw error;
  }
}

/** Lets the rate of requests follow the pressure, each second, until the returned function is called. */
function adapt(limiter: RequestLimiter, clock: Clock, pressure: Pressure): () => void {
  let cancel: () => void = () => undefined;
  const next = (): void => {
    cancel = clock.after(ADAPT_MS, () => {
      limiter.adapt(pressure.current());
      next();
    });
  };
  next();
  return () => cancel();
}
