import type { Published } from "../catalog/messages.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Network } from "../ports/network.ts";
import type { Random } from "../ports/random.ts";
import type { Store } from "../ports/store.ts";
import type { MembershipEvent } from "./messages.ts";

export interface MembershipOptions {
  readonly identity: { readonly did: string; readonly name: string; readonly peerId: string; readonly spiffeId: string };
  readonly sign: (bytes: Uint8Array) => Uint8Array;
  readonly domain: string | undefined;
  /** Addresses of registries to meet first, each with its peer id. */
  readonly peers: readonly string[];
  readonly registriesMax: number;
  readonly connectionsMax: number;
  readonly store: Store;
  readonly network: Network;
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
