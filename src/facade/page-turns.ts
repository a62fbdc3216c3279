import type { CancelTimer, Clock } from "../ports/clock.ts";
import { busyProblem } from "./refusals.ts";

/** Pages in work at a time, at most one for each registry. */
export const PAGES_IN_WORK_MAX = 2;
/** Requests that wait for their turn: of one registry; of all that the operator named; and of all others. */
export const PAGES_WAITING_PER_REGISTRY_MAX = 4;
export const PAGES_WAITING_MAX = 64;
/** A registry that has waited so long is told to come again. */
export const PAGE_WAIT_MS_MAX = 3_000;

export interface TurnBounds {
  /** Work at a time, at most one for each asker. */
  readonly inWorkMax: number;
  /** Requests that wait: of one asker; of all named ones, and of all others. */
  readonly waitingPerAskerMax: number;
  readonly waitingMax: number;
  /** Who has waited so long is told to come again. */
  readonly waitMsMax: number;
}

const PAGES: TurnBounds = {
  inWorkMax: PAGES_IN_WORK_MAX,
  waitingPerAskerMax: PAGES_WAITING_PER_REGISTRY_MAX,
  waitingMax: PAGES_WAITING_MAX,
  waitMsMax: PAGE_WAIT_MS_MAX,
};

interface Waiting {
  readonly asker: string;
  readonly isWanted: boolean;
  readonly start: () => void;
}

/** Whose page is made next (T25): one for each asker at a time, those that the operator named first, then who came first. */
export class PageTurns {
  readonly #clock: Clock;
  readonly #bounds: TurnBounds;
  readonly #inWork = new Set<string>();
  readonly #waiting = new Set<Waiting>();

  constructor(clock: Clock, bounds: TurnBounds = PAGES) {
    this.#clock = clock;
    this.#bounds = bounds;
  }

  /** Runs `work` when it is this asker's turn. @throws ProblemError `busy`, and what `work` throws */
  async run<T>(asker: string, isWanted: boolean, work: () => Promise<T>): Promise<T> {
    await this.#turn(asker, isWanted);
    try {
      return await work();
    } finally {
      this.#inWork.delete(asker);
      this.#next();
    }
  }

  #turn(asker: string, isWanted: boolean): Promise<void> {
    const waiting = [...this.#waiting];
    const ofAsker = waiting.filter((one) => one.asker === asker).length;
    const ofKind = waiting.filter((one) => one.isWanted === isWanted).length;
    const { waitingPerAskerMax, waitingMax } = this.#bounds;
    if (ofAsker >= waitingPerAskerMax) throw busyProblem("earlier pages that you asked for wait: ask one by one");
    if (ofKind >= waitingMax) throw busyProblem("too many others wait for pages: try again later");
    return new Promise((resolve, reject) => {
      const one: Waiting = {
        ...{ asker, isWanted },
        start: () => {
          cancel();
          resolve();
        },
      };
      const cancel: CancelTimer = this.#clock.after(this.#bounds.waitMsMax, () => {
        if (this.#waiting.delete(one)) reject(busyProblem("others' pages come first: try again later"));
      });
      this.#waiting.add(one);
      this.#next();
    });
  }

  #next(): void {
    while (this.#inWork.size < this.#bounds.inWorkMax) {
      const free = [...this.#waiting].filter(({ asker }) => !this.#inWork.has(asker));
      const next = free.find(({ isWanted }) => isWanted) ?? free[0];
      if (next === undefined) return;
      this.#waiting.delete(next);
      this.#inWork.add(next.asker);
      next.start();
    }
  }
}
