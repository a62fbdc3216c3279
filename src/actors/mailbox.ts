/** A bounded first-in-first-out queue over a ring that grows to its bound: `push` says when it is full, nothing is dropped silently. */
export class Mailbox<M> {
  readonly #max: number;
  #ring: (M | undefined)[];
  #head = 0;
  #size = 0;

  constructor(max: number) {
    this.#max = max;
    this.#ring = new Array<M | undefined>(Math.min(max, INITIAL_SLOTS));
  }

  get size(): number {
    return this.#size;
  }

  /** False when the mailbox is full. */
  push(message: M): boolean {
    if (this.#size >= this.#max) return false;
    this.force(message);
    return true;
  }

  /** Takes the message even beyond the bound: only for outcomes of the actor's own tasks and timers, which have bounds of their own. */
  force(message: M): void {
    if (this.#size === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#size) % this.#ring.length] = message;
    this.#size += 1;
  }

  shift(): M | undefined {
    if (this.#size === 0) return undefined;
    const message = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) % this.#ring.length;
    this.#size -= 1;
    return message;
  }

  clear(): void {
    this.#ring = new Array<M | undefined>(this.#ring.length);
    this.#head = 0;
    this.#size = 0;
  }

  #grow(): void {
    const next = new Array<M | undefined>(this.#ring.length * 2);
    for (let i = 0; i < this.#size; i++) next[i] = this.#ring[(this.#head + i) % this.#ring.length];
    this.#ring = next;
    this.#head = 0;
  }
}

const INITIAL_SLOTS = 16;
