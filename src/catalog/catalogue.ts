import { verifyHead, type SignedHead, type VerifiedHead } from "../../protocols/checkpoint/head.ts";
import { EMPTY } from "../../protocols/checkpoint/map.ts";
import { LogTree } from "../../protocols/checkpoint/log.ts";
import { hex } from "../../protocols/lib/bytes.ts";
import type { StoreOperation } from "../ports/store.ts";
import { encodeHeadRow, type HeadRow } from "./head-row.ts";
import { RecentChanges } from "./recent-changes.ts";
import { bucketKey, rowKey, u48 } from "./rows.ts";
import { MapHeap } from "./tree/map-heap.ts";

/** A change of one key, ready for the tree and the store. */
export interface Change {
  readonly key: Uint8Array;
  /** Value hash; absent for a delete. */
  readonly value?: Uint8Array;
  /** Exact record bytes; absent for a delete. */
  readonly record?: Uint8Array;
  /** Why the record is replicated but not admitted. */
  readonly refused?: string;
}

/** Refused records whose reasons are kept; beyond it they are still refused, but counted only. */
export const REFUSED_REASONS_MAX = 100_000;

/**
 * One registry's catalogue in memory: the map, the log, the head, and what a change means for the store's rows. Our own and
 * every replica is one of these. It changes only through `apply`, whose journal takes it back when the rows could not be
 * written; nothing here does I/O.
 */
export class Catalogue {
  readonly number: number;
  readonly home: string;
  readonly map: MapHeap;
  readonly log: LogTree = new LogTree();
  readonly recent: RecentChanges = new RecentChanges();
  /** Keys (hex) that are replicated but not admitted, with the reason. */
  readonly refused: Map<string, string> = new Map();
  epoch = 0;
  sequenceBase = 0;
  floor = 0;
  revisionFloor = 0;
  state: HeadRow["state"] = "complete";
  syncedAtMs = 0;
  unchecked = false;
  /** Whether rows of these kinds may stand in the store: where none do, none are looked up. */
  readonly mayHave: { names: boolean; tombstones: boolean; reached: boolean } = { names: true, tombstones: true, reached: true };
  /** Counts whatever may change which records are shown: changes of the map, of verdicts, of the epoch. */
  touched = 0;
  /** Bulk sessions since the catalogue was loaded. */
  bulks = 0;
  previous: string | undefined;
  #head: (VerifiedHead & { readonly signed: SignedHead }) | undefined;
  #storedDepth: number | undefined;
  #everRefused = false;

  constructor(number: number, home: string, depth?: number) {
    this.number = number;
    this.home = home;
    this.map = new MapHeap(depth);
  }

  /** The newest completed version. */
  get head(): (VerifiedHead & { readonly signed: SignedHead }) | undefined {
    return this.#head;
  }

  /** Sequence number of the newest completed version; 0 before the first. */
  get sequence(): number {
    return this.sequenceBase + this.log.size;
  }

  /** Map root of the newest completed version. */
  get mapRoot(): string {
    return this.#head?.commit.roots.map ?? hex(EMPTY);
  }

  setHead(signed: SignedHead, verified: VerifiedHead = verifyHead(signed)): void {
    this.#head = { signed, ...verified };
  }

  /** Takes back a `setHead`. */
  restoreHead(signed: SignedHead | undefined): void {
    this.#head = signed && { signed, ...verifyHead(signed) };
  }

  /** Starts a new log for `epoch`; the map stays as it is. `previous` is the final checkpoint of the epoch before. */
  startEpoch(epoch: number, previous: string | undefined): void {
    this.touched += 1;
    this.sequenceBase = this.sequence;
    this.epoch = epoch;
    this.previous = previous;
    this.log.truncate(0);
    this.#head = undefined;
  }

