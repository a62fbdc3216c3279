import { buildProofDocument } from "../protocols/checkpoint/proof-document.ts";
import { keyOf } from "../protocols/lib/hash.ts";
import type { ActorRef, Reply } from "./actors/actor.ts";
import { answered } from "./answered.ts";
import { AgentCache, type Generation } from "./agent-cache.ts";
import { AgentReading } from "./agent-reading.ts";
import {
  MUTATIONS_MAX,
  NodeError,
  type AgentReader,
  type AgentView,
  type CatalogStatus,
  type PeerStatus,
  type RegistryNode,
  type Status,
  type SyncStatus,
} from "./api.ts";
import type { CatalogMessage, CatalogueQuery, RecordProof } from "./catalog/messages.ts";
import { diagnose } from "./diagnosis.ts";
import type { RegistryIdentity } from "./identity/registry-identity.ts";
import type { MembershipMessage, MembershipStatus } from "./membership/messages.ts";
import type { Clock } from "./ports/clock.ts";
import type { Network } from "./ports/network.ts";
import type { Store } from "./ports/store.ts";
import type { ReplicaStatus } from "./replication/messages.ts";
import type { Replicas } from "./replication/replicas.ts";
import { decodeCommit } from "../protocols/checkpoint/commit.ts";

/** What operators wait for an actor's answer at the most. */
const ANSWER_MS = 30_000;
/** A first start reads the whole catalogue; a sync or an import may be long. */
const LOAD_MS = 300_000;
const MUTATE_MS = 120_000;
const SYNC_NOW_MS = 600_000;

export interface OperationsParts {
  readonly identity: RegistryIdentity;
  readonly network: Network;
  readonly store: Store;
  readonly clock: Clock;
  readonly startedAtMs: number;
  readonly catalog: ActorRef<CatalogMessage>;
  readonly membership: ActorRef<MembershipMessage>;
  readonly replicas: Replicas;
  readonly find: (did: string) => ActorRef<CatalogueQuery> | undefined;
  /** Our web face; `null` where there is none. */
  readonly face: () => { readonly url: string; readonly urls: readonly string[] } | null;
  /** The epoch in which we sign. */
  readonly epoch: () => number;
  /** Moved by whoever changes what we hold. */
  readonly generation: Generation;
}

/** The questions and orders of `RegistryNode`, put to the actors. */
export class Operations {
  readonly #parts: OperationsParts;
  readonly #reading: AgentReading;
  readonly #cache: AgentCache;
  #stopped: Promise<void> | undefined;

