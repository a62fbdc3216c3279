import { gossipsub, TopicValidatorResult, type GossipSub, type GossipSubComponents } from "@libp2p/gossipsub";
import { defaultTopicScoreParams } from "@libp2p/gossipsub/score";
import type { Connection, Topology } from "@libp2p/interface";
import type { Log } from "../../ports/log.ts";
import { GOSSIP_BYTES_MAX, NetworkError, type GossipMessage, type GossipVerdict } from "../../ports/network.ts";
import type { Link } from "./links.ts";

/**
 * Gossip by `@libp2p/gossipsub`, the maintained line of the code that was `@chainsafe/libp2p-gossipsub` (which starts on
 * libp2p 3 without an error and delivers nothing). Its defaults neither bound nor punish, so everything is set here.
 */

const HEARTBEAT_MS = 500;
/** Heartbeats for which a message can be asked for again, and for which it is announced to peers outside the mesh. */
const HISTORY_HEARTBEATS = 12;
const HISTORY_ANNOUNCED_HEARTBEATS = 6;
const IDONTWANT_BYTES_MIN = 16_384;
/** One packet of messages and control, in bytes, and what may wait for a slow peer before its gossip stream is reset. */
const RPC_BYTES_MAX = 4_194_304;
const OUTBOUND_QUEUE_BYTES_MAX = 4_194_304;
const STREAMS_MAX = 4;
/** The library charges each subscription of a peer its name and 1,024 bytes. */
const SUBSCRIPTION_BYTES_MAX = 1_280;

const RPC_LIMITS = {
  maxSubscriptions: 64,
  maxMessages: 1_000,
  maxIhaveMessageIDs: 2_000,
  maxIwantMessageIDs: 2_000,
  maxIdontwantMessageIDs: 2_000,
  maxControlMessages: 64,
  maxPeerInfos: 16,
};

/** The port's "never listen to it". */
const NEVER_LISTEN = -1_000;
/** Invalid messages cost −50 × n², n fading by a tenth each second: five at once and a peer is not heard for some seconds. */
const INVALID_DELIVERY_WEIGHT = -50;
const THRESHOLDS = {
  gossipThreshold: -100,
  publishThreshold: -500,
  graylistThreshold: -900,
  acceptPXThreshold: 1_000,
  opportunisticGraftThreshold: 1,
};
/** Scores of peers that left are kept so long, in milliseconds. */
const RETAIN_SCORE_MS = 600_000;

/**
 * What a topic earns and costs. Quiet topics are normal here, so missing deliveries cost nothing; being first earns a little;
 * only what the validator rejects costs much.
 */
const TOPIC_SCORE = {
  ...defaultTopicScoreParams,
  topicWeight: 1,
  timeInMeshWeight: 0.01,
  timeInMeshQuantum: 1_000,
  timeInMeshCap: 300,
  firstMessageDeliveriesWeight: 0.5,
  firstMessageDeliveriesDecay: 0.9,
  firstMessageDeliveriesCap: 10,
  meshMessageDeliveriesWeight: 0,
  meshFailurePenaltyWeight: 0,
  invalidMessageDeliveriesWeight: INVALID_DELIVERY_WEIGHT,
  invalidMessageDeliveriesDecay: 0.9,
};

export interface GossipOptions {
  readonly topics: readonly string[];
  readonly log: Log;
  readonly score: (peerId: string) => number;
  /** Whether the connection became the peer's own; gossip starts on no other. */
  readonly settled: (connection: Connection) => Promise<boolean>;
  readonly links: () => readonly Link[];
}

/** Joins gossipsub to our table of links: libp2p's own notices follow identify, and lose a peer when connections overlap. */
export class Gossip {
  readonly #options: GossipOptions;
  readonly #validators = new Map<string, (message: GossipMessage) => GossipVerdict>();
  #pubsub: GossipSub | undefined;
  #topology: Topology | undefined;

  constructor(options: GossipOptions) {
    this.#options = options;
  }

