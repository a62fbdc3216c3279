/** After all sources have failed the next round waits, doubling up to the bound. */
export const RETRY_MS_MIN = 250;
export const RETRY_MS_MAX = 60_000;
/** Between two sources of one round. */
export const NEXT_SOURCE_MS = 50;

/** Why a session brought nothing: what is done next depends on it. */
export type Setback =
  /** The session broke, was refused, or served what does not verify. */
  | { readonly kind: "failed" }
  /** The peer asks us to wait; longer than RETRY_MS_MAX is not believed. */
  | { readonly kind: "throttled"; readonly retryAfterMs: number }
  /** Its frontier does not fold into our map: nobody is to blame, the maps are compared. */
  | { readonly kind: "not_foldable" };

export interface Wait {
  readonly delayMs: number;
  /** Whether news may cut it short; a peer that asked for time gets it. */
  readonly firm: boolean;
}

/**
 * Whom to ask next, how, and when. Sources are asked in turn, the best one first after each success; a round in which all
 * failed is followed by a pause that doubles. No answer of a peer makes us wait for longer than RETRY_MS_MAX, or ask it alone.
 */
export class Attempts {
  #sources: readonly string[] = [];
  #next = 0;
  #failures = 0;
  #throttled = false;
  #comparisons = 0;

  /** A peer id, or the URL of the home's web face; `undefined` when nobody is there to be asked. */
  get source(): string | undefined {
    return this.#sources[this.#next % this.#sources.length];
  }

  /** How to compare maps in the next session; `undefined` leaves it to the session. */
  get descend(): "short" | "full" | undefined {
    return ([undefined, "short", "full"] as const)[this.#comparisons];
  }

  /** Whether each source has failed since the last success or `restart`. */
  get exhausted(): boolean {
    return this.#failures >= this.#sources.length;
  }

  /** @param sources best first */
  setSources(sources: readonly string[]): void {
    const asked = this.source;
    this.#sources = sources;
    const at = asked === undefined ? -1 : sources.indexOf(asked);
    // Who comes and goes must not make us begin each round with the same bad source.
    this.#next = at >= 0 && this.#failures > 0 ? at : 0;
  }

  succeeded(): void {
    this.restart();
    this.#next = 0;
    this.#comparisons = 0;
  }

  /** The next round begins without a pause, because somebody asked for it. */
  restart(): void {
    this.#failures = 0;
    this.#throttled = false;
  }

  setback(setback: Setback): Wait {
    if (setback.kind === "not_foldable" && this.#comparisons < 2) {
      this.#comparisons += 1;
      return { delayMs: 0, firm: false };
    }
    if (setback.kind === "throttled" && !this.#throttled) {
      this.#throttled = true;
      return { delayMs: Math.min(RETRY_MS_MAX, Math.max(RETRY_MS_MIN, setback.retryAfterMs)), firm: true };
    }
    this.#throttled = false;
    this.#comparisons = 0;
    this.#failures += 1;
    this.#next += 1;
    const sources = Math.max(1, this.#sources.length);
    if (this.#failures % sources !== 0) return { delayMs: NEXT_SOURCE_MS, firm: false };
    const rounds = this.#failures / sources;
    return { delayMs: Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** (rounds - 1)), firm: false };
  }
}
