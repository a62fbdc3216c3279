import type { Published } from "../catalog/messages.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Network } from "../ports/network.ts";
import type { Random } from "../ports/random.ts";
import type { Store } from "../ports/store.ts";
import type { Web } from "../ports/web.ts";
import type { MembershipEvent } from "./messages.ts";

export interface MembershipOptions {
  readonly identity: { readonly did: string; readonly name: string; readonly peerId: string; readonly spiffeId: string };
  readonly sign: (bytes: Uint8Array) => Uint8Array;
  readonly domain: string | undefined;
  /** Registries to meet first: multiaddrs with their peer ids, and `https:` URLs of web faces, maybe with `#<DID>` as a pin. */
  readonly peers: readonly string[];
  readonly registriesMax: number;
  readonly connectionsMax: number;
  readonly store: Store;
  readonly network: Network;
  /** Absent where there is no client for web faces. */
  readonly web?: Web;
  /** Our own web face as others reach it now, and the trust bundle that belongs to it; `undefined` while there is none. */
  readonly facade?: () => FacadeFacts | undefined;
  /** The parsed `https://<domain>/.well-known/did.json`; absent where domains are not checked. */
  readonly fetchDidDocument?: (domain: string, options: { readonly signal: AbortSignal }) => Promise<unknown>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly event: (event: MembershipEvent) => void;
  /** Whether the network has been started. */
  readonly isListening: () => boolean;
  /** The newest version of our own catalogue, once there is one and the network listens. */
  readonly published: () => Published | undefined;
  /** Whether the registry's catalogue is replicated here: such a member is never evicted for a stranger. */
  readonly isFollowed: (did: string) => boolean;
}

export interface FacadeFacts {
  /** Best first. */
  readonly urls: readonly string[];
  readonly bundle: string;
  /** For programs on this machine. */
  readonly localUrl: string;
}
