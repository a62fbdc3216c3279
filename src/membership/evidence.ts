import { concat, hex, utf8 } from "../../protocols/lib/bytes.ts";
import { HASH_BYTES, sha256 } from "../../protocols/lib/hash.ts";
import type { StoreOperation } from "../ports/store.ts";
import { memberKey } from "./rows.ts";

/** Pieces of evidence kept in all, and how many of them only against registries that are wanted: configured or followed here. */
export const EVIDENCE_MAX = 1_000;
export const EVIDENCE_RESERVED = 250;
/** Pieces kept against one registry: one convicts it, and it must not fill the space for others with its own. */
export const EVIDENCE_PER_REGISTRY_MAX = 8;
/** Registries that are isolated, and how many of them only such as are wanted; a hash of 32 bytes each. */
export const ISOLATED_MAX = 65_536;
export const ISOLATED_RESERVED = 4_096;

const SERIAL_BYTES = 6;

/** One piece, as the key of its row tells it. */
interface Piece {
  /** Hash of the DID (hex). */
  readonly registry: string;
  readonly isWanted: boolean;
  readonly key: Uint8Array;
}

/** What `take` did. */
export interface Taken {
  /** To be stored in one batch. */
  readonly operations: readonly StoreOperation[];
  /** Whether the piece itself is kept, and not the verdict alone. */
  readonly isKept: boolean;
  /** For when the batch could not be written: the piece can be taken again. The verdict stands. */
  readonly undo: () => void;
}

/**
 * Who is isolated, and the evidence for it. The verdict is kept apart from the pieces: throwaway keys can make any number of
 * these, so of those against strangers the oldest leaves for a new one, and who was isolated stays so. Once the verdicts' room
 * for strangers is used up no further stranger is isolated; none that was is set free.
 */
export class EvidenceIndex {
  /** Hashes of DIDs (hex). */
  readonly #isolated = new Set<string>();
  /** By the hashes of the DID and of the evidence (hex), oldest first. */
  readonly #pieces = new Map<string, Piece>();
  #strangers = 0;
  #serial = 0;

  /** Pieces at hand. */
  get size(): number {
    return this.#pieces.size;
  }

  /** Whether this registry contradicted itself. */
  has(did: string): boolean {
    return this.#isolated.has(hex(sha256(utf8(did))));
  }

  /** Both are suffixes of stored rows. */
  load(isolated: readonly Uint8Array[], evidence: readonly Uint8Array[]): void {
    for (const suffix of isolated) this.#isolated.add(hex(suffix));
    const aged = evidence.map((suffix) => ({ suffix, serial: serialOf(suffix) })).toSorted((a, b) => a.serial - b.serial);
    for (const { suffix, serial } of aged) {
      const registry = hex(suffix.subarray(0, HASH_BYTES));
      const isWanted = suffix[2 * HASH_BYTES] === 1;
      this.#add(hex(suffix.subarray(0, 2 * HASH_BYTES)), { registry, isWanted, key: memberKey("evidence", suffix) });
      this.#serial = serial;
    }
  }

  /**
   * @param evidence verified: it convicts `did`
   * @returns `undefined` when there is nothing to store: it is held already, or there is no room
   */
  take(did: string, evidence: Uint8Array, isWanted: boolean): Taken | undefined {
    const hash = sha256(utf8(did));
    const registry = hex(hash);
    const pair = concat(hash, sha256(evidence));
    const name = hex(pair);
    if (this.#pieces.has(name) || !this.#hasRoomFor(registry, isWanted)) return undefined;
    const wasIsolated = this.#isolated.has(registry);
    const leaving = this.#leavingFor(registry, isWanted, wasIsolated);
    if (leaving === undefined && wasIsolated) return undefined;
    this.#isolated.add(registry);
    const verdict = { type: "put", key: memberKey("isolated", hash), value: new Uint8Array(0) } as const;
    if (leaving === undefined) return { operations: [verdict], isKept: false, undo: () => undefined };
    const key = memberKey("evidence", concat(pair, Buffer.of(isWanted ? 1 : 0), serialBytes(++this.#serial)));
    const deletions = leaving.map((oldest) => ({ type: "del", key: this.#remove(oldest).key }) as const);
    this.#add(name, { registry, isWanted, key });
    return {
      operations: [...deletions, verdict, { type: "put", key, value: evidence }],
      isKept: true,
      undo: () => void (this.#pieces.has(name) && this.#remove(name)),
    };
  }

  #hasRoomFor(registry: string, isWanted: boolean): boolean {
    return this.#isolated.has(registry) || this.#isolated.size < ISOLATED_MAX - (isWanted ? 0 : ISOLATED_RESERVED);
  }

  /** The pieces that leave for one against `registry`; `undefined` when that has to stay out. */
  #leavingFor(registry: string, isWanted: boolean, wasIsolated: boolean): string[] | undefined {
    let against = 0;
    for (const piece of this.#pieces.values()) if (piece.registry === registry) against += 1;
    if (against >= EVIDENCE_PER_REGISTRY_MAX) return undefined;
    const isFull = this.#pieces.size >= EVIDENCE_MAX || (!isWanted && this.#strangers >= EVIDENCE_MAX - EVIDENCE_RESERVED);
    if (!isFull) return [];
    // A stranger that is convicted already must not drive out, again and again, what is held against others.
    if (wasIsolated && !isWanted) return undefined;
    for (const [name, piece] of this.#pieces) if (!piece.isWanted) return [name];
    return undefined;
  }

  #add(name: string, piece: Piece): void {
    this.#pieces.set(name, piece);
    if (!piece.isWanted) this.#strangers += 1;
  }

  #remove(name: string): Piece {
    const piece = this.#pieces.get(name) as Piece;
    this.#pieces.delete(name);
    if (!piece.isWanted) this.#strangers -= 1;
    return piece;
  }
}

function serialOf(suffix: Uint8Array): number {
  return Buffer.from(suffix).readUIntBE(suffix.length - SERIAL_BYTES, SERIAL_BYTES);
}

function serialBytes(serial: number): Uint8Array {
  const bytes = Buffer.alloc(SERIAL_BYTES);
  bytes.writeUIntBE(serial, 0, SERIAL_BYTES);
  return bytes;
}
