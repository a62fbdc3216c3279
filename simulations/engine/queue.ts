/** Something that happens at an instant of virtual time. */
export interface SimulatedEvent {
  readonly atMs: number;
  /** Among events of one instant the one that was scheduled first happens first. */
  readonly sequence: number;
  /** `undefined` once cancelled. */
  fire: (() => void) | undefined;
}

/** A binary heap in the order of time, then of scheduling: a total order, so there is only one way to run it. */
export class EventQueue {
  readonly #heap: SimulatedEvent[] = [];

  get size(): number {
    return this.#heap.length;
  }

  push(event: SimulatedEvent): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(event, heap[parent] as SimulatedEvent)) break;
      heap[at] = heap[parent] as SimulatedEvent;
      at = parent;
    }
    heap[at] = event;
  }

  /** The next event that was not cancelled, left in its place. */
  peek(): SimulatedEvent | undefined {
    while (this.#heap[0] !== undefined && this.#heap[0].fire === undefined) this.#removeFirst();
    return this.#heap[0];
  }

  pop(): SimulatedEvent | undefined {
    const first = this.peek();
    if (first !== undefined) this.#removeFirst();
    return first;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop() as SimulatedEvent;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      const right = child + 1;
      if (right < heap.length && before(heap[right] as SimulatedEvent, heap[child] as SimulatedEvent)) child = right;
      if (!before(heap[child] as SimulatedEvent, last)) break;
      heap[at] = heap[child] as SimulatedEvent;
      at = child;
    }
    heap[at] = last;
  }
}

function before(a: SimulatedEvent, b: SimulatedEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);
}
