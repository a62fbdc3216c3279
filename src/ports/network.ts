import type { Frames } from "../../protocols/lib/frames.ts";

/**
 * The federation's transport: authenticated streams to peers, gossip by topic, and who is connected.
 *
 * A peer id is the text form of the libp2p PeerId of an Ed25519 key (`12D3Koo…`), which is the registry's own key in another
 * spelling: whoever holds a connection has proved that key. Addresses are multiaddr text, with or without `/p2p/<peer id>`.
 * Every implementation passes `test/contract/network.ts`. Callbacks must not throw; they run one at a time.
 */
export interface Network {
  /** Our own peer id. */
  readonly peerId: string;
  /** Starts listening. Rejects with `NetworkError` `address_in_use` naming the address. */
  start(): Promise<void>;
  /** Closes every connection and listener. Safe to call twice. */
  stop(): Promise<void>;
  /** Addresses that others may dial, each ending in `/p2p/<our peer id>`: the announced ones if given, else the bound ones. */
  addresses(): string[];
  /** Addresses on which we listen, as bound (ports resolved). */
  listening(): string[];

  /**
   * Connects to the peer behind one of the target's addresses (tried in order) unless connected, and returns its peer id. When
   * `peerId` is given any other peer is refused (`wrong_peer`). At most one connection is kept for each peer.
   */
  connect(target: DialTarget, options: { readonly signal: AbortSignal }): Promise<string>;
  disconnect(peerId: string): Promise<void>;
  /** Peer ids with an open connection. */
  connected(): string[];
  onPeer(listener: (event: PeerEvent) => void): void;
  /** Asked for every connection, inbound and outbound, once the peer's key is proved; `false` closes it. */
  setGater(allow: (peerId: string) => boolean): void;
  /** Time of one echo in milliseconds, fractional. Rejects with `NetworkError`. */
  ping(peerId: string, options: { readonly signal: AbortSignal }): Promise<number>;

  /** Serves `protocol`. At most `streamsPerPeerMax` streams of one peer are open at a time; further ones are reset. */
  handle(protocol: string, handler: StreamHandler, options: { readonly streamsPerPeerMax: number }): void;
  /** Opens a stream for `protocol` on the open connection. Rejects with `not_connected` or `protocol_unsupported`. */
  open(peerId: string, protocol: string, options: { readonly signal: AbortSignal }): Promise<Frames>;

  /** Joins a gossip topic. `validate` runs once for each new message, synchronously, and decides whether it is passed on. */
  subscribe(topic: string, validate: (message: GossipMessage) => GossipVerdict): void;
  /** Publishes up to GOSSIP_BYTES_MAX bytes. Resolves also when no peer is there to take it. */
  publish(topic: string, data: Uint8Array): Promise<void>;
  /** Asked by the gossip layer for our own opinion of a peer: 0 neutral, −1000 never listen to it. */
  setPeerScore(score: (peerId: string) => number): void;

  /** The DHT's place: present where the adapter can provide and find content by key. */
  readonly routing?: ContentRouting;
}

export interface DialTarget {
  readonly peerId?: string;
  /** Named by the operator, who allows them wherever they lead. */
  readonly addresses: readonly string[];
  /** Tried before them: what the peer says of itself, looked up apart from the names of the operator. */
  readonly said?: readonly string[];
  /** Whether what it says may lead to addresses that are not public, as of a peer that the operator wants (T52); not by default. */
  readonly trusted?: boolean;
  /**
   * Dials although the peer is connected, to learn whether it is at these addresses. The connection that is open stays, and the
   * new one is closed; not by default.
   */
  readonly whileConnected?: boolean;
}

export type PeerEvent = { readonly type: "connected" | "disconnected"; readonly peerId: string };

/** The handler owns the stream: it closes or aborts it. A rejection aborts it. */
export type StreamHandler = (frames: Frames, peerId: string) => Promise<void>;

export interface GossipMessage {
  /** Who made and signed the message, which need not be the neighbour that handed it on. */
  readonly from: string;
  readonly data: Uint8Array;
}

/** `accept` passes it on, `ignore` drops it silently, `reject` drops it and costs the neighbour that sent it. */
export type GossipVerdict = "accept" | "ignore" | "reject";

export interface ContentRouting {
  provide(key: Uint8Array, options: { readonly signal: AbortSignal }): Promise<void>;
  findProviders(key: Uint8Array, options: { readonly signal: AbortSignal }): AsyncIterable<string>;
}

/** The longest gossip message, in bytes; longer ones would be lost silently in the mesh. */
export const GOSSIP_BYTES_MAX = 65_536;

export type NetworkErrorCode =
  | "address_in_use"
  | "address_invalid"
  /** What the peer says of itself leads to addresses that are not public, and the operator did not allow these. */
  | "forbidden_address"
  | "unreachable"
  | "wrong_peer"
  | "refused"
  | "not_connected"
  | "protocol_unsupported"
  | "message_too_large"
  | "timeout"
  | "stopped";

export class NetworkError extends Error {
  override readonly name = "NetworkError";
  readonly code: NetworkErrorCode;

  constructor(code: NetworkErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