  /** The service factory for libp2p. */
  readonly service = (components: GossipSubComponents): GossipSub => {
    const registrar = Object.assign(
      Object.create(components.registrar) as GossipSubComponents["registrar"],
      this.#registrar(components),
    );
    const { privateKey, peerId, peerStore, connectionManager, logger } = components;
    this.#pubsub = gossipsub(this.#settings())({ privateKey, peerId, peerStore, connectionManager, logger, registrar });
    // Without a validator the library would keep and pass on what nobody here has asked for.
    for (const topic of this.#options.topics) this.#pubsub.topicValidators.set(topic, this.#validator(topic));
    this.#pubsub.addEventListener("gossipsub:heartbeat", () => this.#rejoin());
    return this.#pubsub;
  };

  /** Once libp2p has started. */
  started(): void {
    for (const topic of this.#validators.keys()) this.#pubsub?.subscribe(topic);
  }

  stopped(): void {
    this.#pubsub = undefined;
    this.#topology = undefined;
  }

  subscribe(topic: string, validate: (message: GossipMessage) => GossipVerdict): void {
    if (!this.#options.topics.includes(topic)) throw new TypeError(`the gossip topic "${topic}" is not among the allowed ones`);
    this.#validators.set(topic, validate);
    this.#pubsub?.subscribe(topic);
  }

  async publish(topic: string, data: Uint8Array): Promise<void> {
    if (data.length > GOSSIP_BYTES_MAX) {
      throw new NetworkError(
        "message_too_large",
        `a gossip message of ${data.length} bytes; at most ${GOSSIP_BYTES_MAX} are carried`,
      );
    }
    await this.#pubsub?.publish(topic, data);
  }

  onReady(link: Link): void {
    void this.#topology?.onConnect?.(link.connection.remotePeer, link.connection);
  }

  onGone(link: Link): void {
    void this.#topology?.onDisconnect?.(link.connection.remotePeer);
  }

  /** A broken gossip stream makes the library forget a peer whose connection goes on. */
  #rejoin(): void {
    const known = new Set(this.#pubsub?.getPeers().map(String));
    for (const link of this.#options.links()) if (!known.has(link.peerId)) this.onReady(link);
  }

  #registrar({ registrar }: GossipSubComponents): Pick<GossipSubComponents["registrar"], "handle" | "register" | "unregister"> {
    return {
      handle: (protocol, handler, options) =>
        registrar.handle(
          protocol,
          async (stream, connection) => {
            if (await this.#options.settled(connection)) await handler(stream, connection);
            else stream.abort(new Error("the connection was dropped"));
          },
          options,
        ),
      register: (protocol, topology) => {
        this.#topology = topology;
        return Promise.resolve(protocol);
      },
      unregister: () => (this.#topology = undefined),
    };
  }

  #validator(topic: string): NonNullable<ReturnType<GossipSub["topicValidators"]["get"]>> {
    return (neighbour, message) => {
      // The library looks at scores once a heartbeat; a peer that is out is out now.
      if (message.type !== "signed" || this.#options.score(neighbour.toString()) <= NEVER_LISTEN)
        return TopicValidatorResult.Ignore;
      const verdict = this.#validators.get(topic)?.({ from: message.from.toString(), data: message.data }) ?? "ignore";
      if (message.data.length > GOSSIP_BYTES_MAX || verdict === "reject") return TopicValidatorResult.Reject;
      return verdict === "accept" ? TopicValidatorResult.Accept : TopicValidatorResult.Ignore;
    };
  }

  #settings(): NonNullable<Parameters<typeof gossipsub>[0]> {
    const { topics, score } = this.#options;
    return {
      D: 6,
      Dlo: 5,
      Dhi: 8,
      Dscore: 4,
      Dout: 2,
      heartbeatInterval: HEARTBEAT_MS,
      mcacheLength: HISTORY_HEARTBEATS,
      mcacheGossip: HISTORY_ANNOUNCED_HEARTBEATS,
      idontwantMinDataSize: IDONTWANT_BYTES_MIN,
      fallbackToFloodsub: false,
      doPX: false,
      // Tags would be written to the peer store at every change of the mesh, and nothing reads them.
      tagMeshPeers: false,
      allowPublishToZeroTopicPeers: true,
      ignoreDuplicatePublishError: true,
      // Every neighbour hands on each message and its signature is checked before it is looked up: author and number first.
      fastMsgIdFn: (message) => Buffer.concat([message.from ?? EMPTY, message.seqno ?? EMPTY]).toString("latin1"),
      allowedTopics: [...topics],
      maxTopicBytesPerPeer: topics.length * SUBSCRIPTION_BYTES_MAX,
      decodeRpcLimits: RPC_LIMITS,
      maxInboundDataLength: RPC_BYTES_MAX,
      maxOutboundBufferSize: OUTBOUND_QUEUE_BYTES_MAX,
      maxInboundStreams: STREAMS_MAX,
      maxOutboundStreams: STREAMS_MAX,
      scoreThresholds: THRESHOLDS,
      scoreParams: {
        topics: Object.fromEntries(topics.map((topic) => [topic, TOPIC_SCORE])),
        topicScoreCap: 20,
        appSpecificScore: score,
        appSpecificWeight: 1,
        // Many registries of one host or network are normal, and on a test host all of them share one address.
        IPColocationFactorWeight: 0,
        behaviourPenaltyWeight: -10,
        behaviourPenaltyThreshold: 6,
        behaviourPenaltyDecay: 0.8,
        retainScore: RETAIN_SCORE_MS,
      },
    };
  }
}

const EMPTY = new Uint8Array(0);
