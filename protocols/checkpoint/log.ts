import { ProtocolError } from "../lib/errors.ts";
import { HASH_BYTES } from "../lib/hash.ts";
import {
  consistencyPath,
  EMPTY_LOG_ROOT,
  inclusionPath,
  isPowerOfTwo,
  LOG_SIZE_MAX,
  logNodeHash,
  splitOf,
  type RangeHash,
} from "./log-proof.ts";

export {
  commitLeafHash,
  LOG_PROOF_HASHES_MAX,
  LOG_SIZE_MAX,
  logRoot,
  proveConsistency,
  proveLogInclusion,
  verifyConsistency,
  verifyLogInclusion,
} from "./log-proof.ts";

/**
 * The log kept in memory: the hash of every full subtree, a column for each level, about 64 bytes for each leaf. Appending and
 * taking the root cost O(log n) hashes, a proof O(log² n).
 */
export class LogTree {
  readonly #levels: HashColumn[] = [new HashColumn()];

  get size(): number {
    return this.#level(0).length;
  }

  /** @param leafHash 32 bytes, see `commitLeafHash`; copied */
  append(leafHash: Uint8Array): void {
    if (leafHash.length !== HASH_BYTES || this.size >= LOG_SIZE_MAX) {
      throw new ProtocolError("limit_exceeded", `a leaf hash has ${HASH_BYTES} bytes and a log at most ${LOG_SIZE_MAX} leaves`);
    }
    this.#level(0).push(leafHash);
    for (let level = 0; this.#level(level).length % 2 === 0; level++) {
      const column = this.#level(level);
      if (level + 1 === this.#levels.length) this.#levels.push(new HashColumn());
      this.#level(level + 1).push(logNodeHash(column.view(column.length - 2), column.view(column.length - 1)));
    }
  }

  /** Forgets all leaves from `size` on. @throws ProtocolError `bad_proof` beyond the end */
  truncate(size: number): void {
    this.#checkSize(size);
    this.#levels.forEach((column, level) => column.truncate(Math.floor(size / 2 ** level)));
    while (this.#levels.length > 1 && this.#levels.at(-1)?.length === 0) this.#levels.pop();
  }

  root(): Uint8Array {
    return this.rootAt(this.size);
  }

  /** The root when the log had `size` leaves. @throws ProtocolError `bad_proof` beyond the end */
  rootAt(size: number): Uint8Array {
    this.#checkSize(size);
    return size === 0 ? EMPTY_LOG_ROOT : this.#range(0, size);
  }

  /** @throws ProtocolError `bad_proof` unless index < size ≤ this.size */
  inclusion(index: number, size: number): Uint8Array[] {
    this.#checkSize(size);
    return inclusionPath(this.#range, index, size);
  }

  /** @throws ProtocolError `bad_proof` unless from ≤ to ≤ this.size */
  consistency(from: number, to: number): Uint8Array[] {
    this.#checkSize(to);
    return consistencyPath(this.#range, from, to);
  }

  /** A copy of the hash of leaf `index`. @throws ProtocolError `bad_proof` beyond the end */
  leafHash(index: number): Uint8Array {
    if (!Number.isSafeInteger(index) || index < 0 || index >= this.size) {
      throw new ProtocolError("bad_proof", `a log of ${this.size} leaves has no leaf ${index}`);
    }
    return this.#level(0).at(index);
  }

  readonly #range: RangeHash = (low, high) => {
    const count = high - low;
    // Ranges of a power of two come from halving at powers of two, so they are aligned and their hash is kept.
    if (isPowerOfTwo(count)) return this.#level(Math.log2(count)).at(low / count);
    const middle = low + splitOf(count);
    return logNodeHash(this.#range(low, middle), this.#range(middle, high));
  };

  #level(level: number): HashColumn {
    return this.#levels[level] as HashColumn;
  }

  #checkSize(size: number): void {
    if (!Number.isSafeInteger(size) || size < 0 || size > this.size) {
      throw new ProtocolError("bad_proof", `the log has ${this.size} leaves, not ${size}`);
    }
  }
}

/** Hashes in one block of a column: 8 KiB, so that a small log stays small and a large one is never copied to grow. */
const BLOCK_HASHES = 256;

class HashColumn {
  readonly #blocks: Buffer[] = [];
  length = 0;

  push(hash: Uint8Array): void {
    const offset = this.length % BLOCK_HASHES;
    if (offset === 0) this.#blocks.push(Buffer.allocUnsafeSlow(BLOCK_HASHES * HASH_BYTES));
    (this.#blocks.at(-1) as Buffer).set(hash, offset * HASH_BYTES);
    this.length++;
  }

  truncate(length: number): void {
    this.#blocks.length = Math.ceil(length / BLOCK_HASHES);
    this.length = length;
  }

  /** The kept bytes themselves: for reading at once, not for handing out. */
  view(index: number): Uint8Array {
    const start = (index % BLOCK_HASHES) * HASH_BYTES;
    return (this.#blocks[Math.floor(index / BLOCK_HASHES)] as Buffer).subarray(start, start + HASH_BYTES);
  }

  at(index: number): Uint8Array {
    return Uint8Array.from(this.view(index));
  }
}
