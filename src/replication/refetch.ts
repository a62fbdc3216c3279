import { fetchRecord, type RecordQuestion } from "../../protocols/catalog-sync/fetch-record.ts";
import { CATALOG_SYNC_PROTOCOL, SALT_BYTES } from "../../protocols/catalog-sync/messages.ts";
import { equal } from "../../protocols/lib/bytes.ts";
import { valueOf } from "../../protocols/lib/hash.ts";
import { AbortAfter } from "../ports/abort-after.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Network } from "../ports/network.ts";
import type { Random } from "../ports/random.ts";

/** One peer's answer about one record. */
const PEER_MS = 5_000;
/** Peers asked for one record before it is tried again later. */
export const REFETCH_PEERS_MAX = 16;

export interface RefetchPorts {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export type LostRecord = Omit<RecordQuestion, "salt"> & {
  /** The hash that the map holds: who gives bytes of it gives the record, whoever that is. */
  readonly value: Uint8Array;
};

/** Asks the connected peers, in the order of chance, for a record whose bytes we lost. `undefined` when none has it. */
export async function refetch(ports: RefetchPorts, lost: LostRecord, signal: AbortSignal): Promise<Uint8Array | undefined> {
  const { network, clock, random, log } = ports;
  const peers = network.connected();
  const first = Math.floor(random.unit() * peers.length);
  for (const peerId of [...peers.slice(first), ...peers.slice(0, first)].slice(0, REFETCH_PEERS_MAX)) {
    signal.throwIfAborted();
    using deadline = new AbortAfter(clock, PEER_MS, signal);
    try {
      const frames = await network.open(peerId, CATALOG_SYNC_PROTOCOL, { signal: deadline.signal });
      const abort = (): void => frames.abort(deadline.signal.reason as Error);
      deadline.signal.addEventListener("abort", abort, { once: true });
      try {
        const record = await fetchRecord(frames, { ...lost, salt: random.bytes(SALT_BYTES) });
        await frames.close();
        if (record !== undefined && equal(valueOf(record), lost.value)) return record;
      } finally {
        deadline.signal.removeEventListener("abort", abort);
      }
    } catch (error) {
      log.debug("a peer could not be asked for a lost record", { peerId, error });
    }
  }
  return undefined;
}
