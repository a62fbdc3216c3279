import type { Link } from "../../src/adapters/memory/link.ts";
import type { SeededRandom } from "../engine/random.ts";
import type { FaultCounter } from "./counts.ts";
import { REORDER_MS_MAX, type NetworkFaults } from "./plan.ts";

/** Bytes that a path carries in a millisecond: 100 Mbit/s. */
const BYTES_PER_MS = 12_500;

interface Path {
  readonly random: SeededRandom;
  readonly baseDelayMs: number;
}

/** The network as the seed draws it: each direction of each pair of machines has a stream of chance of its own. */
export class FaultyLink implements Link {
  readonly #random: SeededRandom;
  readonly #counter: FaultCounter;
  readonly #faults: NetworkFaults;
  readonly #paths = new Map<string, Path>();
  readonly #down = new Set<string>();
  #cut: (from: string, to: string) => boolean = nothing;
  #calm = false;

  constructor(random: SeededRandom, faults: NetworkFaults, counter: FaultCounter) {
    this.#random = random;
    this.#faults = faults;
    this.#counter = counter;
  }

  /** Which directed paths swallow everything; replaces what was cut before. */
  cut(cut: (from: string, to: string) => boolean): void {
    this.#cut = cut;
  }

  /** Takes a cut back, unless another has replaced it. */
  uncut(cut: (from: string, to: string) => boolean): void {
    if (this.#cut === cut) this.#cut = nothing;
  }

  isCut(from: string, to: string): boolean {
    return this.#down.has(from) || this.#down.has(to) || this.#cut(from, to);
  }

  /** A machine without power neither sends nor receives. */
  setDown(peerId: string, down: boolean): void {
    if (down) this.#down.add(peerId);
    else this.#down.delete(peerId);
  }

  /** From now on nothing is cut, lost, doubled or reordered; delays stay. */
  heal(): void {
    this.#cut = nothing;
    this.#calm = true;
  }

  ordered(from: string, to: string, bytes: number): number | undefined {
    return this.isCut(from, to) ? undefined : this.#delay(this.#path(from, to), bytes);
  }

  gossip(from: string, to: string, bytes: number): readonly number[] {
    if (this.isCut(from, to)) return [];
    const path = this.#path(from, to);
    const first = this.#delay(path, bytes);
    if (this.#calm) return [first];
    const { random } = path;
    if (random.chance(this.#faults.lossRate)) {
      this.#counter.count("lost");
      return [];
    }
    const delays = [first];
    if (random.chance(this.#faults.reorderRate)) {
      this.#counter.count("reordered");
      delays[0] = first + random.unit() * REORDER_MS_MAX;
    }
    if (random.chance(this.#faults.duplicateRate)) {
      this.#counter.count("doubled");
      delays.push(this.#delay(path, bytes) + random.unit() * REORDER_MS_MAX);
    }
    return delays;
  }

  #delay(path: Path, bytes: number): number {
    return path.baseDelayMs + path.random.exponential(this.#faults.jitterMsMean) + bytes / BYTES_PER_MS;
  }

  #path(from: string, to: string): Path {
    const name = `${from}>${to}`;
    let path = this.#paths.get(name);
    if (path === undefined) {
      const random = this.#random.fork(name);
      path = { random, baseDelayMs: 0.05 + random.unit() * this.#faults.baseDelayMsMax };
      this.#paths.set(name, path);
    }
    return path;
  }
}

function nothing(): boolean {
  return false;
}
