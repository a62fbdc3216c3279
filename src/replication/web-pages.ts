import type { Refusal } from "../../protocols/catalog-sync/messages.ts";
import type { CatalogPage, PageRefusal, PageRequest } from "../../protocols/http/catalog-page.ts";
import { AbortAfter } from "../ports/abort-after.ts";
import type { Clock } from "../ports/clock.ts";
import { pause } from "../ports/pause.ts";
import { WebError, type Web, type WebPeer } from "../ports/web.ts";
import { RETRY_MS_MAX, RETRY_MS_MIN } from "./attempts.ts";
import { SESSION_MS_MAX } from "./stream.ts";

/** A page that takes longer is given up, and the session with it. */
export const PAGE_MS_MAX = 10_000;
/**
 * A walk may take SESSION_MS_MAX, and so long more for each change that it has brought: who trickles is left for others, who is
 * large or sends us to wait between pages is not.
 */
export const CHANGE_MS_MAX = 2;

export interface WebPagesOptions {
  readonly web: Web;
  readonly peer: WebPeer;
  readonly clock: Clock;
  /** Ends the session, waits included. */
  readonly signal: AbortSignal;
}

/** Asks one peer for pages. Once it has given one, a wait that it asks for is waited here: the walk goes on where it stands. */
export class WebPages {
  readonly #options: WebPagesOptions;
  readonly #beganMs: number;
  #begun = false;
  #changes = 0;

  constructor(options: WebPagesOptions) {
    this.#options = options;
    this.#beganMs = options.clock.monotonic();
  }

  /** @throws WebError, ProtocolError, NetworkError `timeout` */
  async get(request: PageRequest): Promise<CatalogPage | Refusal> {
    for (;;) {
      this.#checkPace();
      const answer = await this.#ask(request);
      if (!("kind" in answer)) {
        this.#begun = true;
        this.#changes += answer.changes.length;
        return answer;
      }
      if (!this.#begun || (answer.code !== "throttled" && answer.code !== "busy")) return answer;
      const { clock, signal } = this.#options;
      await pause(clock, Math.min(RETRY_MS_MAX, Math.max(RETRY_MS_MIN, answer.retryAfterMs)), signal);
    }
  }

  #checkPace(): void {
    const elapsedMs = this.#options.clock.monotonic() - this.#beganMs;
    if (elapsedMs <= SESSION_MS_MAX + this.#changes * CHANGE_MS_MAX) return;
    throw new WebError("timeout", `the peer took ${Math.ceil(elapsedMs)} ms for ${this.#changes} changes`);
  }

  async #ask(request: PageRequest): Promise<CatalogPage | Refusal> {
    const { web, peer, clock, signal } = this.#options;
    using deadline = new AbortAfter(clock, PAGE_MS_MAX, signal);
    try {
      const answer = await web.catalogPage(peer, request, { signal: deadline.signal });
      return typeof answer === "string" ? refusal(CODES[answer], 0) : answer;
    } catch (error) {
      if (error instanceof WebError && error.code === "throttled") return refusal("throttled", error.retryAfterMs);
      throw error;
    }
  }
}

/** The same reasons over a stream. */
const CODES: Readonly<Record<PageRefusal, Refusal["code"]>> = {
  unknown_base: "unknown_base",
  bad_cursor: "bad_request",
  empty: "empty",
  busy: "busy",
};

function refusal(code: Refusal["code"], retryAfterMs: number): Refusal {
  return { kind: "refusal", code, retryAfterMs };
}
