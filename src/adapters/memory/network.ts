import type { Frames } from "../../../protocols/lib/frames.ts";
import {
  GOSSIP_BYTES_MAX,
  NetworkError,
  type DialTarget,
  type GossipMessage,
  type GossipVerdict,
  type Network,
  type PeerEvent,
  type StreamHandler,
} from "../../ports/network.ts";
import { Connection, type End } from "./connection.ts";
import { Gossip } from "./gossip.ts";
// oxlint-disable-next-line import/no-cycle -- see hub.ts
import type { MemoryHub } from "./hub.ts";

export interface MemoryNetworkOptions {
  readonly peerId: string;
  /** Such as `/memory/7` or `/ip4/127.0.0.1/tcp/7`; port 0 takes a free one. One memory address by default. */
  readonly listen?: readonly string[];
  /** Addresses to give out instead of the bound ones. */
  readonly announce?: readonly string[];
}

/** A network port without a network: the twin of the libp2p adapter for tests and the simulator. */
export function createMemoryNetwork(hub: MemoryHub, options: MemoryNetworkOptions): MemoryNetwork {
  return new MemoryNetwork(hub, options);
}

interface Service {
  readonly handler: StreamHandler;
  readonly streamsPerPeerMax: number;
  /** Open streams by peer. */
  readonly open: Map<string, number>;
}

const ADDRESS = /^(\/[a-z0-9]+\/[^/\s]+(?:\/tcp\/\d+)?)(?:\/p2p\/([^/\s]+))?$/;

export class MemoryNetwork implements Network, End {
  readonly peerId: string;
  readonly #hub: MemoryHub;
  readonly #options: MemoryNetworkOptions;
  readonly #session: number;
  readonly #gossip: Gossip;
  readonly #connections = new Map<string, Connection>();
  readonly #services = new Map<string, Service>();
  readonly #listeners: ((event: PeerEvent) => void)[] = [];
  #bound: string[] = [];
  #state: "new" | "up" | "stopped" | "crashed" = "new";
  #allow: (peerId: string) => boolean = () => true;

