import { SortedMap } from "../../src/adapters/memory/sorted-map.ts";
import { MemoryStore, type MemoryStoreHooks } from "../../src/adapters/memory/store.ts";
import type { StoreOperation } from "../../src/ports/store.ts";
import type { SeededRandom } from "../engine/random.ts";
import type { Simulation } from "../engine/simulation.ts";
import type { FaultCounter } from "./counts.ts";
import { SLOW_FACTOR, type DiskFaults } from "./plan.ts";

/** Writes that take longer than this count as slow, in milliseconds. */
const SLOW_WRITE_MS = 50;

export interface CrashAtWrite {
  /** Writes that still succeed before it strikes. */
  readonly afterWrites: number;
  readonly crash: () => void;
}

/** A machine's disk: it outlives the process, takes its time, refuses writes, and may be where a crash strikes. */
export class FaultyDisk {
  readonly #simulation: Simulation;
  readonly #owner: string;
  readonly #random: SeededRandom;
  readonly #faults: DiskFaults;
  readonly #counter: FaultCounter;
  readonly #slow: boolean;
  readonly #hooks: MemoryStoreHooks = { beforeWrite: (operations, { durable }) => this.#beforeWrite(operations, durable) };
  #store: MemoryStore;
  #calm = false;
  #crashAtWrite: { left: number; crash: () => void } | undefined;
  #bytesWritten = 0;
  #underWay = 0;

  constructor(simulation: Simulation, owner: string, random: SeededRandom, faults: DiskFaults, counter: FaultCounter) {
    this.#simulation = simulation;
    this.#owner = owner;
    this.#random = random;
    this.#faults = faults;
    this.#counter = counter;
    this.#slow = random.chance(faults.slowShare);
    this.#store = new MemoryStore(this.#hooks);
  }

  /** The store as the running process has it open. */
  get store(): MemoryStore {
    return this.#store;
  }

  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  batch(operations: readonly StoreOperation[], options: { readonly durable: boolean }): Promise<void> {
    this.#underWay++;
    const store = this.#store;
    return store.batch(operations, options).finally(() => {
      if (store === this.#store) this.#underWay--;
    });
  }

  /** Strikes once, in the middle of a write that is neither refused nor done. */
  crashAtWrite(plan: CrashAtWrite): void {
    this.#crashAtWrite = { left: plan.afterWrites, crash: plan.crash };
  }

  /**
   * The process is gone. What it had handed to the operating system survives a kill, a drawn part of it a cut of power; of the
   * writes under way a drawn number is applied, in order.
   */
  reopen(options: { readonly powerCut: boolean }): void {
    this.#crashAtWrite = undefined;
    const pending = this.#store.pendingBatches;
    const surviving = options.powerCut ? 0 : pending - this.#underWay;
    this.#underWay = 0;
    this.#store = this.#store.crash(this.#random.integer(surviving, pending));
  }

  /** Puts a copy of the disk in the place of the disk, whose process has ended; without a copy an empty one. */
  replace(copy: SortedMap = SortedMap.EMPTY): void {
    this.#underWay = 0;
    this.#store.crash();
    this.#store = new MemoryStore(this.#hooks, copy);
  }

  /** From now on every write succeeds, and none is slow. */
  heal(): void {
    this.#calm = true;
    this.#crashAtWrite = undefined;
  }

  async #beforeWrite(operations: readonly StoreOperation[], durable: boolean): Promise<void> {
    const store = this.#store;
    const delayMs = this.#random.exponential(this.#faults.writeMsMean) * (this.#slow && !this.#calm ? SLOW_FACTOR : 1);
    const fails = this.#random.chance(this.#faults.failureRate) && !this.#calm;
    if (delayMs > SLOW_WRITE_MS) this.#counter.count("slowWrite");
    await this.#simulation.sleep(delayMs);
    if (store !== this.#store) return;
    if (this.#crashAtWrite !== undefined && this.#crashAtWrite.left-- === 0) {
      this.#crashAtWrite.crash();
      return;
    }
    if (fails) {
      this.#counter.count("failedWrite");
      throw new Error("the disk is full");
    }
    this.#record(operations, durable);
  }

  #record(operations: readonly StoreOperation[], durable: boolean): void {
    const { trace, nowMs } = this.#simulation;
    trace.record(nowMs, "write", this.#owner, `${operations.length} ${durable ? "durable" : ""}`);
    for (const operation of operations) {
      const value = operation.type === "put" ? operation.value : undefined;
      this.#bytesWritten += operation.key.length + (value?.length ?? 0);
      trace.record(nowMs, "write", operation.type, "key", operation.key);
      if (value !== undefined) trace.record(nowMs, "write", operation.type, "value", value);
    }
  }
}
