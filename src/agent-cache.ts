import { HLC_AHEAD_MS_MAX, hlcTime } from "../protocols/record/hlc.ts";
import type { AgentDocument } from "./api.ts";
import type { Clock } from "./ports/clock.ts";

/** Answers kept at the most; the oldest leave first. */
export const CACHED_AGENTS_MAX = 16_384;
/** Record bytes kept at the most. */
export const CACHED_BYTES_MAX = 67_108_864;

/**
 * The state of all that we hold, as a number: it moves after whatever may change which record is shown for an agent, and before
 * the change is reported to anybody.
 */
export class Generation {
  #number = 0;

  get number(): number {
    return this.#number;
  }

  move(): void {
    this.#number += 1;
  }
}

/** What was found, and whether only catalogues decided it: an answer that time alone may change is not kept. */
export interface Found {
  readonly document: AgentDocument | undefined;
  readonly lasting: boolean;
}

/**
 * Agents as they were asked for, each as long as the generation in which its search began. A search during which the generation
 * moved is not kept: it may have read what was before. Those who ask for the same agent at once share one search.
 */
export class AgentCache {
  readonly #generation: Generation;
  readonly #clock: Clock;
  readonly #search: (didOrName: string) => Promise<Found>;
  readonly #kept = new Map<string, AgentDocument>();
  readonly #searches = new Map<string, { readonly number: number; readonly document: Promise<AgentDocument | undefined> }>();
  #number = 0;
  #bytes = 0;

  constructor(generation: Generation, clock: Clock, search: (didOrName: string) => Promise<Found>) {
    this.#generation = generation;
    this.#clock = clock;
    this.#search = search;
  }

  get(didOrName: string): Promise<AgentDocument | undefined> {
    const { number } = this.#generation;
    if (number !== this.#number) this.#clear(number);
    const kept = this.#kept.get(didOrName);
    if (kept !== undefined && this.#isAdmitted(kept)) return Promise.resolve(kept);
    const search = this.#searches.get(didOrName);
    if (search?.number === number) return search.document;
    const document = this.#find(didOrName, number);
    this.#searches.set(didOrName, { number, document });
    const forget = (): void => {
      if (this.#searches.get(didOrName)?.document === document) this.#searches.delete(didOrName);
    };
    document.then(forget, forget);
    return document;
  }

  async #find(didOrName: string, number: number): Promise<AgentDocument | undefined> {
    const { document, lasting } = await this.#search(didOrName);
    if (document !== undefined && lasting && number === this.#generation.number) this.#keep(didOrName, document);
    return document;
  }

  #keep(didOrName: string, document: AgentDocument): void {
    const { number } = this.#generation;
    if (number !== this.#number) this.#clear(number);
    const before = this.#kept.get(didOrName);
    if (before !== undefined) this.#drop(didOrName, before);
    this.#kept.set(didOrName, document);
    this.#bytes += document.bytes.length;
    for (const [oldest, { bytes }] of this.#kept) {
      if (this.#kept.size <= CACHED_AGENTS_MAX && this.#bytes <= CACHED_BYTES_MAX) return;
      this.#drop(oldest, { bytes });
    }
  }

  /** A clock that was set back may put a record of another registry into the future again (T34). */
  #isAdmitted({ own, hlc }: AgentDocument): boolean {
    return own || hlcTime(hlc) <= this.#clock.now() + HLC_AHEAD_MS_MAX;
  }

  #drop(didOrName: string, { bytes }: { readonly bytes: Uint8Array }): void {
    this.#kept.delete(didOrName);
    this.#bytes -= bytes.length;
  }

  #clear(number: number): void {
    this.#kept.clear();
    this.#bytes = 0;
    this.#number = number;
  }
}
