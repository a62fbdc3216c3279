import { hex } from "../../protocols/lib/bytes.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import { StoreError, type StoreReader } from "../ports/store.ts";
import { ALL_CATALOGUES, recordOfRow } from "./rows.ts";

/** Rows read in one step, and the pause between two: a million agents in less than a day, at a cost that nobody feels. */
export const SCRUB_ROWS = 256;
export const SCRUB_PAUSE_MS = 5_000;

export interface Scrubbed {
  /** Where the next step goes on; `undefined` begins again. */
  readonly next: Uint8Array | undefined;
  /** Key of a row whose bytes fail their checksum. */
  readonly damaged: Uint8Array | undefined;
}

/** Reads some rows of all catalogues from `from`, so that rot is found before a reader meets it (T45). @throws StoreError */
export async function scrub(store: StoreReader, from: Uint8Array = ALL_CATALOGUES.from): Promise<Scrubbed> {
  let last: Uint8Array | undefined;
  try {
    const range = { ...ALL_CATALOGUES, from, limit: SCRUB_ROWS };
    for await (const rows of store.scan(range)) last = rows.at(-1)?.[0] ?? last;
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== "damaged" || error.key === undefined) throw error;
    return { next: after(error.key), damaged: error.key };
  }
  return { next: last && after(last), damaged: undefined };
}

/** Finds rot in the background, one step after another, until `stop` is called. */
export function startScrub(parts: {
  readonly store: StoreReader;
  readonly clock: Clock;
  readonly log: Log;
  /** Told of a damaged record: the number of its catalogue, and its K. */
  readonly damaged: (catalogue: number, key: Uint8Array) => void;
}): { stop(): void } {
  const { store, clock, log, damaged } = parts;
  let cancel: () => void = () => undefined;
  let from: Uint8Array | undefined;
  let stopped = false;
  const again = (): void => {
    if (!stopped) cancel = clock.after(SCRUB_PAUSE_MS, () => void step());
  };
  const step = async (): Promise<void> => {
    try {
      const found = await scrub(store, from);
      from = found.next;
      if (found.damaged === undefined) return;
      const record = recordOfRow(found.damaged);
      if (record !== undefined) damaged(record.catalogue, record.key);
      else log.warn("a stored row is damaged; it is made anew when it is needed next", { row: hex(found.damaged) });
    } catch (error) {
      // A store that is closing or full: the next step finds out whether that is over.
      log.debug("a step of the background check failed", { error });
    } finally {
      again();
    }
  };
  again();
  return {
    stop: () => {
      stopped = true;
      cancel();
    },
  };
}

function after(key: Uint8Array): Uint8Array {
  return Buffer.concat([key, Buffer.of(0)]);
}
