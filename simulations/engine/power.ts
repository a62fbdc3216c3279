/**
 * One run of a simulated process, from its start to its end or crash. Every port of the process asks it before it does
 * anything: what a crashed process still had in its hands never happens, and what it waited for never comes.
 */
export class Power {
  /** Unique among the runs of all machines: `n3#2` is the second run of machine n3. */
  readonly name: string;
  #on = true;
  #pendingTimers = 0;
  #pendingTurns = 0;

  constructor(name: string) {
    this.name = name;
  }

  get on(): boolean {
    return this.#on;
  }

  off(): void {
    this.#on = false;
  }

  /** Timers armed and neither fired nor cancelled. */
  get pendingTimers(): number {
    return this.#pendingTimers;
  }

  /** Turns scheduled and not yet run. */
  get pendingTurns(): number {
    return this.#pendingTurns;
  }

  countTimer(change: 1 | -1): void {
    this.#pendingTimers += change;
  }

  countTurn(change: 1 | -1): void {
    this.#pendingTurns += change;
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
