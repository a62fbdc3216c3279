import type { KeyObject } from "node:crypto";
import type { Connection, Ed25519PrivateKey, Stream } from "@libp2p/interface";
import { peerIdFromPrivateKey } from "@libp2p/peer-id";
import type { Datastore } from "interface-datastore";
import { createLibp2p, type Libp2p } from "libp2p";
import type { Frames } from "../../../protocols/lib/frames.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Log } from "../../ports/log.ts";
import {
  NetworkError,
  type DialTarget,
  type GossipMessage,
  type GossipVerdict,
  type Network,
  type PeerEvent,
  type StreamHandler,
} from "../../ports/network.ts";
import { createNames, type Names } from "../names/names.ts";
import { announced, dialable } from "./addresses.ts";
import { Dialer, gaveUp } from "./dialer.ts";
import { ECHO_PROTOCOL, ECHO_STREAMS_MAX, serveEcho } from "./echo.ts";
import { Gossip } from "./gossip.ts";
import { Links, type Link } from "./links.ts";
import { Listeners } from "./listeners.ts";
import { privateKeyOf, settings } from "./settings.ts";
import { StreamFrames } from "./stream-frames.ts";

export interface Libp2pNetworkOptions {
  /** The registry's Ed25519 key: its 32-byte seed or a private KeyObject. */
  readonly key: Uint8Array | KeyObject;
  /** Multiaddrs to listen on; none makes a network that only dials. */
  readonly listen: readonly string[];
  /** Multiaddrs to tell others instead of the bound ones. */
  readonly announce?: readonly string[];
  /** Where peers are remembered; the owner closes it after `stop`. In memory by default. */
  readonly datastore?: Datastore;
  readonly log: Log;
  readonly clock: Clock;
  /** The gossip topics that may be subscribed to; messages on any other are dropped. */
  readonly topics: readonly string[];
  /** Whether what peers say of themselves may lead to addresses that are not public; not by default. */
  readonly allowPrivateAddresses?: boolean;
  /** Shared with whatever else dials; its own by default. */
  readonly names?: Names;
}

/** Streams that we may open to one peer for one protocol. */
const STREAMS_OUTBOUND_MAX = 64;

/**
 * The network port over libp2p 3: TCP, noise, yamux, identify, gossipsub.
 * @throws TypeError for a key that is not Ed25519
 * @throws NetworkError `address_invalid` for listen and announce addresses
 */
export function createLibp2pNetwork(options: Libp2pNetworkOptions): Network {
  return new Libp2pNetwork(options, privateKeyOf(options.key));
}

interface Served {
  readonly handler: StreamHandler;
  readonly streamsPerPeerMax: number;
}

