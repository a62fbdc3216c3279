import { buildProofDocument } from "../protocols/checkpoint/proof-document.ts";
import { fromHex, fromUtf8, hex, utf8 } from "../protocols/lib/bytes.ts";
import { isDid, isSelfCertified, mintDid, ownerOfMinted, publicKeyOfDid } from "../protocols/lib/did.ts";
import { keyOf } from "../protocols/lib/hash.ts";
import { AskError, type ActorRef, type Reply } from "./actors/actor.ts";
import {
  LIST_LIMIT_MAX,
  MUTATIONS_MAX,
  NodeError,
  type AgentPage,
  type AgentView,
  type CatalogStatus,
  type ListQuery,
  type PeerStatus,
  type RegistryNode,
  type Status,
  type SyncStatus,
} from "./api.ts";
import { resolveClaims, type Claim } from "./catalog/conflict.ts";
import type { CatalogMessage, CatalogueQuery, RecordProof, StoredRecord } from "./catalog/messages.ts";
import { diagnose } from "./diagnosis.ts";
import { nameKey } from "./catalog/mutations.ts";
import { OWN_CATALOGUE, rowKey } from "./catalog/rows.ts";
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
  /** The epoch in which we sign. */
  readonly epoch: () => number;
}

/** The questions and orders of `RegistryNode`, put to the actors. */
export class Operations {
  readonly #parts: OperationsParts;
  #stopped: Promise<void> | undefined;

  constructor(parts: OperationsParts) {
    this.#parts = parts;
  }

  /** Resolves once our own catalogue is loaded. */
  async ready(): Promise<void> {
    await this.#catalog<CatalogStatus>((reply) => ({ type: "status", reply }), LOAD_MS);
  }

  async drain(): Promise<void> {
    await this.#catalog((reply) => ({ type: "drain", reply })).catch(() => undefined);
  }

  node(stop: () => Promise<void>): RegistryNode {
    const { identity } = this.#parts;
    return {
      identity: () => ({ ...this.#names(), trustDomain: identity.trustDomain, epoch: this.#parts.epoch() }),
      status: () => this.#status(),
      mutate: async (mutations) => {
        if (mutations.length > MUTATIONS_MAX)
          throw new NodeError("invalid", `${mutations.length} changes, at most ${MUTATIONS_MAX} in one call`);
        return this.#catalog((reply) => ({ type: "mutate", mutations, reply }), MUTATE_MS);
      },
      getAgent: async (didOrName) => (await this.#resolve(didOrName))?.view,
      proveAgent: (didOrName) => this.#prove(didOrName),
      listAgents: (query) => this.#list(query),
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
        ...{ did, name, state, rttMs, connected, configured },
        agents: replica?.agents ?? 0,
        mapRoot: member.head === undefined ? (replica?.targetRoot ?? null) : decodeCommit(member.head.commit).roots.map,
        syncedRoot: replica?.syncedRoot ?? null,
        lastSync: replica?.lastSync ?? null,
        followed: replica !== undefined,
        refusedRecords: replica?.refusedRecords ?? 0,
        ...{ domain: null, domainVerified: false, transport: connected && replica !== undefined ? "libp2p" : null },
      };
    });
    const uptimeSeconds = Math.floor((clock.monotonic() - startedAtMs) / 1_000);
    const addresses = { multiaddrs: network.addresses(), listening: network.listening() };
    return { ...this.#names(), ...addresses, catalog, peers, uptimeSeconds, evidence: membership.evidence, http: null };
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

  /** Every home's claim to the agent; the winner is shown. */
  async #resolve(didOrName: string): Promise<{ view: AgentView; key: Uint8Array } | undefined> {
    const found = isDid(didOrName) ? await this.#claims(() => keyOf(didOrName)) : await this.#byName(didOrName);
    const { winner, claims } = resolveClaims(found.map(({ claim }) => claim));
    if (winner === undefined) return undefined;
    const members = await this.#membership<MembershipStatus>((reply) => ({ type: "status", reply }));
    const own = winner.home === this.#parts.identity.did;
    const name = own ? this.#parts.identity.name : (members.members.find(({ did }) => did === winner.home)?.name ?? "");
    const others = claims.filter((claim) => claim !== winner).map(({ home, record }) => ({ home, agent: record }));
    const view = { agent: winner.record, home: { did: winner.home, name, own }, claims: others };
    return { view, key: keyOf(winner.record.did) };
  }

  async #byName(name: string): Promise<{ claim: Claim }[]> {
    const { identity, store } = this.#parts;
    const held = await store.get(rowKey(OWN_CATALOGUE, "name", nameKey(name)));
    const found = await this.#claims((home) =>
      home === identity.did && held !== undefined ? held : keyOf(mintDid(publicKeyOfDid(home), name)),
    );
    const dids = new Set(found.map(({ claim }) => claim.record.did));
    if (dids.size > 1) {
      const list = found.map(({ claim }) => claim.record.did).join(", ");
      throw new NodeError("invalid", `several registries have an agent called "${name}": name one by its DID (${list})`);
    }
    return found;
  }

