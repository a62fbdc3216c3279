import type { VerifiedHead } from "../../protocols/checkpoint/head.ts";
import type { Catalogue } from "../catalog/catalogue.ts";
import type { Clock } from "../ports/clock.ts";
import type { Random } from "../ports/random.ts";
import type { Store } from "../ports/store.ts";

export interface SessionPorts {
  readonly catalogue: Catalogue;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  /** Agents that we are willing to replicate of this registry. */
  readonly agentsMax: number;
  /** Runs `work` in the replica's own turn: the map and log change nowhere else. */
  readonly turn: <T>(work: () => T) => Promise<T>;
  readonly progress: (received: number, total: number) => void;
  /** Told of every head that a peer served and that verifies, before it is compared with ours. */
  readonly seen: (head: VerifiedHead) => void;
}

/** The keys after `after` up to and including `last`; without them from the first, or to the last key that there can be. */
export interface KeyRange {
  readonly after?: Uint8Array | undefined;
  readonly last?: Uint8Array | undefined;
}