  constructor(parts: OperationsParts) {
    this.#parts = parts;
    const { identity, store, replicas, generation, clock } = parts;
    this.#reading = new AgentReading({
      ...{ identity, store },
      followed: () => replicas.all().map(([did]) => did),
      ask: (home, make) => this.#query(home, make),
    });
    this.#cache = new AgentCache(generation, clock, (didOrName) => this.#reading.find(didOrName));
  }

  /** Resolves once our own catalogue is loaded. */
  async ready(): Promise<void> {
    await this.#catalog<CatalogStatus>((reply) => ({ type: "status", reply }), LOAD_MS);
  }

  async drain(): Promise<void> {
    await this.#catalog((reply) => ({ type: "drain", reply })).catch(() => undefined);
  }

  node(stop: () => Promise<void>): RegistryNode & AgentReader {
    const { identity } = this.#parts;
    return {
      identity: () => ({ ...this.#names(), trustDomain: identity.trustDomain, epoch: this.#parts.epoch() }),
      status: () => this.#status(),
      mutate: async (mutations) => {
        if (mutations.length > MUTATIONS_MAX)
          throw new NodeError("invalid", `${mutations.length} changes, at most ${MUTATIONS_MAX} in one call`);
        return this.#catalog((reply) => ({ type: "mutate", mutations, reply }), MUTATE_MS);
      },
      getAgent: (didOrName) => this.#getAgent(didOrName),
      readAgent: (didOrName) => this.#cache.get(didOrName),
      readOwnAgent: (did) => this.#reading.own(did),
      publishes: (did) => this.#reading.publishes(did),
      proveAgent: (didOrName) => this.#prove(didOrName),
      listAgents: (query) => this.#reading.list(query),
      addPeer: (address) => this.#membership((reply) => ({ type: "add_peer", address, reply })),
      removePeer: async (which) => {
        const did = await this.#membership<string | undefined>((reply) => ({ type: "remove_peer", which, reply }));
        if (did === undefined) throw new NodeError("not_found", `no peer is known by "${which}": see \`registry peer list\``);
      },
      listPeers: async () => [...(await this.#status()).peers],
      syncNow: (did) => this.#sync(did),
      syncStatus: () => this.#syncStatus(),
      diagnose: () =>
        diagnose({
          ...{ clock: this.#parts.clock, store: this.#parts.store },
          status: () => this.#status(),
          syncStatus: () => this.#syncStatus(),
          members: async () => (await this.#membership<MembershipStatus>((reply) => ({ type: "status", reply }))).members,
        }),
      stop: () => (this.#stopped ??= stop()),
    };
  }

  #names(): { name: string; did: string; peerId: string; spiffeId: string } {
    const { name, did, peerId, spiffeId } = this.#parts.identity;
    return { name, did, peerId, spiffeId };
  }

  async #status(): Promise<Status> {
    const { network, clock, startedAtMs } = this.#parts;
    const [catalog, membership, replicas] = await Promise.all([
      this.#catalog<CatalogStatus>((reply) => ({ type: "status", reply })),
      this.#membership<MembershipStatus>((reply) => ({ type: "status", reply })),
      this.#replicaStatus(),
    ]);
    const peers = membership.members.map((member): PeerStatus => {
      const replica = replicas.get(member.did);
      const { did, name, state, rttMs, connected, configured } = member;
      return {
        ...{ did, name, state, connected, configured, rttMs: rttMs === null ? null : Math.round(rttMs * 1_000) / 1_000 },
        agents: replica?.agents ?? 0,
        mapRoot: member.head === undefined ? (replica?.targetRoot ?? null) : decodeCommit(member.head.commit).roots.map,
        syncedRoot: replica?.syncedRoot ?? null,
        lastSync: replica?.lastSync ?? null,
        followed: replica !== undefined,
        refusedRecords: replica?.refusedRecords ?? 0,
        ...{ domain: member.domain?.name ?? null, domainVerified: member.domain?.verified ?? false, transport: member.transport },
      };
    });
    const uptimeSeconds = Math.floor((clock.monotonic() - startedAtMs) / 1_000);
    const addresses = { multiaddrs: network.addresses(), listening: network.listening() };
    const http = this.#parts.face();
    const { contacts, evidence } = membership;
    return { ...this.#names(), ...addresses, catalog, peers, contacts, uptimeSeconds, evidence, http };
  }

  async #replicaStatus(): Promise<Map<string, ReplicaStatus>> {
    const entries = await Promise.all(
      this.#parts.replicas.all().map(async ([did, actor]) => {
        const status = await actor.ask<ReplicaStatus>((reply) => ({ type: "status", reply }), ANSWER_MS).catch(() => undefined);
        return status === undefined ? [] : [[did, status] as const];
      }),
    );
    return new Map(entries.flat());
  }

  async #syncStatus(): Promise<SyncStatus[]> {
    return [...(await this.#replicaStatus()).values()].map(plain);
  }

  async #sync(did: string | undefined): Promise<SyncStatus[]> {
    const all = this.#parts.replicas.all();
    const chosen = did === undefined ? all : all.filter(([home]) => home === did);
    if (did !== undefined && chosen.length === 0)
      throw new NodeError("not_found", `${did} is not followed: see \`registry peer list\``);
    const results = chosen.map(([, actor]) => answered(actor.ask<SyncStatus>((reply) => ({ type: "sync", reply }), SYNC_NOW_MS)));
    return (await Promise.all(results)).map(plain);
  }

  async #getAgent(didOrName: string): Promise<AgentView | undefined> {
    const found = await this.#reading.resolve(didOrName);
    if (found === undefined) return undefined;
    const { winner, others } = found;
    const members = await this.#membership<MembershipStatus>((reply) => ({ type: "status", reply }));
    const own = winner.home === this.#parts.identity.did;
    const name = own ? this.#parts.identity.name : (members.members.find(({ did }) => did === winner.home)?.name ?? "");
    const claims = others.map(({ home, record }) => ({ home, agent: record }));
    return { agent: winner.record, home: { did: winner.home, name, own }, claims };
  }

  async #prove(didOrName: string): Promise<Record<string, unknown>> {
    const found = await this.#reading.resolve(didOrName);
    if (found === undefined) throw new NodeError("not_found", `no agent "${didOrName}" is known here`);
    const { home } = found.winner;
    const key = keyOf(found.winner.record.did);
    const proof = await this.#query<RecordProof | "absent" | "not_provable">(home, (reply) => ({ type: "prove", key, reply }));
    if (proof === "absent") throw new NodeError("not_found", `no agent "${didOrName}" is known here`);
    if (proof === "not_provable") {
      throw new NodeError("not_provable", `the replica of ${home} is being synced: try again in a moment`);
    }
    const { record, siblings, head } = proof;
    const document = buildProofDocument({
      record,
      mapProof: { siblings },
      commit: head.commit,
      logProof: head.logProof,
      note: head.note,
    });
    return document as unknown as Record<string, unknown>;
  }

  #query<R>(home: string, make: (reply: Reply<R>) => CatalogueQuery): Promise<R> {
    const actor = this.#parts.find(home);
    if (actor === undefined) throw new NodeError("not_found", `we hold no catalogue of ${home}`);
    return answered(actor.ask(make, ANSWER_MS));
  }

  #catalog<R>(make: (reply: Reply<R>) => CatalogMessage, timeoutMs: number = ANSWER_MS): Promise<R> {
    return answered(this.#parts.catalog.ask(make, timeoutMs));
  }

  #membership<R>(make: (reply: Reply<R>) => MembershipMessage): Promise<R> {
    return answered(this.#parts.membership.ask(make, ANSWER_MS));
  }
}

function plain({
  did,
  name,
  state,
  agents,
  received,
  total,
  syncedRoot,
  targetRoot,
  lastSync,
  lastError,
}: SyncStatus): SyncStatus {
  return { did, name, state, agents, received, total, syncedRoot, targetRoot, lastSync, lastError };
}
