import { randomBytes, type KeyObject } from "node:crypto";
import { noise } from "@chainsafe/libp2p-noise";
import { identify } from "@libp2p/identify";
import { ping } from "@libp2p/ping";
import { tcp } from "@libp2p/tcp";
import { yamux } from "@libp2p/yamux";
import { createLibp2p, type Libp2p } from "libp2p";
import { createLibp2pNetwork, type Libp2pNetworkOptions } from "../../../src/adapters/libp2p/network.ts";
import { systemClock } from "../../../src/adapters/system/clock.ts";
import type { Log } from "../../../src/ports/log.ts";
import type { Network, PeerEvent } from "../../../src/ports/network.ts";
import { TOPIC } from "../../contract/network-support.ts";

const drop = (): void => undefined;
const quietLog: Log = { debug: drop, info: drop, warn: drop, error: drop, child: () => quietLog };

export const LOOPBACK = "/ip4/127.0.0.1/tcp/0";

/** A network on a free loopback port with a key of its own, unless told otherwise; not started. */
export function makeNetwork(options: Partial<Libp2pNetworkOptions> & { key?: Uint8Array | KeyObject } = {}): Network {
  return createLibp2pNetwork({
    key: randomBytes(32),
    listen: [LOOPBACK],
    log: quietLog,
    clock: systemClock(),
    topics: [TOPIC],
    ...options,
  });
}

/** A libp2p node that is none of ours: it keeps to libp2p's protocols and not to our rules. */
export function makeStranger(): Promise<Libp2p> {
  return createLibp2p({
    addresses: { listen: [LOOPBACK] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping() },
  });
}

export function nextEvent(network: Network, type: PeerEvent["type"]): Promise<string> {
  return new Promise((resolve) => {
    network.onPeer((event) => {
      if (event.type === type) resolve(event.peerId);
    });
  });
}
