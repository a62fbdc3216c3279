import type { MemoryStore } from "../../src/adapters/memory/store.ts";
import type { Store, StoreEntry, StoreOperation, StoreRange, StoreReader, StoreSnapshot } from "../../src/ports/store.ts";
import type { Power } from "../engine/power.ts";
import type { FaultyDisk } from "../faults/disk.ts";

/** A process's handle on its machine's disk: dead as soon as the process is. */
export class GatedStore implements Store {
  readonly #disk: FaultyDisk;
  readonly #store: MemoryStore;
  readonly #power: Power;

  constructor(disk: FaultyDisk, power: Power) {
    this.#disk = disk;
    this.#store = disk.store;
    this.#power = power;
  }

  batch(operations: readonly StoreOperation[], options: { readonly durable: boolean }): Promise<void> {
    return this.#power.on ? this.#power.gate(this.#disk.batch(operations, options)) : never();
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return gated(this.#store, this.#power).get(key);
  }

  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return gated(this.#store, this.#power).getMany(keys);
  }

  scan(range: StoreRange): AsyncIterable<StoreEntry[]> {
    return gated(this.#store, this.#power).scan(range);
  }

  snapshot(): StoreSnapshot {
    // A dead process gets a handle too: a throw here would run code of its that no longer exists.
    const snapshot = this.#power.on ? this.#store.snapshot() : undefined;
    const close = (): Promise<void> => (snapshot === undefined ? never() : this.#power.gate(snapshot.close()));
    return { ...gated(snapshot, this.#power), close };
  }

  close(): Promise<void> {
    return this.#power.on ? this.#power.gate(this.#store.close()) : never();
  }
}

function gated(reader: StoreReader | undefined, power: Power): StoreReader {
  const ask = <T>(question: (reader: StoreReader) => Promise<T>): Promise<T> =>
    power.on && reader !== undefined ? power.gate(question(reader)) : never();
  return {
    get: (key) => ask((from) => from.get(key)),
    getMany: (keys) => ask((from) => from.getMany(keys)),
    async *scan(range) {
      const chunks = reader?.scan(range)[Symbol.asyncIterator]();
      for (;;) {
        const next = await ask<IteratorResult<StoreEntry[]>>(() => chunks?.next() ?? never());
        if (next.done === true) return;
        yield next.value;
      }
    },
  };
}

function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}
