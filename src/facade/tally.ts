/** How many, or how much, there is of each key. */
export class Tally {
  readonly #counts = new Map<string, number>();

  of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  /** @param amount may be negative @returns how many there are now */
  add(key: string, amount: number = 1): number {
    const count = this.of(key) + amount;
    if (count <= 0) this.#counts.delete(key);
    else this.#counts.set(key, count);
    return count;
  }

  remove(key: string): void {
    this.add(key, -1);
  }
}
