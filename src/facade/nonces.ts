import { concat, utf8 } from "../../protocols/lib/bytes.ts";
import { sha256 } from "../../protocols/lib/hash.ts";
import { NONCE_BYTES, SKEW_MS_MAX } from "../../protocols/http/request-fields.ts";
import type { Clock } from "../ports/clock.ts";
import type { Store, StoreOperation } from "../ports/store.ts";
import { RETRY_AFTER_SECONDS } from "./limits.ts";
import { ProblemError } from "./problem.ts";
import { busyProblem } from "./refusals.ts";
import { facadeKey, facadeRange, type FacadeTable } from "./rows.ts";

/** Nonces are forgotten together, by the time that their request was signed for. */
const BUCKET_MS = 5_000;
/**
 * Nonces of one sender that are remembered at a time: more than a registry's requests and later pages of syncs in twice the skew,
 * where its requests are not set higher.
 */
export const NONCES_PER_SENDER_MAX = 1_536;
/** Nonces that are remembered at a time; about 200 bytes each. */
export const NONCES_MAX = 65_536;
/** Nonces that wait for the store in one write, and writes that wait in all. */
const GROUP_MAX = 512;
const WAITING_MAX = 4_096;

const SENDER_BYTES = 16;
const ENTRY_BYTES = SENDER_BYTES + NONCE_BYTES;
const NUMBER_BYTES = 6;

export interface NonceClaim {
  /** DID whose signature has been verified: nobody else can use up its nonces. */
  readonly did: string;
  /** NONCE_BYTES. */
  readonly nonce: Uint8Array;
  /** Unix milliseconds, already found to be within the skew. */
  readonly timestampMs: number;
}

/**
 * No signed request is served twice (T11): a nonce counts once for as long as its timestamp would be taken, also after a restart.
 * A request is served only when its nonce is durable; when that cannot be had it is refused.
 */
export class Nonces {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #table: FacadeTable;
  readonly #buckets = new Map<number, Bucket>();
  readonly #perSender = new Map<string, number>();
  #size = 0;
  #serial = 0;
  /** Timestamps before it belong to buckets that were forgotten: a clock that went back must not open them again. */
  #forgottenToMs = 0;
  /** Rows of forgotten buckets, deleted with the next write. */
  readonly #over: Uint8Array[] = [];
  readonly #waiting: Waiting[] = [];
  #isWriting = false;

  private constructor(store: Store, clock: Clock, table: FacadeTable) {
    this.#store = store;
    this.#clock = clock;
    this.#table = table;
  }

  /** @throws StoreError when what was served before cannot be read: then nothing may be served */
  static async load(store: Store, clock: Clock, table: FacadeTable): Promise<Nonces> {
    const nonces = new Nonces(store, clock, table);
    for await (const rows of store.scan(facadeRange(table))) {
      for (const [key, value] of rows) nonces.#restore(key, value);
    }
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
    if ((this.#perSender.get(senderOf(entry)) ?? 0) >= NONCES_PER_SENDER_MAX || this.#size >= NONCES_MAX) {
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
    const isUsed = this.#buckets.get(bucketOf(claim))?.entries.has(entryOf(claim)) === true;
    if (!isUsed && claim.timestampMs >= this.#forgottenToMs) return;
    throw new ProblemError(401, "replayed", "this request was served before; sign each request anew, with a nonce of its own");
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
      // A bucket may have ended while its nonces waited; then nothing of it can be replayed.
      this.#buckets.get(number)?.rows.push(key);
      operations.push({ type: "put", key, value: Buffer.from(entries.map(({ entry }) => entry).join(""), "latin1") });
    }
    if (this.#over.length > 0) {
      for (const key of this.#over.splice(0)) operations.push({ type: "del", key });
      operations.push({ type: "put", key: facadeKey(this.#table), value: u48(this.#forgottenToMs) });
    }
    return operations;
  }

  #forget(): void {
    const endMs = this.#clock.now() - SKEW_MS_MAX;
    for (const [number, { entries, rows }] of this.#buckets) {
      const bucketEndMs = (number + 1) * BUCKET_MS;
      if (bucketEndMs > endMs) continue;
      this.#buckets.delete(number);
      this.#forgottenToMs = Math.max(this.#forgottenToMs, bucketEndMs);
      this.#over.push(...rows);
      for (const entry of entries) this.#drop(entry);
    }
  }

  #remember(number: number, entry: string): void {
    const bucket = this.#buckets.get(number) ?? { entries: new Set(), rows: [] };
    this.#buckets.set(number, bucket);
    if (bucket.entries.has(entry)) return;
    bucket.entries.add(entry);
    this.#size++;
    this.#perSender.set(senderOf(entry), (this.#perSender.get(senderOf(entry)) ?? 0) + 1);
  }

  #drop(entry: string): void {
    const sender = senderOf(entry);
    const left = (this.#perSender.get(sender) ?? 1) - 1;
    if (left === 0) this.#perSender.delete(sender);
    else this.#perSender.set(sender, left);
    this.#size--;
  }

  #restore(key: Uint8Array, value: Uint8Array): void {
    const view = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
    if (key.length === facadeKey(this.#table).length) {
      this.#forgottenToMs = Buffer.from(value).readUIntBE(0, NUMBER_BYTES);
      return;
    }
    const number = view.readUIntBE(key.length - 2 * NUMBER_BYTES, NUMBER_BYTES);
    this.#serial = Math.max(this.#serial, view.readUIntBE(key.length - NUMBER_BYTES, NUMBER_BYTES));
    const text = latin1(value);
    for (let at = 0; at < text.length; at += ENTRY_BYTES) this.#remember(number, text.slice(at, at + ENTRY_BYTES));
    this.#buckets.get(number)?.rows.push(key);
  }
}

interface Bucket {
  /** Sender and nonce as binary text. */
  readonly entries: Set<string>;
  readonly rows: Uint8Array[];
}

interface Waiting {
  readonly number: number;
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
