import { createHash } from "node:crypto";
import type { Random } from "../../src/ports/random.ts";

/**
 * A seeded generator (sfc32 by Chris Doty-Humphrey, public domain; passes PractRand). Its state comes from its name alone, and
 * `fork` makes a generator with a longer name: a draw added in one place changes nothing in another.
 */
export class SeededRandom implements Random {
  readonly name: string;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(name: string) {
    this.name = name;
    const state = createHash("sha256").update(name).digest();
    this.#a = state.readUInt32LE(0);
    this.#b = state.readUInt32LE(4);
    this.#c = state.readUInt32LE(8);
  }

  /** An independent generator for one purpose. The same name gives the same draws, however much was drawn here. */
  fork(name: string): SeededRandom {
    return new SeededRandom(`${this.name}/${name}`);
  }

  /** An integer of 32 bits. */
  next(): number {
    const out = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + out) | 0;
    return out >>> 0;
  }

  unit(): number {
    // 53 bits: all that a double between 0 and 1 can hold.
    return ((this.next() >>> 5) * 67_108_864 + (this.next() >>> 6)) / 9_007_199_254_740_992;
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i++) out[i] = this.next() >>> 24;
    return out;
  }

  /** A number in [low, high). */
  between(low: number, high: number): number {
    return low + this.unit() * (high - low);
  }

  /** An integer in [low, high]. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.unit() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  /** A waiting time with the given mean. */
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.unit());
  }

  /** One of `items`, of which there is at least one. */
  pick<T>(items: readonly T[]): T {
    return items[this.integer(0, items.length - 1)] as T;
  }

  /** `items` in another order. */
  shuffle<T>(items: readonly T[]): T[] {
    const out = [...items];
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.integer(0, i);
      [out[i], out[j]] = [out[j] as T, out[i] as T];
    }
    return out;
  }
}
