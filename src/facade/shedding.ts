/** Under pressure what is served shrinks by this factor a second; without it each share grows by the step. */
const SHRINK = 0.7;
const SHARE_STEP = 0.05;
/** Nobody is shut out: of each standing at least so much is served. */
const SHARE_FLOOR = 0.1;
const PERIOD_MS = 1_000;

/**
 * Whose turn a request is, the last to be sent away first: those whom the operator named, and the operator; those who only read;
 * those whose request is signed and whom nobody here named, as it is the dearest to check and names cost nothing.
 */
const STANDINGS = ["wanted", "reader", "stranger"] as const;
export type Standing = (typeof STANDINGS)[number];

/** CPU in that of a read: a signed request needs a check of its signature, a durable nonce and a signed answer. */
const COSTS: Readonly<Record<Standing, number>> = { wanted: 8, reader: 1, stranger: 8 };
const HANDSHAKE_COST = 25;
/** So many reads in a second, or what costs the same, take a tenth of a core at most: who is trusted more does not lose them. */
const SPARED_COST = 1_000;

interface Part {
  /** Of its requests, SHARE_FLOOR to 1. */
  share: number;
  /** What was served beyond the share, below one request: a single one is served whatever the share is. */
  debt: number;
  /** Since the pressure was read last. */
  asked: number;
}

/**
 * Sheds requests while the process is above its limits (reputation, throttling): many strangers, each within its limit, take
 * nothing from those who read, nor these from the registries that the operator named (T25).
 */
export class Shedding {
  readonly #pressure: () => number;
  /** Since the pressure was read last. */
  #handshakes = 0;
  readonly #parts: Readonly<Record<Standing, Part>> = { wanted: fullPart(), reader: fullPart(), stranger: fullPart() };
  #readAtMs = -Infinity;

  /** @param pressure above 1 is too much; read once a second */
  constructor(pressure: () => number) {
    this.#pressure = pressure;
  }

  /** A TLS handshake was done, for whomever. */
  handshake(): void {
    this.#handshakes += 1;
  }

  /** Whether a request may be served at monotonic time `nowMs`. */
  admits(standing: Standing, nowMs: number): boolean {
    const part = this.#parts[standing];
    part.asked += 1;
    this.#adapt(nowMs);
    part.debt += 1 - part.share;
    if (part.debt < 1) return true;
    part.debt -= 1;
    return false;
  }

  #adapt(nowMs: number): void {
    const periods = Math.floor((nowMs - this.#readAtMs) / PERIOD_MS);
    if (periods < 1) return;
    this.#readAtMs = nowMs;
    if (this.#pressure() > 1) this.#shrink(periods);
    // While nobody asked there was nothing to shed, and the shares grew; pressure is known of this moment alone.
    else for (const part of Object.values(this.#parts)) part.share = Math.min(1, part.share + periods * SHARE_STEP);
    this.#handshakes = 0;
    for (const part of Object.values(this.#parts)) part.asked = 0;
  }

  /**
   * Strangers always give way. What is left goes to the most trusted first, so that the others are cut where they are the load
   * themselves, and not for those who are at their floor or shake hands. Work is counted and not requests, else a few dear ones
   * would send away many cheap ones.
   */
  #shrink(periods: number): void {
    const work = (standing: Standing): number => this.#parts[standing].asked * COSTS[standing];
    const served = STANDINGS.reduce((sum, standing) => sum + work(standing) * this.#parts[standing].share, 0);
    const { stranger } = this.#parts;
    stranger.share = Math.max(SHARE_FLOOR, stranger.share * SHRINK);
    let left = Math.max(SPARED_COST * periods, (served + this.#handshakes * HANDSHAKE_COST) * SHRINK);
    for (const standing of STANDINGS) {
      const [part, asked] = [this.#parts[standing], work(standing)];
      if (asked > 0) part.share = Math.max(SHARE_FLOOR, Math.min(part.share, left / asked));
      left = Math.max(0, left - asked * part.share);
    }
  }
}

function fullPart(): Part {
  return { share: 1, debt: 0, asked: 0 };
}