  /** Changes the map; call the returned function to take all of it back. Hashes are stale until `map.update()`. */
  apply(changes: readonly Change[]): () => void {
    const journal: { key: Uint8Array; value: Uint8Array | undefined; refused: string | undefined }[] = [];
    if (changes.length > 0) this.touched += 1;
    for (const { key, value, refused } of changes) {
      const name = this.refused.size > 0 || refused !== undefined ? hex(key) : undefined;
      const before = value === undefined ? this.map.delete(key) : this.map.set(key, value);
      journal.push({ key, value: before, refused: name === undefined ? undefined : this.refused.get(name) });
      if (name !== undefined) this.#mark(name, refused);
    }
    return () => {
      this.touched += 1;
      for (const { key, value, refused } of journal.reverse()) {
        if (value === undefined) this.map.delete(key);
        else this.map.set(key, value);
        this.#mark(hex(key), refused);
      }
      this.map.update();
    };
  }

  /** Marks a key whose record may not be shown. */
  refuse(key: Uint8Array, reason: string): void {
    this.touched += 1;
    this.#mark(hex(key), reason);
  }

  /** The rows of these changes; with `sequence` also the change log's. */
  changeOperations(changes: readonly Change[], sequence: number | undefined): StoreOperation[] {
    const operations: StoreOperation[] = [];
    for (const { key, record, refused } of changes) {
      const at = rowKey(this.number, "record", key);
      operations.push(record === undefined ? { type: "del", key: at } : { type: "put", key: at, value: record });
      if (refused !== undefined) {
        operations.push({ type: "put", key: rowKey(this.number, "refused", key), value: Buffer.from(refused) });
      } else if (this.#marked) {
        operations.push({ type: "del", key: rowKey(this.number, "refused", key) });
      }
      if (sequence !== undefined) {
        operations.push({ type: "put", key: rowKey(this.number, "change", u48(sequence), key), value: PRESENT });
      }
    }
    return operations;
  }

  /** The rows of the buckets that changed since the last call. `undo` when they could not be written. */
  bucketOperations(): { readonly operations: StoreOperation[]; readonly undo: () => void } {
    const operations: StoreOperation[] = [];
    const { depth } = this.map;
    const before = this.#storedDepth;
    const taken = this.map.takeChanged();
    if (before !== undefined && taken.all) {
      for (let i = 0; i < 2 ** before; i++) operations.push({ type: "del", key: bucketKey(this.number, before, i) });
    }
    for (const index of taken.buckets) {
      const leaves = this.map.bucket(index);
      const key = bucketKey(this.number, depth, index);
      operations.push(leaves.length === 0 ? { type: "del", key } : { type: "put", key, value: leaves.slice() });
    }
    this.#storedDepth = depth;
    const undo = (): void => {
      this.#storedDepth = before;
      this.map.markUnstored(taken);
    };
    return { operations, undo };
  }

  /** Says that the store holds buckets of this depth that are not the map's: all are written anew. */
  markRebuilt(depth: number): void {
    this.#storedDepth = depth;
  }

  /** Says that the store's buckets are those of the map as it is. */
  markLoaded(): void {
    this.#storedDepth = this.map.depth;
    this.map.markStored();
  }

  leafOperation(index: number, leaf: Uint8Array): StoreOperation {
    return { type: "put", key: rowKey(this.number, "leaf", u48(index)), value: leaf };
  }

  /** The row by which a follower's map root is found again. */
  rootOperation(): StoreOperation {
    const root = Buffer.from(this.mapRoot, "hex");
    return { type: "put", key: rowKey(this.number, "root", root, u48(this.sequence)), value: PRESENT };
  }

  headOperation(): StoreOperation {
    const { home, epoch, sequenceBase, floor, revisionFloor, state, syncedAtMs, unchecked, previous } = this;
    const row: HeadRow = {
      ...{ home, epoch, sequenceBase, floor, revisionFloor, state, syncedAtMs, unchecked, depth: this.map.depth },
      ...(this.#head && { head: this.#head.signed }),
      ...(previous !== undefined && { previous }),
    };
    return { type: "put", key: rowKey(this.number, "head"), value: encodeHeadRow(row) };
  }

  /** Whether a refused row may stand in the store. */
  get #marked(): boolean {
    return this.#everRefused || this.refused.size > 0;
  }

  #mark(name: string, refused: string | undefined): void {
    this.#everRefused = true;
    if (refused === undefined) this.refused.delete(name);
    else if (this.refused.size < REFUSED_REASONS_MAX || this.refused.has(name)) this.refused.set(name, refused);
  }
}

const PRESENT = new Uint8Array(1);
