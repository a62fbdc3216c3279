import { fromUtf8, hex, utf8 } from "../../../protocols/lib/bytes.ts";
import { HASH_BYTES, sha256 } from "../../../protocols/lib/hash.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Log } from "../../ports/log.ts";
import { StoreError, type Store, type StoreOperation } from "../../ports/store.ts";
import type { FacadeContext } from "../context.ts";
import { ProblemError } from "../problem.ts";
import type { Answer, Call } from "../route.ts";
import { facadeKey, readTable } from "../rows.ts";

/**
 * `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a write that is sent again under the key of its caller gets the
 * answer of the first time and is not done twice, also after a restart. Only answers of success are kept: what was refused has
 * changed nothing and may be tried again. A process that dies between the write and the keeping of its answer forgets the key, as
 * does an answer that has rotted; the conditions of the write itself (`create`, If-Match) then say that it was done.
 */
export const IDEMPOTENCY_MS_MAX = 86_400_000;
/** Answers kept, and their bytes; the oldest leave first, also before their time. */
export const IDEMPOTENCY_KEYS_MAX = 20_000;
export const IDEMPOTENCY_BYTES_MAX = 67_108_864;
/** Writes under way that carry a key. */
export const IDEMPOTENCY_RUNNING_MAX = 1_024;
/** Bytes of the rows that are read at a time when they are loaded. */
const LOAD_ENTRIES = 64;

/** 1 to 255 visible ASCII characters; the draft's form, a string of structured fields in quotes, is among them. */
const KEY = /^[\x21-\x7e]{1,255}$/;

interface Kept {
  readonly atMs: number;
  readonly bytes: number;
}

interface Row {
  readonly fingerprint: string;
  readonly atMs: number;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Base64. */
  readonly body?: string;
}

/** A write as far as it matters here. */
export interface KeyedCall {
  /** Who makes it: one caller's keys mean nothing to another. */
  readonly caller: string;
  readonly method: string;
  readonly call: Pick<Call, "headers" | "target" | "rawBody">;
}

export interface Outcome {
  readonly answer: Answer;
  /** Whether something was written: else there is nothing that must not be done again. */
  readonly wrote: boolean;
}

export class Idempotency {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Log;
  /** Key (hex) → what is kept, oldest first. */
  #kept: Promise<Map<string, Kept>> | undefined;
  #bytes = 0;
  readonly #running = new Map<string, string>();

