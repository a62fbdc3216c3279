import { concat, utf8 } from "../../protocols/lib/bytes.ts";
import { sha256 } from "../../protocols/lib/hash.ts";
import { NONCE_BYTES, SKEW_MS_MAX } from "../../protocols/http/request-fields.ts";
import type { Clock } from "../ports/clock.ts";
import type { Store, StoreOperation } from "../ports/store.ts";
import { ClosedBuckets } from "./closed-buckets.ts";
import type { FacadeContext } from "./context.ts";
import {
  NONCE_SHARES,
  NONCES_MAX,
  NONCES_PER_SENDER_MAX,
  NONCES_RESERVED,
  OTHER_NONCES_MAX,
  OTHER_NONCES_RESERVED,
  RETRY_AFTER_SECONDS,
} from "./limits.ts";
import { ProblemError } from "./problem.ts";
import { busyProblem } from "./refusals.ts";
import { facadeKey, readTable, type FacadeTable } from "./rows.ts";

/** Nonces are forgotten together, by the time that their request was signed for. */
const BUCKET_MS = 5_000;
/** Buckets that begin so much later than now belong to a clock that was ahead; they are forgotten too. */
const AHEAD_MS_MAX = 2 * SKEW_MS_MAX;
/** Nonces that wait for the store in one write, and writes that wait in all. */
const GROUP_MAX = 512;
const WAITING_MAX = 4_096;

const SENDER_BYTES = 16;
const ENTRY_BYTES = SENDER_BYTES + NONCE_BYTES;
/** Of the hash by which an entry is known in memory: nobody finds another's nonce by it. */
const SHORT_BYTES = 12;
const NUMBER_BYTES = 6;

export type NonceTable = "registryNonces" | "otherNonces";

/** What one pool remembers at a time, in nonces; about 60 bytes each. */
interface Pool {
  readonly max: number;
  /** Of these, kept free for those who matter. */
  readonly reserved: number;
  readonly closed: FacadeTable;
}

const POOLS: Readonly<Record<NonceTable, Pool>> = {
  registryNonces: { max: NONCES_MAX, reserved: NONCES_RESERVED, closed: "registryNoncesClosed" },
  otherNonces: { max: OTHER_NONCES_MAX, reserved: OTHER_NONCES_RESERVED, closed: "otherNoncesClosed" },
};

export interface NonceClaim {
  /** DID whose signature has been verified: nobody else can use up its nonces. */
  readonly did: string;
  /** NONCE_BYTES. */
  readonly nonce: Uint8Array;
  /** Unix milliseconds, already found to be within the skew. */
  readonly timestampMs: number;
  /** It may use the room that is reserved: strangers, however many, must not leave it without. */
  readonly reserved?: boolean;
}

type Parts = Pick<FacadeContext, "store" | "clock" | "log">;

/**
 * No signed request is served twice (T11): a nonce counts once for as long as its timestamp would be taken, also after a restart.
 * A request is served only when its nonce is durable; when that cannot be had it is refused.
 */
export class Nonces {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #table: NonceTable;
  readonly #pool: Pool;
  readonly #buckets = new Map<number, Bucket>();
  readonly #perSender = new Map<string, number>();
  #size = 0;
  #serial = 0;
  /** Forgotten: a clock that is set again must not open them. */
  readonly #closed: ClosedBuckets;
  /** Rows of forgotten buckets, deleted with the next write. */
  readonly #over: Uint8Array[] = [];
  readonly #waiting: Waiting[] = [];
  #isWriting = false;

  private constructor({ store, clock }: Parts, table: NonceTable) {
    this.#store = store;
    this.#clock = clock;
    this.#table = table;
    this.#pool = POOLS[table];
    this.#closed = new ClosedBuckets(this.#pool.closed);
  }

  /**
   * Of a row that has rotted only its bucket is known: that one is refused as a whole, for as long as it lasts.
   * @throws StoreError when what was served before cannot be read: then nothing may be served
   */
  static async load(parts: Parts, table: NonceTable): Promise<Nonces> {
    const nonces = new Nonces(parts, table);
    const closed = (key: Uint8Array): void => nonces.#closed.restore(key);
    await readTable(parts.store, nonces.#pool.closed, { read: closed, damaged: closed });
    await readTable(parts.store, table, {
      read: (key, value) => nonces.#restore(key, value),
      damaged: (key) => {
        parts.log.warn("nonces have rotted on the disk; requests that were signed in those seconds are refused", { table });
        nonces.#giveUp(key);
      },
    });
    return nonces;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Uses up the nonce. Resolves when that is durable.
   * @throws ProblemError `replayed`, `too_many_nonces`, `busy`
   */
  take(claim: NonceClaim): Promise<void> {
    this.#forget();
    this.refuseUsed(claim);
    const [number, entry] = [bucketOf(claim), entryOf(claim)];
    if ((this.#perSender.get(senderOf(entry)) ?? 0) >= this.#shareOf(claim)) {
      const headers = { "retry-after": String((2 * SKEW_MS_MAX) / 1_000) };
      throw new ProblemError(429, "too_many_nonces", "more requests were signed than we can remember; send fewer", { headers });
    }
    if (this.#waiting.length >= WAITING_MAX) throw busyProblem("too many requests wait for the store; try again later");
    this.#remember(number, entry);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ number, entry, resolve, reject });
      if (!this.#isWriting) void this.#write();
    });
  }

  /** @throws ProblemError `replayed` when the nonce was used up here */
  refuseUsed(claim: NonceClaim): void {
    const number = bucketOf(claim);
    if (!this.#closed.has(number) && this.#buckets.get(number)?.entries.has(shortOf(entryOf(claim))) !== true) return;
    throw new ProblemError(401, "replayed", "this request was served before; sign each request anew, with a nonce of its own");
  }

  /**
   * Nonces that this sender may have remembered: the fuller its part of the pool, the fewer, so that there is room for whoever
   * comes next.
   */
  #shareOf({ reserved = false }: NonceClaim): number {
    const free = this.#pool.max - (reserved ? 0 : this.#pool.reserved) - this.#size;
    return Math.min(NONCES_PER_SENDER_MAX, Math.ceil(free / NONCE_SHARES));
  }

  /** Writes in groups: those that come while one is being written make the next. */
  async #write(): Promise<void> {
    this.#isWriting = true;
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, GROUP_MAX);
      try {
        await this.#store.batch(this.#operations(group), { durable: true });
        for (const { resolve } of group) resolve();
      } catch (cause) {
        // They stay used up: whether the store has them is unknown.
        const problem = storageProblem(cause);
        for (const { reject } of group) reject(problem);
      }
    }
    this.#isWriting = false;
  }