class Libp2pNetwork implements Network {
  readonly peerId: string;
  readonly #options: Libp2pNetworkOptions;
  readonly #privateKey: Ed25519PrivateKey;
  readonly #announced: readonly string[];
  readonly #listeners: Listeners;
  readonly #links: Links;
  readonly #dialer: Dialer;
  readonly #gossip: Gossip;
  readonly #served = new Map<string, Served>();
  readonly #observers: ((event: PeerEvent) => void)[] = [];
  #allow: (peerId: string) => boolean = () => true;
  #score: (peerId: string) => number = () => 0;
  #libp2p: Libp2p | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: Libp2pNetworkOptions, privateKey: Ed25519PrivateKey) {
    const { log, clock, allowPrivateAddresses = false, names = createNames(options) } = options;
    this.#options = options;
    this.#privateKey = privateKey;
    this.peerId = peerIdFromPrivateKey(privateKey).toString();
    this.#announced = announced(options.announce ?? [], this.peerId);
    this.#listeners = new Listeners(options.listen);
    const events = { onReady: (link: Link) => this.#onReady(link), onGone: (link: Link) => this.#onGone(link) };
    const links = new Links({ self: this.peerId, clock, log, events });
    this.#links = links;
    this.#dialer = new Dialer({
      ...{ self: this.peerId, links, allowPrivateAddresses, names },
      allow: (peerId) => this.#allow(peerId),
    });
    this.#gossip = new Gossip({
      topics: options.topics,
      log,
      score: (peerId) => this.#score(peerId),
      settled: async (connection) => (await links.find(connection)?.settled) ?? false,
      links: () => links.all(),
    });
  }

  async start(): Promise<void> {
    if (this.#libp2p !== undefined) return;
    const { datastore, log } = this.#options;
    this.#listeners.clear();
    this.#stopping = undefined;
    const libp2p = await createLibp2p(
      settings({
        privateKey: this.#privateKey,
        listeners: this.#listeners,
        announce: this.#announced,
        datastore,
        log,
        gossip: this.#gossip.service,
        mayDial: (address) => this.#dialer.isDialling(address),
      }),
    );
    libp2p.addEventListener("connection:open", (event) => this.#dialer.admit(event.detail));
    this.#libp2p = libp2p;
    try {
      await libp2p.handle(ECHO_PROTOCOL, (stream) => serveEcho(stream), { maxInboundStreams: ECHO_STREAMS_MAX });
      for (const [protocol, served] of this.#served) await this.#serve(libp2p, protocol, served);
      await libp2p.start();
    } catch (cause) {
      this.#libp2p = undefined;
      this.#gossip.stopped();
      throw this.#listeners.failure(cause);
    }
    this.#gossip.started();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const libp2p = this.#libp2p;
    this.#libp2p = undefined;
    if (libp2p === undefined) return;
    await this.#links.dropAll();
    await libp2p.stop();
    this.#gossip.stopped();
    this.#listeners.clear();
  }

  addresses(): string[] {
    return this.#announced.length > 0 ? [...this.#announced] : dialable(this.#listeners.bound(), this.peerId);
  }

  listening(): string[] {
    return this.#listeners.bound();
  }

  async connect(target: DialTarget, options: { readonly signal: AbortSignal }): Promise<string> {
    return this.#dialer.connect(this.#running(), target, options.signal);
  }

  async disconnect(peerId: string): Promise<void> {
    await this.#links.drop(peerId);
  }

  connected(): string[] {
    return this.#links.all().map((link) => link.peerId);
  }

  onPeer(listener: (event: PeerEvent) => void): void {
    this.#observers.push(listener);
  }

  setGater(allow: (peerId: string) => boolean): void {
    this.#allow = allow;
    for (const { peerId } of this.#links.all()) if (!allow(peerId)) void this.#links.drop(peerId);
  }

  async ping(peerId: string, options: { readonly signal: AbortSignal }): Promise<number> {
    return this.#link(peerId).pinger.ping(options.signal);
  }

  handle(protocol: string, handler: StreamHandler, options: { readonly streamsPerPeerMax: number }): void {
    const served = { handler, streamsPerPeerMax: options.streamsPerPeerMax };
    this.#served.set(protocol, served);
    if (this.#libp2p === undefined) return;
    // The protocol is served from this tick on; what is awaited is a note in the peer store.
    void this.#serve(this.#libp2p, protocol, served).catch((error: Error) => {
      this.#options.log.debug("a protocol could not be noted in the peer store", { protocol, cause: error.message });
    });
  }

  async open(peerId: string, protocol: string, options: { readonly signal: AbortSignal }): Promise<Frames> {
    const { connection } = this.#link(peerId);
    const { signal } = options;
    if (signal.aborted) throw gaveUp();
    try {
      const opening = connection.newStream(protocol, { signal, maxOutboundStreams: STREAMS_OUTBOUND_MAX });
      return new StreamFrames(await opening);
    } catch (cause) {
      if (signal.aborted) throw gaveUp(cause);
      if ((cause as Error).name === "UnsupportedProtocolError") {
        throw new NetworkError("protocol_unsupported", `${peerId} does not speak ${protocol}`, { cause });
      }
      throw new NetworkError("not_connected", `no stream could be opened to ${peerId}: ${(cause as Error).message}`, { cause });
    }
  }

  subscribe(topic: string, validate: (message: GossipMessage) => GossipVerdict): void {
    this.#gossip.subscribe(topic, validate);
  }

  async publish(topic: string, data: Uint8Array): Promise<void> {
    this.#running();
    await this.#gossip.publish(topic, data);
  }

  setPeerScore(score: (peerId: string) => number): void {
    this.#score = score;
  }

  #running(): Libp2p {
    if (this.#libp2p === undefined) throw new NetworkError("stopped", "the network is not running");
    return this.#libp2p;
  }

  #link(peerId: string): Link {
    this.#running();
    const link = this.#links.ready(peerId);
    if (link === undefined) throw new NetworkError("not_connected", `there is no connection to ${peerId}`);
    return link;
  }

  async #serve(libp2p: Libp2p, protocol: string, served: Served): Promise<void> {
    const limits = { maxInboundStreams: served.streamsPerPeerMax, maxOutboundStreams: STREAMS_OUTBOUND_MAX };
    await libp2p.handle(protocol, (stream, connection) => this.#handleStream(stream, connection, served), limits);
  }

  async #handleStream(stream: Stream, connection: Connection, served: Served): Promise<void> {
    const frames = new StreamFrames(stream);
    const peerId = connection.remotePeer.toString();
    try {
      // The peer may be sure of the connection before we are.
      if (!(await this.#links.find(connection)?.settled)) throw new Error("the connection was dropped");
      await served.handler(frames, peerId);
    } catch (error) {
      this.#options.log.debug("a stream was reset", { peerId, protocol: stream.protocol, cause: (error as Error).message });
      frames.abort(error as Error);
    }
  }

  #onReady(link: Link): void {
    this.#gossip.onReady(link);
    for (const observe of this.#observers) observe({ type: "connected", peerId: link.peerId });
  }

  #onGone(link: Link): void {
    this.#gossip.onGone(link);
    for (const observe of this.#observers) observe({ type: "disconnected", peerId: link.peerId });
  }
}
