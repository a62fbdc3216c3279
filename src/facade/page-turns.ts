import type { CancelTimer, Clock } from "../ports/clock.ts";
import { busyProblem } from "./refusals.ts";

/** Pages in work at a time, at most one for each registry. */
export const PAGES_IN_WORK_MAX = 2;
/** Requests that wait for their turn: of one registry; of all that the operator named; and of all others. */
export const PAGES_WAITING_PER_REGISTRY_MAX = 4;
export const PAGES_WAITING_MAX = 64;
/** A registry that has waited so long is told to come again. */
export const PAGE_WAIT_MS_MAX = 3_000;

interface Waiting {
  readonly did: string;
  readonly isWanted: boolean;
  readonly start: () => void;
}

/** Whose page is made next (T25): one for each registry at a time, those that the operator named first, then who came first. */
export class PageTurns {
  readonly #clock: Clock;
  readonly #inWork = new Set<string>();
  readonly #waiting = new Set<Waiting>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `work` when it is this registry's turn. @throws ProblemError `busy`, and what `work` throws */
  async run<T>(did: string, isWanted: boolean, work: () => Promise<T>): Promise<T> {
    await this.#turn(did, isWanted);
    try {
      return await work();
    } finally {
      this.#inWork.delete(did);
      this.#next();
    }
  }

  #turn(did: string, isWanted: boolean): Promise<void> {
    const waiting = [...this.#waiting];
    const ofRegistry = waiting.filter((one) => one.did === did).length;
    const ofKind = waiting.filter((one) => one.isWanted === isWanted).length;
    if (ofRegistry >= PAGES_WAITING_PER_REGISTRY_MAX) throw busyProblem("earlier pages of your registry wait: ask one by one");
    if (ofKind >= PAGES_WAITING_MAX) throw busyProblem("too many registries wait for pages: try again later");
    return new Promise((resolve, reject) => {
      const one: Waiting = {
        ...{ did, isWanted },
        start: () => {
          cancel();
          resolve();
        },
      };
      const cancel: CancelTimer = this.#clock.after(PAGE_WAIT_MS_MAX, () => {
        if (this.#waiting.delete(one)) reject(busyProblem("other registries' pages come first: try again later"));
      });
      this.#waiting.add(one);
      this.#next();
    });
  }

  #next(): void {
    while (this.#inWork.size < PAGES_IN_WORK_MAX) {
      const free = [...this.#waiting].filter(({ did }) => !this.#inWork.has(did));
      const next = free.find(({ isWanted }) => isWanted) ?? free[0];
      if (next === undefined) return;
      this.#waiting.delete(next);
      this.#inWork.add(next.did);
      next.start();
    }
  }
}
