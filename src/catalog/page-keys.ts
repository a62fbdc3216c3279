import { compare } from "../../protocols/lib/bytes.ts";
import { sortedUnique } from "./recent-changes.ts";

/** Keys held before the largest are dropped, as a multiple of those that are wanted. */
const HELD_FACTOR = 4;

/** The first `count` keys after `after`, of any number of keys in any order: memory for some thousands, whatever comes. */
export class FirstKeys {
  readonly #after: Uint8Array | undefined;
  readonly #count: number;
  #held: Uint8Array[] = [];
  /** Once so many are held: no key from here on can be among the first. */
  #bound: Uint8Array | undefined;

  constructor(after: Uint8Array | undefined, count: number) {
    this.#after = after;
    this.#count = count;
  }

  add(key: Uint8Array): void {
    if (this.#after !== undefined && compare(key, this.#after) <= 0) return;
    if (this.#bound !== undefined && compare(key, this.#bound) >= 0) return;
    this.#held.push(key);
    if (this.#held.length >= this.#count * HELD_FACTOR) this.#reduce();
  }

  /** Ascending, each once. */
  keys(): readonly Uint8Array[] {
    this.#reduce();
    return this.#held;
  }

  #reduce(): void {
    this.#held = sortedUnique(this.#held).slice(0, this.#count);
    if (this.#held.length === this.#count) this.#bound = this.#held.at(-1);
  }
}