  #operations(group: readonly Waiting[]): StoreOperation[] {
    const operations: StoreOperation[] = [];
    for (const [number, entries] of Map.groupBy(group, (one) => one.number)) {
      const key = rowKey(this.#table, number, ++this.#serial);
      // A bucket may have been forgotten while its nonces waited; then it is closed.
      const bucket = this.#buckets.get(number);
      if (bucket === undefined) continue;
      bucket.rows.push(key);
      operations.push({ type: "put", key, value: Buffer.from(entries.map(({ entry }) => entry).join(""), "latin1") });
    }
    for (const key of this.#over.splice(0)) operations.push({ type: "del", key });
    return [...operations, ...this.#closed.operations()];
  }

  #forget(): void {
    const { from, to } = this.#open();
    for (const [number, { senders, entries, rows }] of this.#buckets) {
      if (from <= number && number <= to) continue;
      this.#buckets.delete(number);
      this.#close(number);
      this.#over.push(...rows);
      this.#size -= entries.size;
      for (const [sender, count] of senders) this.#drop(sender, count);
    }
  }

  /** Buckets that are not over, nor of a clock that was ahead. */
  #open(): { readonly from: number; readonly to: number } {
    const nowMs = this.#clock.now();
    return { from: Math.floor((nowMs - SKEW_MS_MAX) / BUCKET_MS), to: Math.floor((nowMs + AHEAD_MS_MAX) / BUCKET_MS) };
  }

  #close(number: number): void {
    this.#closed.add(number, this.#open());
  }

  #remember(number: number, entry: string): void {
    const bucket = this.#buckets.get(number) ?? { entries: new Set(), senders: new Map(), rows: [] };
    this.#buckets.set(number, bucket);
    const short = shortOf(entry);
    if (bucket.entries.has(short)) return;
    bucket.entries.add(short);
    this.#size++;
    const sender = senderOf(entry);
    for (const counts of [bucket.senders, this.#perSender]) counts.set(sender, (counts.get(sender) ?? 0) + 1);
  }

  #drop(sender: string, count: number): void {
    const left = (this.#perSender.get(sender) ?? count) - count;
    if (left === 0) this.#perSender.delete(sender);
    else this.#perSender.set(sender, left);
  }

  #restore(key: Uint8Array, value: Uint8Array): void {
    const number = this.#bucketOfRow(key);
    const text = latin1(value);
    for (let at = 0; at < text.length; at += ENTRY_BYTES) this.#remember(number, text.slice(at, at + ENTRY_BYTES));
    this.#buckets.get(number)?.rows.push(key);
  }

  #giveUp(key: Uint8Array): void {
    this.#close(this.#bucketOfRow(key));
    this.#over.push(key);
  }

  #bucketOfRow(key: Uint8Array): number {
    const view = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
    this.#serial = Math.max(this.#serial, view.readUIntBE(key.length - NUMBER_BYTES, NUMBER_BYTES));
    return view.readUIntBE(key.length - 2 * NUMBER_BYTES, NUMBER_BYTES);
  }
}

interface Bucket {
  /** Short hashes of sender and nonce, as binary text. */
  readonly entries: Set<string>;
  /** How many of them are of whom. */
  readonly senders: Map<string, number>;
  readonly rows: Uint8Array[];
}

interface Waiting {
  readonly number: number;
  /** Sender and nonce as binary text. */
  readonly entry: string;
  readonly resolve: () => void;
  readonly reject: (problem: ProblemError) => void;
}

function bucketOf({ timestampMs }: NonceClaim): number {
  return Math.floor(timestampMs / BUCKET_MS);
}

function entryOf({ did, nonce }: NonceClaim): string {
  return latin1(concat(sha256(utf8(did)).subarray(0, SENDER_BYTES), nonce));
}

function shortOf(entry: string): string {
  return latin1(sha256(Buffer.from(entry, "latin1")).subarray(0, SHORT_BYTES));
}

function rowKey(table: FacadeTable, bucket: number, serial: number): Uint8Array {
  return facadeKey(table, concat(u48(bucket), u48(serial)));
}

function u48(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(NUMBER_BYTES);
  bytes.writeUIntBE(value, 0, NUMBER_BYTES);
  return bytes;
}

function storageProblem(cause: unknown): ProblemError {
  const headers = { "retry-after": String(RETRY_AFTER_SECONDS) };
  return new ProblemError(503, "storage", "the registry's store does not answer; try again later", { headers, cause });
}

function senderOf(entry: string): string {
  return entry.slice(0, SENDER_BYTES);
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