  async #claims(keyAt: (home: string) => Uint8Array): Promise<{ claim: Claim }[]> {
    const { identity, replicas } = this.#parts;
    const homes = [identity.did, ...replicas.all().map(([did]) => did)];
    const claims = await Promise.all(
      homes.map(async (home) => {
        const key = keyAt(home);
        const stored = await this.#query<StoredRecord | undefined>(home, (reply) => ({ type: "get", key, reply }));
        if (stored === undefined) return [];
        const { record } = stored;
        const verified = isSelfCertified(record.did) || ownerOfMinted(record.did) !== undefined;
        // Our own word weighs as much as that of any registry in good standing: every reader sees the same winner (T33).
        return [{ claim: { home, record, verified, standing: "active" as const } }];
      }),
    );
    return claims.flat();
  }

  async #prove(didOrName: string): Promise<Record<string, unknown>> {
    const found = await this.#resolve(didOrName);
    if (found === undefined) throw new NodeError("not_found", `no agent "${didOrName}" is known here`);
    const proof = await this.#query<RecordProof | "absent" | "not_provable">(found.view.home.did, (reply) => ({
      type: "prove",
      key: found.key,
      reply,
    }));
    if (proof === "absent") throw new NodeError("not_found", `no agent "${didOrName}" is known here`);
    if (proof === "not_provable") {
      throw new NodeError("not_provable", `the replica of ${found.view.home.did} is being synced: try again in a moment`);
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

  async #list({ limit, cursor, registry }: ListQuery): Promise<AgentPage> {
    if (!Number.isInteger(limit) || limit < 1 || limit > LIST_LIMIT_MAX) {
      throw new NodeError("invalid", `limit must be a whole number from 1 to ${LIST_LIMIT_MAX}, got ${limit}`);
    }
    const { identity, replicas } = this.#parts;
    const homes = [identity.did, ...replicas.all().map(([did]) => did)].filter(
      (home) => registry === undefined || home === registry,
    );
    if (registry !== undefined && homes.length === 0) throw new NodeError("not_found", `we hold no catalogue of ${registry}`);
    const at = cursor === undefined ? undefined : readCursor(cursor);
    // A home that is no longer held: go on with the next one, so that a long listing ends whatever happens meanwhile.
    let index = at === undefined ? 0 : homes.findIndex((home) => home === at.home || (home !== identity.did && home > at.home));
    if (index < 0) return { agents: [], cursor: null };
    let after = at !== undefined && homes[index] === at.home ? at.key : undefined;
    const agents: AgentPage["agents"][number][] = [];
    for (; index < homes.length; index++, after = undefined) {
      const home = homes[index] as string;
      const from = after;
      const page = await this.#query<StoredRecord[]>(home, (reply) => ({
        type: "list",
        after: from,
        limit: limit - agents.length,
        reply,
      }));
      for (const { record } of page) agents.push(record);
      const last = page.at(-1);
      if (agents.length === limit && last !== undefined) return { agents, cursor: writeCursor(home, last.key) };
    }
    return { agents, cursor: null };
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

async function answered<R>(answer: Promise<R>): Promise<R> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof AskError)) throw error;
    throw new NodeError(error.code === "stopped" ? "stopped" : "overloaded", error.message, { cause: error });
  }
}

function writeCursor(home: string, key: Uint8Array): string {
  return Buffer.from(utf8(`${hex(key)} ${home}`)).toString("base64url");
}

function readCursor(cursor: string): { home: string; key: Uint8Array } {
  try {
    const [key, home] = fromUtf8(Buffer.from(cursor, "base64url")).split(" ");
    if (key === undefined || home === undefined || !isDid(home)) throw new Error("not of our making");
    return { home, key: fromHex(key, 32) };
  } catch (error) {
    throw new NodeError("invalid", "the cursor is not one that this registry gave: begin again without one", { cause: error });
  }
}