  constructor(hub: MemoryHub, options: MemoryNetworkOptions) {
    this.peerId = options.peerId;
    this.#hub = hub;
    this.#options = options;
    this.#session = hub.session();
    this.#gossip = new Gossip(hub.wire, this.peerId, () =>
      [...this.#connections.values()].map((connection) => {
        const far = connection.farOf(this) as MemoryNetwork;
        return { peerId: far.peerId, gossip: far.#gossip, connected: () => far.up && connection.isOpenFor(far) };
      }),
    );
  }

  get up(): boolean {
    return this.#state === "up";
  }

  /** Streams that peers have open here, for those who check bounds. */
  get servedStreams(): number {
    let sum = 0;
    for (const { open } of this.#services.values()) for (const count of open.values()) sum += count;
    return sum;
  }

  async start(): Promise<void> {
    if (this.#state !== "new") throw new NetworkError("stopped", "a memory network starts once");
    try {
      for (const address of this.#options.listen ?? ["/memory/0"]) this.#bound.push(this.#hub.bind(address, this));
    } catch (error) {
      this.#release();
      throw error;
    }
    this.#state = "up";
  }

  async stop(): Promise<void> {
    if (this.#state === "crashed" || this.#state === "stopped") return;
    for (const connection of [...this.#connections.values()]) connection.close(this, "the network stopped");
    this.#state = "stopped";
    this.#release();
  }

  /**
   * The process dies: nothing that was asked of this network is ever answered. With `reset` its machine lives on and resets
   * the connections; otherwise the peers find out by themselves.
   */
  crash(options: { readonly reset: boolean }): void {
    this.#state = "crashed";
    this.#release();
    for (const connection of this.#connections.values()) connection.crash(this, options);
    this.#connections.clear();
  }

  addresses(): string[] {
    const announced = this.#options.announce ?? [];
    const suffix = `/p2p/${this.peerId}`;
    return (announced.length > 0 ? announced : this.#bound).map((each) => (each.endsWith(suffix) ? each : each + suffix));
  }

  listening(): string[] {
    return [...this.#bound];
  }

  connect(target: DialTarget, options: { readonly signal: AbortSignal }): Promise<string> {
    return this.#guarded(options.signal, async () => {
      const { peerId, whileConnected = false } = target;
      if (peerId !== undefined && !whileConnected && this.#connections.has(peerId)) return peerId;
      let failure = new NetworkError("unreachable", "no address was given");
      for (const address of [...(target.said ?? []), ...target.addresses]) {
        try {
          return await this.#dial(address, target.peerId, options.signal);
        } catch (error) {
          if (!(error instanceof NetworkError)) throw error;
          failure = error;
        }
      }
      throw failure;
    });
  }

  async disconnect(peerId: string): Promise<void> {
    this.#connections.get(peerId)?.close(this, "disconnected on our side");
  }

  connected(): string[] {
    return [...this.#connections.keys()];
  }

  onPeer(listener: (event: PeerEvent) => void): void {
    this.#listeners.push(listener);
  }

  setGater(allow: (peerId: string) => boolean): void {
    this.#allow = allow;
    for (const [peerId, connection] of [...this.#connections]) {
      if (!allow(peerId)) connection.close(this, "no longer allowed");
    }
  }

  ping(peerId: string, options: { readonly signal: AbortSignal }): Promise<number> {
    return this.#guarded(options.signal, async () => {
      const startedMs = this.#hub.wire.nowMs();
      await this.#connectionTo(peerId).ping(this);
      return this.#hub.wire.nowMs() - startedMs;
    });
  }

  handle(protocol: string, handler: StreamHandler, options: { readonly streamsPerPeerMax: number }): void {
    this.#services.set(protocol, { handler, streamsPerPeerMax: options.streamsPerPeerMax, open: new Map() });
  }

  open(peerId: string, protocol: string, options: { readonly signal: AbortSignal }): Promise<Frames> {
    return this.#guarded(options.signal, async () => {
      const stream = await this.#connectionTo(peerId).openStream(this, protocol);
      if (options.signal.aborted) stream.abort(new Error("the caller gave up"));
      return stream;
    });
  }

  subscribe(topic: string, validate: (message: GossipMessage) => GossipVerdict): void {
    this.#gossip.subscribe(topic, validate);
  }

  async publish(topic: string, data: Uint8Array): Promise<void> {
    if (this.#state !== "up") return this.#unavailable();
    if (data.length > GOSSIP_BYTES_MAX) {
      throw new NetworkError("message_too_large", `${data.length} bytes, a gossip message has at most ${GOSSIP_BYTES_MAX}`);
    }
    this.#gossip.publish(topic, data, this.#session);
  }

  setPeerScore(score: (peerId: string) => number): void {
    this.#gossip.setScore(score);
  }

  opened(connection: Connection): void {
    const { peerId } = connection.farOf(this);
    // A peer that lost the old connection without our noticing comes back with a new one.
    this.#connections.get(peerId)?.close(this, "replaced by a new connection");
    this.#connections.set(peerId, connection);
    this.#tell({ type: "connected", peerId });
  }

  closed(connection: Connection): void {
    const { peerId } = connection.farOf(this);
    if (this.#connections.get(peerId) !== connection) return;
    this.#connections.delete(peerId);
    this.#tell({ type: "disconnected", peerId });
  }

  accept(peerId: string, protocol: string, makeStream: (onDone: () => void) => Frames): "accepted" | "unsupported" | "full" {
    const service = this.#services.get(protocol);
    if (service === undefined) return "unsupported";
    const count = service.open.get(peerId) ?? 0;
    if (count >= service.streamsPerPeerMax) return "full";
    service.open.set(peerId, count + 1);
    const stream = makeStream(() => {
      const left = (service.open.get(peerId) ?? 1) - 1;
      if (left > 0) service.open.set(peerId, left);
      else service.open.delete(peerId);
    });
    service.handler(stream, peerId).catch((error: unknown) => stream.abort(error as Error));
    return "accepted";
  }

  /** Three packets: hello, answer, and the word that the connection stands, which goes first over it. */
  async #dial(text: string, peerId: string | undefined, signal: AbortSignal): Promise<string> {
    const [, address, named] = ADDRESS.exec(text) ?? [];
    if (address === undefined) throw new NetworkError("address_invalid", `"${text}" is not an address`);
    const { wire } = this.#hub;
    const far = this.#hub.at(address);
    if (far === this) throw new NetworkError("refused", `${text} is our own address`);
    if (far === undefined || !(await wire.carry(this.peerId, far.peerId)) || !far.up) {
      throw new NetworkError("unreachable", `nobody answers at ${text}`);
    }
    const allowed = far.#allow(this.peerId);
    if (!(await wire.carry(far.peerId, this.peerId))) throw new NetworkError("unreachable", `no answer came back from ${text}`);
    for (const wanted of [peerId, named]) {
      if (wanted !== undefined && wanted !== far.peerId) {
        throw new NetworkError("wrong_peer", `${text} is ${far.peerId}, not ${wanted}`);
      }
    }
    if (!allowed) throw new NetworkError("refused", `${far.peerId} refuses the connection`);
    if (!this.#allow(far.peerId)) throw new NetworkError("refused", `our own policy refuses ${far.peerId}`);
    if (this.up && !signal.aborted && !this.#connections.has(far.peerId)) this.#connectionFor(far).open(this);
    return far.peerId;
  }

  /** When both dial at once, the one that answered first has made the connection for both. */
  #connectionFor(far: MemoryNetwork): Connection {
    const theirs = far.#connections.get(this.peerId);
    if (theirs !== undefined && theirs.farOf(far) === this && !theirs.wasClosed) return theirs;
    return new Connection(this.#hub.wire, this, far);
  }

  #connectionTo(peerId: string): Connection {
    const connection = this.#connections.get(peerId);
    if (connection === undefined) throw new NetworkError("not_connected", `not connected to ${peerId}`);
    return connection;
  }

  async #guarded<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (this.#state !== "up") return this.#unavailable();
    if (signal.aborted) throw new NetworkError("timeout", "the caller gave up");
    const late = Promise.withResolvers<never>();
    const giveUp = (): void => late.reject(new NetworkError("timeout", "the caller gave up"));
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      return await Promise.race([work(), late.promise]);
    } finally {
      signal.removeEventListener("abort", giveUp);
      if ((this.#state as string) === "crashed") await this.#unavailable();
    }
  }

  #unavailable(): Promise<never> {
    if (this.#state === "crashed") return new Promise(() => undefined);
    return Promise.reject(new NetworkError("stopped", "the network is not running"));
  }

  #tell(event: PeerEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #release(): void {
    for (const address of this.#bound) this.#hub.release(address, this);
    this.#bound = [];
  }
}
