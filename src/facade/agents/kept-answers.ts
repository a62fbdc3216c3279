import type { CallerKind } from "./authority.ts";

/** What is kept for the callers of one kind, and for each of them. Strangers can make keys: what they keep moves nobody else's out. */
export interface Share {
  /** Answers kept, and their bytes. */
  readonly keysMax: number;
  readonly bytesMax: number;
  /** Of one caller. */
  readonly callerKeysMax: number;
  readonly callerBytesMax: number;
  /** Writes under way that carry a key. */
  readonly runningMax: number;
}

const MEBIBYTE = 1_048_576;

/** Operators are one party: their token is one caller, whoever holds it. */
export const SHARES: Readonly<Record<CallerKind, Share>> = {
  operator: {
    ...{ keysMax: 10_000, bytesMax: 32 * MEBIBYTE, runningMax: 512 },
    ...{ callerKeysMax: 10_000, callerBytesMax: 32 * MEBIBYTE },
  },
  certificate: {
    ...{ keysMax: 5_000, bytesMax: 16 * MEBIBYTE, runningMax: 256 },
    ...{ callerKeysMax: 500, callerBytesMax: 2 * MEBIBYTE },
  },
  own_key: {
    ...{ keysMax: 5_000, bytesMax: 16 * MEBIBYTE, runningMax: 256 },
    ...{ callerKeysMax: 100, callerBytesMax: MEBIBYTE },
  },
};

export interface Kept {
  /** Whose it is: any short text, one for each caller. */
  readonly caller: string;
  /** Unix milliseconds. */
  readonly atMs: number;
  readonly bytes: number;
}

/** Which answers are kept for one kind of callers, oldest first, within its share. It holds no answers. */
export class KeptAnswers {
  readonly #share: Share;
  readonly #all = new Group();
  readonly #callers = new Map<string, Group>();

  constructor(share: Share) {
    this.#share = share;
  }

  get(name: string): Kept | undefined {
    return this.#all.get(name);
  }

  /** In the order of their times. */
  add(name: string, kept: Kept): void {
    this.forget(name);
    this.#all.add(name, kept);
    const ofCaller = this.#callers.get(kept.caller) ?? new Group();
    this.#callers.set(kept.caller, ofCaller);
    ofCaller.add(name, kept);
  }

  forget(name: string): void {
    const kept = this.#all.get(name);
    if (kept === undefined) return;
    this.#all.delete(name);
    const ofCaller = this.#callers.get(kept.caller);
    ofCaller?.delete(name);
    if (ofCaller?.size === 0) this.#callers.delete(kept.caller);
  }

  /** Forgets the oldest of this caller, then the oldest of all, as far as there are too many, and those that are too old. */
  evict(caller: string, isYoung: (atMs: number) => boolean): string[] {
    const { keysMax, bytesMax, callerKeysMax, callerBytesMax } = this.#share;
    const gone = this.#callers.get(caller)?.beyond(callerKeysMax, callerBytesMax, () => true) ?? [];
    gone.forEach((name) => this.forget(name));
    const old = this.#all.beyond(keysMax, bytesMax, isYoung);
    old.forEach((name) => this.forget(name));
    return [...gone, ...old];
  }
}

class Group {
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;

  get size(): number {
    return this.#kept.size;
  }

  get(name: string): Kept | undefined {
    return this.#kept.get(name);
  }

  add(name: string, kept: Kept): void {
    this.#kept.set(name, kept);
    this.#bytes += kept.bytes;
  }

  delete(name: string): void {
    this.#bytes -= this.#kept.get(name)?.bytes ?? 0;
    this.#kept.delete(name);
  }

  /** Oldest first: what is more than this, and what follows and is not young. */
  beyond(keysMax: number, bytesMax: number, isYoung: (atMs: number) => boolean): string[] {
    const names: string[] = [];
    let [keys, bytes] = [this.#kept.size, this.#bytes];
    for (const [name, kept] of this.#kept) {
      if (keys <= keysMax && bytes <= bytesMax && isYoung(kept.atMs)) break;
      names.push(name);
      [keys, bytes] = [keys - 1, bytes - kept.bytes];
    }
    return names;
  }
}
