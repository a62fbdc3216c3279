import { sha256 } from "../../protocols/lib/hash.ts";
import { base64, fromUtf8, hex, utf8 } from "../../protocols/lib/bytes.ts";
import { mintDid, peerIdOfDid } from "../../protocols/lib/did.ts";
import { nextHlc } from "../../protocols/record/hlc.ts";
import type { AgentRecord } from "../../protocols/record/record.ts";
import { StoreError } from "../../src/ports/store.ts";
import {
  NodeError,
  type Diagnosis,
  type Identity,
  type AgentPage,
  type ListQuery,
  type Mutation,
  type MutationResult,
  type RegistryNode,
  type Status,
} from "../../src/api.ts";
import type { Frames } from "../../protocols/lib/frames.ts";
import type { NodeSettings, StartNode } from "../../simulations/federation/start-node.ts";
import type { NodePorts } from "../../src/node.ts";

/** Mistakes that a registry must not make; each is there for a checker to find. */
export type Bug =
  | "acknowledges too early"
  | "forges"
  | "signs before it persists"
  | "never syncs again"
  | "leaks timers"
  | "cannot list"
  | "never repairs"
  | "rolls its own dice";

const SYNC = "/stand-in/sync/1.0.0";
const TOPIC = "stand-in/heads/1";
const TICK_MS = 1_000;
const DEADLINE_MS = 10_000;
const EVERYTHING = { from: Uint8Array.of(0), to: Uint8Array.of(255) };

interface Version {
  readonly size: number;
  readonly root: string;
}

interface Catalogue extends Version {
  readonly did: string;
  readonly address: string;
  readonly agents: readonly AgentRecord[];
}

/**
 * The smallest registry that keeps the promises which the simulator checks: whole catalogues are copied, nothing is proved. It
 * tests the simulator; the real node is `createNode`.
 */
export function startStandIn(bug?: Bug): StartNode {
  return async (ports, settings) => {
    const node = new StandIn(ports, settings, bug);
    await node.start();
    return node;
  };
}

class StandIn implements RegistryNode {
  readonly #ports: NodePorts;
  readonly #settings: NodeSettings;
  readonly #bug: Bug | undefined;
  readonly #key: Uint8Array;
  readonly #did: string;
  readonly #catalogues = new Map<string, Catalogue>();
  readonly #addresses = new Map<string, string>();
  readonly #syncing = new Set<string>();
  #writing: Promise<unknown> = Promise.resolve();

  constructor(ports: NodePorts, settings: NodeSettings, bug: Bug | undefined) {
    this.#ports = ports;
    this.#settings = settings;
    this.#bug = bug;
    this.#key = settings.identity.publicKey;
    this.#did = settings.identity.did;
  }

