import { CONNECTIONS_PER_WANTED_MAX } from "./limits.ts";
import { Tally } from "./tally.ts";

/**
 * Who holds the places for connections whose handshake is done: those of registries that the operator named, which give way to
 * nobody, and all others. Of each named registry only so many count as such: it may have gone bad.
 */
export class Places<Holder extends object> {
  /** Requests in flight of each. */
  readonly #inFlight = new Map<Holder, number>();
  /** Without a request in flight and without a name, the longest idle first. */
  readonly #idle = new Set<Holder>();
  readonly #names = new Map<Holder, string>();
  readonly #perName = new Tally();

  get size(): number {
    return this.#inFlight.size;
  }

  isNamed(holder: Holder): boolean {
    return this.#names.has(holder);
  }

  take(holder: Holder): void {
    this.#inFlight.set(holder, 0);
    this.#idle.add(holder);
  }

  leave(holder: Holder): void {
    this.name(holder, undefined);
    this.#inFlight.delete(holder);
    this.#idle.delete(holder);
  }

  /** A request is in flight. @returns to be called once when it is over */
  begin(holder: Holder): () => void {
    this.#count(holder, 1);
    return () => this.#count(holder, -1);
  }

  /** @param name whose connection it is; `undefined` for whom nobody named */
  name(holder: Holder, name: string | undefined): void {
    const before = this.#names.get(holder);
    if (!this.#inFlight.has(holder) || name === before) return;
    if (before !== undefined) {
      this.#perName.remove(before);
      this.#names.delete(holder);
    }
    if (name !== undefined && this.#perName.of(name) < CONNECTIONS_PER_WANTED_MAX) {
      this.#perName.add(name);
      this.#names.set(holder, name);
    }
    this.#sort(holder);
  }

  /** Those who can give way, the longest idle first. */
  idle(): Iterable<Holder> {
    return this.#idle;
  }

  #count(holder: Holder, change: number): void {
    const before = this.#inFlight.get(holder);
    if (before === undefined) return;
    this.#inFlight.set(holder, before + change);
    this.#sort(holder);
  }

  #sort(holder: Holder): void {
    const canGo = this.#inFlight.get(holder) === 0 && !this.#names.has(holder);
    if (canGo) this.#idle.add(holder);
    else this.#idle.delete(holder);
  }
}
