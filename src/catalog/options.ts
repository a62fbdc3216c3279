import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Random } from "../ports/random.ts";
import type { Store } from "../ports/store.ts";
import type { Published } from "./messages.ts";
import type { LostRecord } from "./repairs.ts";

export interface CatalogOptions {
  readonly did: string;
  readonly sign: (bytes: Uint8Array) => Uint8Array;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The data directory was copied or restored: nothing is signed before `own_head` or `head_settled` came. */
  readonly unsure: boolean;
  /** Called once that doubt is over. */
  readonly settled: (() => void) | undefined;
  /** Called after a version is durable. */
  readonly publish: (version: Published) => void;
  /** Revisions of agents deleted long ago that are kept one by one; REACHED_ROWS_MAX by default. */
  readonly reachedRowsMax?: number;
  /** Asks peers for bytes that we lost; `undefined` when none has them. */
  readonly refetch: (lost: LostRecord, signal: AbortSignal) => Promise<Uint8Array | undefined>;
}