  async start(): Promise<void> {
    const { network, store } = this.#ports;
    for await (const chunk of store.scan(EVERYTHING)) {
      for (const [, value] of chunk) this.#remember(JSON.parse(fromUtf8(value)) as Catalogue);
    }
    network.handle(SYNC, (frames) => this.#serve(frames), { streamsPerPeerMax: 8 });
    network.subscribe(TOPIC, ({ data }) => {
      this.#ports.scheduler.schedule(() => this.#heard(JSON.parse(fromUtf8(data)) as Catalogue));
      return "accept";
    });
    network.onPeer(({ type, peerId }) => {
      if (type === "connected" && this.#bug !== "never syncs again") void this.#sync(peerId);
    });
    await network.start();
    this.#remember({ ...this.#own(), address: network.addresses()[0] as string });
    for (const peer of this.#settings.peers) this.#addresses.set(peer.slice(peer.lastIndexOf("/") + 1), peer);
    this.#tick();
  }

  mutate(mutations: readonly Mutation[]): Promise<MutationResult[]> {
    const written = this.#writing.then(() => this.#commit(mutations));
    this.#writing = written.catch(() => undefined);
    return written;
  }

  async status(): Promise<Status> {
    const { size, root, agents } = this.#own();
    const peers = [...this.#catalogues.values()].filter(({ did }) => did !== this.#did);
    return {
      ...this.identity(),
      multiaddrs: this.#ports.network.addresses(),
      listening: this.#ports.network.listening(),
      catalog: { agents: agents.length, logSize: size, mapRoot: root, checkpointTime: null, epoch: 0, paused: null },
      peers: peers.map((peer) => ({
        did: peer.did,
        name: peer.did,
        state: "alive",
        agents: peer.agents.length,
        mapRoot: peer.root,
        syncedRoot: peer.root,
        lastSync: null,
        rttMs: null,
        connected: this.#ports.network.connected().includes(peerIdOfDid(peer.did)),
        followed: true,
        configured: false,
        refusedRecords: 0,
        ...{ domain: null, domainVerified: false, transport: "libp2p" as const },
      })),
      contacts: [],
      uptimeSeconds: this.#ports.clock.monotonic() / 1_000,
      evidence: 0,
      http: null,
    };
  }

  diagnose(): Promise<Diagnosis> {
    return Promise.resolve({ time: new Date(this.#ports.clock.now()).toISOString(), checks: [] });
  }

  identity(): Identity {
    const { name, did, peerId, spiffeId, trustDomain } = this.#settings.identity;
    return { name, did, peerId, spiffeId, trustDomain, epoch: 0 };
  }

  async listAgents(query: ListQuery): Promise<AgentPage> {
    if (this.#bug === "cannot list") throw new NodeError("storage", "the listing is broken");
    if (this.#bug === "never repairs") throw new StoreError("damaged", "the listing has rotted");
    return { agents: [...(this.#catalogues.get(query.registry ?? this.#did)?.agents ?? [])], unavailable: [], cursor: null };
  }

  async stop(): Promise<void> {
    await this.#ports.network.stop();
  }

  getAgent = notHere;
  proveAgent = notHere;
  addPeer = notHere;
  removePeer = notHere;
  listPeers = notHere;
  syncNow = notHere;
  syncStatus = notHere;

  async #commit(mutations: readonly Mutation[]): Promise<MutationResult[]> {
    const { clock, network, random } = this.#ports;
    const agents = new Map(this.#own().agents.map((agent) => [agent.did, agent]));
    const results = mutations.map((mutation): MutationResult => {
      const did = mutation.op === "put" ? mintDid(this.#key, mutation.agent.humanReadableId) : mutation.did;
      const before = agents.get(did);
      if (mutation.op === "delete") {
        if (!agents.delete(did)) return { outcome: "refused", did, code: "not_found", reason: "no such agent" };
        return { outcome: "deleted", did, revision: before?.revision ?? 0 };
      }
      const revision = (before?.revision ?? 0) + 1;
      const hlc = nextHlc(before?.hlc, clock.now());
      agents.set(did, { ...mutation.agent, did, registry: this.#did, epoch: 0, revision, hlc });
      return { outcome: before === undefined ? "created" : "updated", did, revision };
    });
    const own = this.#own();
    const next = catalogue({ ...own, size: own.size + 1, agents: [...agents.values()] });
    if (this.#bug === "rolls its own dice") await new Promise<void>((done) => void clock.after(Math.random() * 10, done));
    if (this.#bug === "signs before it persists") await this.#publish(next);
    const durable = this.#bug !== "acknowledges too early";
    const kept = this.#keep(next, durable);
    if (durable) await kept;
    else kept.catch(() => undefined);
    this.#remember(next);
    await new Promise<void>((done) => void clock.after(random.unit(), done));
    if (network.connected().length > 0) await this.#publish(next);
    return results;
  }

  async #keep(next: Catalogue, durable: boolean): Promise<void> {
    await this.#ports.store.batch([{ type: "put", key: utf8(next.did), value: utf8(JSON.stringify(next)) }], { durable });
  }

  async #publish({ did, size, root, address }: Catalogue): Promise<void> {
    const note = `${did}/catalog/0\n${size}\n${base64(Buffer.from(root, "hex"))}\n`;
    await this.#ports.network.publish(TOPIC, utf8(JSON.stringify({ did, size, root, address, note })));
  }

  #tick(): void {
    const { clock, network } = this.#ports;
    for (const [peerId, address] of this.#addresses) {
      if (!network.connected().includes(peerId))
        void this.#withDeadline((signal) => network.connect({ addresses: [address] }, { signal }));
    }
    this.#publish(this.#own()).catch(() => undefined);
    for (let i = 0; this.#bug === "leaks timers" && i < 1_000; i++) clock.after(3_600_000, () => undefined);
    clock.after(TICK_MS, () => this.#tick());
  }

  #heard({ did, size, address }: Catalogue): void {
    const { network } = this.#ports;
    const peerId = peerIdOfDid(did);
    this.#addresses.set(peerId, address);
    if ((this.#catalogues.get(did)?.size ?? -1) >= size) return;
    if (network.connected().includes(peerId) && this.#bug !== "never syncs again") void this.#sync(peerId);
  }

  async #sync(peerId: string): Promise<void> {
    if (this.#syncing.has(peerId)) return;
    this.#syncing.add(peerId);
    await this.#withDeadline(async (signal) => {
      const stream = await this.#ports.network.open(peerId, SYNC, { signal });
      signal.addEventListener("abort", () => stream.abort(new Error("too slow")));
      const frame = await stream.receive();
      await stream.close();
      if (frame === undefined) return;
      const received = JSON.parse(fromUtf8(frame)) as Catalogue;
      if (received.size < (this.#catalogues.get(received.did)?.size ?? -1)) return;
      const agents = received.agents.map((agent) => (this.#bug === "forges" ? { ...agent, version: "6.6.6" } : agent));
      this.#remember({ ...received, agents });
      await this.#keep(received, false);
    });
    this.#syncing.delete(peerId);
  }

  async #serve(frames: Frames): Promise<void> {
    await frames.send(utf8(JSON.stringify(this.#own())));
    await frames.close();
  }

  async #withDeadline(work: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
    const controller = new AbortController();
    const cancel = this.#ports.clock.after(DEADLINE_MS, () => controller.abort());
    await work(controller.signal).catch(() => undefined);
    cancel();
  }

  #remember(known: Catalogue): void {
    this.#catalogues.set(known.did, known);
    if (known.did !== this.#did) this.#addresses.set(peerIdOfDid(known.did), known.address);
  }

  #own(): Catalogue {
    return this.#catalogues.get(this.#did) ?? catalogue({ did: this.#did, address: "", size: 0, agents: [] });
  }
}

function catalogue(content: Omit<Catalogue, "root">): Catalogue {
  const lines = content.agents.map((agent) => `${agent.did} ${agent.revision} ${agent.hlc}`).sort();
  return { ...content, root: hex(sha256(utf8(lines.join("\n")))) };
}

async function notHere(): Promise<never> {
  throw new NodeError("invalid", "the stand-in does not offer this");
}
