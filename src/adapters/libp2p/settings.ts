import { createPrivateKey, type KeyObject } from "node:crypto";
import { noise } from "@chainsafe/libp2p-noise";
import { privateKeyFromRaw } from "@libp2p/crypto/keys";
import type { GossipSub, GossipSubComponents } from "@libp2p/gossipsub";
import { identify } from "@libp2p/identify";
import type { Ed25519PrivateKey } from "@libp2p/interface";
import { yamux } from "@libp2p/yamux";
import type { Multiaddr } from "@multiformats/multiaddr";
import type { Datastore } from "interface-datastore";
import type { Libp2pOptions } from "libp2p";
import type { Log } from "../../ports/log.ts";
import { CONNECTIONS_MAX } from "./links.ts";
import type { Listeners } from "./listeners.ts";
import { componentLogger } from "./log.ts";

/** libp2p's settings; its defaults are made for a browser's or a lone node's few connections. */

/** New connections a second from one address: many registries may share a host, and the default of 5 refuses most of them. */
const INBOUND_PER_SECOND_MAX = 100;
const INBOUND_PENDING_MAX = 100;
const DIAL_MS_MAX = 15_000;
/** One address of several must not use up the whole time. */
const DIAL_ADDRESS_MS_MAX = 7_000;
const UPGRADE_MS_MAX = 10_000;
const NEGOTIATION_MS_MAX = 3_000;
const CLOSE_MS_MAX = 500;
const STREAMS_PER_CONNECTION_MAX = 256;
/**
 * A stream's receive window starts at yamux's 256 KiB, which both ends must agree on, and doubles while it is what holds the
 * sender back. 4 MiB carries 80 MB/s over 50 ms. The read buffer is larger: a paused stream whose window was full must not
 * overflow it, for that would reset the stream.
 */
const STREAM_WINDOW_BYTES_MAX = 4_194_304;
const STREAM_BUFFER_BYTES_MAX = 8_388_608;
const SEED_BYTES = 32;
/** PKCS #8 (RFC 8410) around an Ed25519 seed. */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

/** The key from its 32-byte seed (RFC 8032 private key) or from a private KeyObject. @throws TypeError for any other key */
export function privateKeyOf(key: Uint8Array | KeyObject): Ed25519PrivateKey {
  const object = key instanceof Uint8Array ? importSeed(key) : key;
  if (object.type !== "private" || object.asymmetricKeyType !== "ed25519")
    throw new TypeError("the network needs an Ed25519 private key");
  const { d, x } = object.export({ format: "jwk" });
  const raw = Buffer.concat([Buffer.from(d ?? "", "base64url"), Buffer.from(x ?? "", "base64url")]);
  return privateKeyFromRaw(raw) as Ed25519PrivateKey;
}

function importSeed(seed: Uint8Array): KeyObject {
  if (seed.length !== SEED_BYTES) throw new TypeError(`an Ed25519 seed has ${SEED_BYTES} bytes, not ${seed.length}`);
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: "der", type: "pkcs8" });
}

export interface SettingsInput {
  readonly privateKey: Ed25519PrivateKey;
  readonly listeners: Listeners;
  readonly announce: readonly string[];
  readonly datastore: Datastore | undefined;
  readonly log: Log;
  readonly gossip: (components: GossipSubComponents) => GossipSub;
  /** Asked for every address that is about to be dialled, for whatever reason. */
  readonly mayDial: (address: Multiaddr) => boolean;
}

export function settings(input: SettingsInput): Libp2pOptions<{ identify: unknown; gossip: unknown }> {
  return {
    start: false,
    privateKey: input.privateKey,
    logger: componentLogger(input.log),
    ...(input.datastore === undefined ? {} : { datastore: input.datastore }),
    addresses: { listen: [...input.listeners.wanted], announce: [...input.announce] },
    transports: [input.listeners.transport],
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({
        maxInboundStreams: STREAMS_PER_CONNECTION_MAX,
        maxOutboundStreams: STREAMS_PER_CONNECTION_MAX,
        streamOptions: { maxStreamWindowSize: STREAM_WINDOW_BYTES_MAX, maxReadBufferLength: STREAM_BUFFER_BYTES_MAX },
      }),
    ],
    connectionManager: {
      // The library closes what is above its own bound in a way that looks like a clean end; ours comes first.
      maxConnections: 2 * CONNECTIONS_MAX,
      inboundConnectionThreshold: INBOUND_PER_SECOND_MAX,
      maxIncomingPendingConnections: INBOUND_PENDING_MAX,
      // Reconnecting is membership's.
      reconnectRetries: 0,
      dialTimeout: DIAL_MS_MAX,
      addressDialTimeout: DIAL_ADDRESS_MS_MAX,
      inboundUpgradeTimeout: UPGRADE_MS_MAX,
      inboundStreamProtocolNegotiationTimeout: NEGOTIATION_MS_MAX,
      outboundStreamProtocolNegotiationTimeout: NEGOTIATION_MS_MAX,
      connectionCloseTimeout: CLOSE_MS_MAX,
    },
    // Membership probes its peers itself; the library's monitor drops live peers when a process is busy.
    connectionMonitor: { enabled: false },
    connectionGater: { denyDialMultiaddr: (address) => !input.mayDial(address) },
    services: { identify: identify(), gossip: input.gossip },
  };
}
