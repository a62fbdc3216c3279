import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Network } from "../ports/network.ts";
import type { Random } from "../ports/random.ts";
import type { Store } from "../ports/store.ts";
import type { Web } from "../ports/web.ts";
import type { Followed, ReplicaStatus } from "./messages.ts";
import type { KeptStream } from "./stream.ts";

export interface ReplicaOptions {
  readonly home: string;
  readonly number: number;
  readonly store: Store;
  readonly network: Network;
  /** Absent where there is no client for web faces. */
  readonly web?: Web;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly agentsMax: number;
  /** What is known of the followed registry; it outlives a crash of this actor, and so does the stream. */
  readonly followed: Followed;
  readonly kept: KeptStream;
  /** Two checkpoints of the home that contradict each other. */
  readonly evidence: (evidence: Uint8Array, did: string) => void;
  /** Called after each session that ended, well or not. `shown`: which records are shown may have changed since the last call. */
  readonly changed: (status: ReplicaStatus, shown: boolean) => void;
}
