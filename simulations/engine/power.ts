/**
 * One run of a simulated process, from its start to its end or crash. Every port of the process asks it before it does
 * anything: what a crashed process still had in its hands never happens, and what it waited for never comes.
 */
export class Power {
  /** Unique among the runs of all machines: `n3#2` is the second run of machine n3. */
  readonly name: string;
  #on = true;
  /** What to call when the power goes: each frees what the rest of the run would otherwise hold of a dead process. */
  readonly #timers = new Set<() => void>();
  readonly #questions = new Set<() => void>();
  #pendingTurns = 0;

  constructor(name: string) {
    this.name = name;
  }

  get on(): boolean {
    return this.#on;
  }

  off(): void {
    this.#on = false;
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
    for (const giveUp of this.#questions) giveUp();
    this.#questions.clear();
  }

  /** Timers armed and neither fired nor cancelled. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** Turns scheduled and not yet run. */
  get pendingTurns(): number {
    return this.#pendingTurns;
  }

  /** Cancelled when the power goes, unless `disarm` was called with it. */
  arm(cancel: () => void): void {
    this.#timers.add(cancel);
  }

  disarm(cancel: () => void): void {
    this.#timers.delete(cancel);
  }

  countTurn(change: 1 | -1): void {
    this.#pendingTurns += change;
  }

  /** `promise`, or `undefined` from the moment the power is off. */
  whileOn<T>(promise: Promise<T>): Promise<T | undefined> {
    // Not Promise.race: the loser of a race holds the winner's result for as long as it is pending itself.
    return new Promise<T | undefined>((resolve, reject) => {
      const giveUp = (): void => resolve(undefined);
      if (!this.#on) return giveUp();
      this.#questions.add(giveUp);
      promise.then(resolve, reject).finally(() => this.#questions.delete(giveUp));
    });
  }

  /** `promise` while the power is on; for ever pending from the moment it is off. */
  gate<T>(promise: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      promise.then(
        (value) => {
          if (this.#on) resolve(value);
        },
        (error: unknown) => {
          if (this.#on) reject(error as Error);
        },
      );
    });
  }
}
