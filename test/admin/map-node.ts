import type {
  AgentInput,
  AgentPage,
  AgentView,
  Diagnosis,
  Identity,
  ListQuery,
  Mutation,
  MutationResult,
  PeerAddition,
  PeerContact,
  PeerStatus,
  Status,
  SyncStatus,
  UnavailableAgent,
} from "../../src/api.ts";
import { NodeError } from "../../src/api.ts";
import type { StoppableNode } from "../../src/admin/routes.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Credentials } from "../../src/ports/credentials.ts";
import type { Log } from "../../src/ports/log.ts";
import { mintDid } from "../../protocols/lib/did.ts";
import { createKeyMaterial } from "../../src/identity/key-material.ts";
import { spiffeId } from "../../src/identity/name.ts";
import type { AgentRecord } from "../../protocols/record/record.ts";

export const OWN_SEED: Uint8Array = new Uint8Array(32).fill(1);
const OWN = createKeyMaterial(OWN_SEED);
export const OWN_DID: string = OWN.did;
const SPIFFE_ID = spiffeId(OWN.trustDomain, "alder");

/** The operators' interface over a Map, so that the admin API and the command line are tested apart from the node. */
export class MapNode implements StoppableNode {
  readonly agents: Map<string, AgentRecord> = new Map();
  readonly peers: string[] = [];
  /** Set it to watch what reaches the node, or to make it slow. */
  beforeMutate: (mutations: readonly Mutation[]) => Promise<void> = () => Promise.resolve();
  onStop: () => void = () => {};
  sync: SyncStatus[] = [];
  contacts: readonly PeerContact[] = [];
  addition: PeerAddition = { outcome: "met", did: "did:key:z6MkMet", name: "birch" };
  listed: ListQuery | undefined;
  unavailable: readonly UnavailableAgent[] = [];
  http: { url: string; urls: readonly string[] } | null = null;
  credentials?: Credentials;
  diagnosis: Diagnosis = { time: "2026-01-01T00:00:00.000Z", checks: [] };
  syncing: Promise<void> = Promise.resolve();

  identity(): Identity {
    return { name: "alder", did: OWN.did, peerId: OWN.peerId, spiffeId: SPIFFE_ID, trustDomain: OWN.trustDomain, epoch: 0 };
  }

  async status(): Promise<Status> {
    const { name, did, peerId, spiffeId } = this.identity();
    const catalog = {
      agents: this.agents.size,
      logSize: 1,
      mapRoot: "00".repeat(32),
      checkpointTime: null,
      epoch: 0,
      paused: null,
    };
    const peers = await this.listPeers();
    const multiaddrs = [`/ip4/127.0.0.1/tcp/9470/p2p/${peerId}`];
    const rest = { listening: [], contacts: this.contacts, uptimeSeconds: 61, evidence: 0, http: this.http };
    return { name, did, peerId, spiffeId, multiaddrs, catalog, peers, ...rest };
  }

  async mutate(mutations: readonly Mutation[]): Promise<MutationResult[]> {
    await this.beforeMutate(mutations);
    return mutations.map((mutation) =>
      mutation.op === "put" ? this.#put(mutation.agent, mutation.mode) : this.#delete(mutation.did),
    );
  }

  getAgent(id: string): Promise<AgentView | undefined> {
    const agent = [...this.agents.values()].find(({ did, humanReadableId }) => did === id || humanReadableId === id);
    const home = { did: this.identity().did, name: "alder", own: true };
    return Promise.resolve(agent && { agent, home, claims: [] });
  }

  async proveAgent(id: string): Promise<Record<string, unknown>> {
    const view = await this.getAgent(id);
    if (view === undefined) throw new NodeError("not_found", `no agent ${id}`);
    return { did: view.agent.did, record: view.agent };
  }

  listAgents(query: ListQuery): Promise<AgentPage> {
    this.listed = query;
    const { limit, cursor } = query;
    const from = Number(cursor ?? 0);
    const all = [...this.agents.values()];
    const next = from + limit;
    return Promise.resolve({
      agents: all.slice(from, next),
      unavailable: this.unavailable,
      cursor: next < all.length ? String(next) : null,
    });
  }

  addPeer(address: string): Promise<PeerAddition> {
    this.peers.push(address);
    return Promise.resolve(this.addition);
  }

  removePeer(address: string): Promise<void> {
    const index = this.peers.indexOf(address);
    if (index === -1) return Promise.reject(new NodeError("not_found", `${address} is not a configured peer`));
    this.peers.splice(index, 1);
    return Promise.resolve();
  }

  listPeers(): Promise<PeerStatus[]> {
    return Promise.resolve([]);
  }

  async syncNow(): Promise<SyncStatus[]> {
    await this.syncing;
    return this.sync;
  }

  syncStatus(): Promise<SyncStatus[]> {
    return Promise.resolve(this.sync);
  }

  diagnose(): Promise<Diagnosis> {
    return Promise.resolve(this.diagnosis);
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  requestStop(): void {
    this.onStop();
  }

  #put(agent: AgentInput, mode = "upsert"): MutationResult {
    const did = agent.did ?? mintDid(OWN.publicKey, agent.humanReadableId);
    const before = this.agents.get(did);
    if (agent.name === "refuse me") return { outcome: "refused", did, code: "schema", reason: "name: unwelcome" };
    if (mode === "create" && before !== undefined)
      return { outcome: "refused", did, code: "exists", reason: "already registered" };
    if (mode === "update" && before === undefined)
      return { outcome: "refused", did, code: "not_found", reason: "not registered" };
    if (before !== undefined && before.name === agent.name) return { outcome: "unchanged", did, revision: before.revision };
    const revision = (before?.revision ?? 0) + 1;
    this.agents.set(did, { ...agent, did, registry: this.identity().did, epoch: 0, revision, hlc: "0".repeat(16) });
    return { outcome: before === undefined ? "created" : "updated", did, revision };
  }

  #delete(did: string): MutationResult {
    const before = this.agents.get(did);
    if (before === undefined) return { outcome: "refused", did, code: "not_found", reason: "not registered" };
    this.agents.delete(did);
    return { outcome: "deleted", did, revision: before.revision };
  }
}

export function agentInput(humanReadableId: string, name: string = humanReadableId): AgentInput {
  return { humanReadableId, name, description: "", capabilities: [], tags: [], endpoints: [], version: "1", status: "active" };
}

export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (delayMs, fire) => {
    const timer = setTimeout(fire, delayMs).unref();
    return () => clearTimeout(timer);
  },
};

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silentLog };