  constructor({ store, clock, log }: Pick<FacadeContext, "store" | "clock" | "log">) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
  }

  /**
   * Does `run`, or gives the answer of the time when it was done.
   * @throws ProblemError `bad_idempotency_key` (400), `idempotency_key_reused` (422) for another request under the same key,
   *   `still_running` (409), `busy` (503), and whatever `run` throws
   */
  async once({ caller, method, call }: KeyedCall, run: () => Promise<Outcome>): Promise<Answer> {
    const given = call.headers["idempotency-key"];
    if (given === undefined) return (await run()).answer;
    if (typeof given !== "string" || !KEY.test(given)) {
      throw new ProblemError(400, "bad_idempotency_key", "Idempotency-Key must be 1 to 255 visible ASCII characters");
    }
    const key = sha256(utf8(JSON.stringify([caller, given])));
    const name = hex(key);
    const fingerprint = fingerprintOf(method, call);
    const running = this.#running.get(name);
    if (running !== undefined) throw running === fingerprint ? stillRunning() : reused();
    if (this.#running.size >= IDEMPOTENCY_RUNNING_MAX) {
      throw new ProblemError(503, "busy", "too many writes are under way; try again later", { headers: { "retry-after": "1" } });
    }
    this.#running.set(name, fingerprint);
    try {
      const row = await this.#find(name, key);
      if (row !== undefined) {
        if (row.fingerprint !== fingerprint) throw reused();
        return answerOf(row);
      }
      const { answer, wrote } = await run();
      if (wrote) await this.#keep(name, key, fingerprint, answer);
      return answer;
    } finally {
      this.#running.delete(name);
    }
  }

  async #find(name: string, key: Uint8Array): Promise<Row | undefined> {
    const all = await this.#load();
    const kept = all.get(name);
    if (kept === undefined || !this.#isYoung(kept.atMs)) return undefined;
    const rowKey = facadeKey("idempotency", key);
    try {
      const row = await this.#store.get(rowKey);
      return row && decodeRow(row);
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== "damaged") throw error;
      this.#forget(all, name);
      await this.#deleteRotten([rowKey]);
      return undefined;
    }
  }

  async #deleteRotten(keys: readonly Uint8Array[]): Promise<void> {
    this.#log.warn("answers kept for Idempotency-Keys have rotted on the disk and are deleted", { count: keys.length });
    const operations = keys.map((key) => ({ type: "del", key }) as const);
    try {
      await this.#store.batch(operations, { durable: false });
    } catch (error) {
      // Rotten they count as absent: the next start finds them again.
      this.#log.warn("answers that have rotted could not be deleted", { error });
    }
  }

  /** A clock that was set back must not keep answers for longer. */
  #isYoung(atMs: number): boolean {
    return Math.abs(this.#clock.now() - atMs) < IDEMPOTENCY_MS_MAX;
  }

  async #keep(name: string, key: Uint8Array, fingerprint: string, answer: Answer): Promise<void> {
    const kept = await this.#load();
    const atMs = this.#clock.now();
    const value = encodeRow(fingerprint, atMs, answer);
    this.#forget(kept, name);
    kept.set(name, { atMs, bytes: value.length });
    this.#bytes += value.length;
    const evicted = this.#evict(kept);
    const put: StoreOperation = { type: "put", key: facadeKey("idempotency", key), value };
    await this.#store.batch([...evicted, put], { durable: true });
  }

  #evict(kept: Map<string, Kept>): StoreOperation[] {
    const operations: StoreOperation[] = [];
    for (const [oldest, { atMs }] of kept) {
      if (kept.size <= IDEMPOTENCY_KEYS_MAX && this.#bytes <= IDEMPOTENCY_BYTES_MAX && this.#isYoung(atMs)) break;
      this.#forget(kept, oldest);
      operations.push({ type: "del", key: facadeKey("idempotency", Buffer.from(oldest, "hex")) });
    }
    return operations;
  }

  #forget(kept: Map<string, Kept>, name: string): void {
    this.#bytes -= kept.get(name)?.bytes ?? 0;
    kept.delete(name);
  }

  /** A load that failed is tried again by the next. */
  #load(): Promise<Map<string, Kept>> {
    this.#kept ??= this.#read().catch((error: unknown) => {
      this.#kept = undefined;
      throw error;
    });
    return this.#kept;
  }

  async #read(): Promise<Map<string, Kept>> {
    const found: [string, Kept][] = [];
    const rotten: Uint8Array[] = [];
    const read = (key: Uint8Array, value: Uint8Array): void =>
      void found.push([hex(key.subarray(-HASH_BYTES)), { atMs: decodeRow(value).atMs, bytes: value.length }]);
    await readTable(this.#store, "idempotency", { read, damaged: (key) => void rotten.push(key) }, LOAD_ENTRIES);
    if (rotten.length > 0) await this.#deleteRotten(rotten);
    const sorted = found.toSorted(([, a], [, b]) => a.atMs - b.atMs);
    this.#bytes = sorted.reduce((sum, [, { bytes }]) => sum + bytes, 0);
    return new Map(sorted);
  }
}

/** Two requests of one fingerprint ask for the same. */
function fingerprintOf(method: string, { target, headers, rawBody }: KeyedCall["call"]): string {
  const { "if-match": match, "if-none-match": noneMatch } = headers;
  const head = JSON.stringify([method, target, match ?? null, noneMatch ?? null, hex(sha256(rawBody))]);
  return hex(sha256(utf8(head)));
}

function encodeRow(fingerprint: string, atMs: number, { status, headers = {}, body }: Answer): Uint8Array {
  const bytes = body === undefined || body instanceof Uint8Array ? body : utf8(JSON.stringify(body));
  const row: Row = {
    ...{ fingerprint, atMs, status, headers },
    ...(bytes !== undefined && { body: Buffer.from(bytes).toString("base64") }),
  };
  return utf8(JSON.stringify(row));
}

function decodeRow(value: Uint8Array): Row {
  return JSON.parse(fromUtf8(value)) as Row;
}

function answerOf({ status, headers, body }: Row): Answer {
  return { status, headers, ...(body !== undefined && { body: Buffer.from(body, "base64") }) };
}

function stillRunning(): ProblemError {
  const headers = { "retry-after": "1" };
  return new ProblemError(409, "still_running", "the first request under this Idempotency-Key is still being done", { headers });
}

function reused(): ProblemError {
  const detail = "this Idempotency-Key belongs to another request: use a new key for each request that is not a repetition";
  return new ProblemError(422, "idempotency_key_reused", detail);
}
