const MINUTE_MS = 60_000;

/** How fast the cells of a key may come. */
export interface Pace {
  /** What flows evenly, above 0. */
  readonly perMinute: number;
  /** What may come at once, at least 1. */
  readonly burst: number;
}

/**
 * Cells (requests, connections) of each key over time: the generic cell rate algorithm (ITU-T I.371, virtual scheduling), a
 * clock reading for each key. Times are monotonic, in milliseconds; the pace may differ from call to call.
 */
export class CellRate {
  readonly #keysMax: number;
  /** When the next cell is due if all come evenly; earlier by the burst is early enough. */
  readonly #dueAtMs = new Map<string, number>();

  /** @param keysMax keys remembered; who was quiet for longest is forgotten, which costs it nothing */
  constructor(keysMax: number) {
    this.#keysMax = keysMax;
  }

  /** How long `key` has to wait, in whole milliseconds; 0 when a cell may come now. Takes nothing. */
  waitMs(key: string, nowMs: number, pace: Pace): number {
    return Math.ceil(Math.max(0, this.#due(key, nowMs) - nowMs - toleranceMs(pace)));
  }

  /** Takes one cell whatever is left; more than there was is waited for. */
  charge(key: string, nowMs: number, pace: Pace): void {
    const dueAtMs = this.#due(key, nowMs) + intervalMs(pace);
    // Deleted first, so that the oldest key of the map is the one that was quiet for longest.
    this.#dueAtMs.delete(key);
    if (this.#dueAtMs.size >= this.#keysMax) this.#dueAtMs.delete(this.#dueAtMs.keys().next().value as string);
    this.#dueAtMs.set(key, dueAtMs);
  }

  /** Takes one cell and returns 0, or takes nothing and returns how long to wait. */
  take(key: string, nowMs: number, pace: Pace): number {
    const waitMs = this.waitMs(key, nowMs, pace);
    if (waitMs === 0) this.charge(key, nowMs, pace);
    return waitMs;
  }

  /** Cells of `key` that may still come at once, and in how many whole milliseconds it will be the whole burst again. */
  left(key: string, nowMs: number, pace: Pace): { readonly cells: number; readonly resetMs: number } {
    const aheadMs = this.#due(key, nowMs) - nowMs;
    const cells = Math.floor((toleranceMs(pace) - aheadMs) / intervalMs(pace)) + 1;
    return { cells: Math.max(0, cells), resetMs: Math.ceil(aheadMs) };
  }

  #due(key: string, nowMs: number): number {
    return Math.max(this.#dueAtMs.get(key) ?? nowMs, nowMs);
  }
}

function intervalMs({ perMinute }: Pace): number {
  return MINUTE_MS / perMinute;
}

function toleranceMs(pace: Pace): number {
  return intervalMs(pace) * (pace.burst - 1);
}
