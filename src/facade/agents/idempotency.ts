import { fromUtf8, hex, utf8 } from "../../../protocols/lib/bytes.ts";
import { HASH_BYTES, sha256 } from "../../../protocols/lib/hash.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Log } from "../../ports/log.ts";
import { StoreError, type Store } from "../../ports/store.ts";
import type { FacadeContext } from "../context.ts";
import type { CallerKind } from "./authority.ts";
import { KeptAnswers, SHARES, type Kept } from "./kept-answers.ts";
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
/** Bytes of the rows that are read at a time when they are loaded. */
const LOAD_ENTRIES = 64;

/** 1 to 255 visible ASCII characters; the draft's form, a string of structured fields in quotes, is among them. */
const KEY = /^[\x21-\x7e]{1,255}$/;

interface Row {
  /** Of rows of an earlier version of this program nobody knows whose they are. */
  readonly kind?: CallerKind;
  readonly caller?: string;
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
  readonly kind: CallerKind;
  /** Whether it is known to be the caller's before it is done. */
  readonly isProven: boolean;
  readonly method: string;
  readonly call: Pick<Call, "headers" | "target" | "rawBody">;
}

interface Keyed {
  readonly key: Uint8Array;
  /** The same in hex. */
  readonly name: string;
  readonly kind: CallerKind;
  /** Hash of the caller's name. */
  readonly caller: string;
  readonly fingerprint: string;
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
  #kept: Promise<AllKept> | undefined;
  /** Of the writes under way: slot → fingerprint. */
  readonly #running = eachKind(() => new Map<string, string>());

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
  async once({ caller, kind, isProven, method, call }: KeyedCall, run: () => Promise<Outcome>): Promise<Answer> {
    const given = call.headers["idempotency-key"];
    if (given === undefined) return (await run()).answer;
    if (typeof given !== "string" || !KEY.test(given)) {
      throw new ProblemError(400, "bad_idempotency_key", "Idempotency-Key must be 1 to 255 visible ASCII characters");
    }
    const key = sha256(utf8(JSON.stringify([caller, given])));
    const fingerprint = fingerprintOf(method, call);
    const keyed: Keyed = { key, name: hex(key), kind, caller: hex(sha256(utf8(caller))), fingerprint };
    // Who has not shown yet to be the caller neither learns of other requests under the key nor stands in their way.
    const slot = isProven ? keyed.name : `${keyed.name} ${fingerprint}`;
    const running = this.#running[kind];
    const before = running.get(slot);
    if (before !== undefined) throw before === fingerprint ? stillRunning() : reused();
    if (running.size >= SHARES[kind].runningMax) {
      throw new ProblemError(503, "busy", "too many writes are under way; try again later", { headers: { "retry-after": "1" } });
    }
    running.set(slot, fingerprint);
    try {
      const row = await this.#find(keyed);
      if (row?.fingerprint === fingerprint) return answerOf(row);
      if (row !== undefined && isProven) throw reused();
      const { answer, wrote } = await run();
      if (wrote) await this.#keep(keyed, answer);
      return answer;
    } finally {
      running.delete(slot);
    }
  }

  async #find({ key, name, kind }: Keyed): Promise<Row | undefined> {
    const { [kind]: kept } = await this.#load();
    const known = kept.get(name);
    if (known === undefined || !this.#isYoung(known.atMs)) return undefined;
    const rowKey = facadeKey("idempotency", key);
    try {
      const row = await this.#store.get(rowKey);
      return row && decodeRow(row);
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== "damaged") throw error;
      kept.forget(name);
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

  async #keep({ key, name, kind, caller, fingerprint }: Keyed, answer: Answer): Promise<void> {
    const { [kind]: kept } = await this.#load();
    const atMs = this.#clock.now();
    const value = encodeRow({ kind, caller, fingerprint, atMs }, answer);
    kept.add(name, { caller, atMs, bytes: value.length });
    const evicted = kept.evict(caller, (time) => this.#isYoung(time));
    await this.#store.batch(
      [
        ...evicted.map((one) => ({ type: "del", key: facadeKey("idempotency", Buffer.from(one, "hex")) }) as const),
        { type: "put", key: facadeKey("idempotency", key), value },
      ],
      { durable: true },
    );
  }

  /** A load that failed is tried again by the next. */
  #load(): Promise<AllKept> {
    this.#kept ??= this.#read().catch((error: unknown) => {
      this.#kept = undefined;
      throw error;
    });
    return this.#kept;
  }

  async #read(): Promise<AllKept> {
    const found: (Kept & { readonly name: string; readonly kind: CallerKind })[] = [];
    const rotten: Uint8Array[] = [];
    const read = (key: Uint8Array, value: Uint8Array): void => {
      const { kind = "own_key", caller = "", atMs } = decodeRow(value);
      found.push({ name: hex(key.subarray(-HASH_BYTES)), kind, caller, atMs, bytes: value.length });
    };
    await readTable(this.#store, "idempotency", { read, damaged: (key) => void rotten.push(key) }, LOAD_ENTRIES);
    if (rotten.length > 0) await this.#deleteRotten(rotten);
    const all = eachKind((kind) => new KeptAnswers(SHARES[kind]));
    for (const { name, kind, ...kept } of found.toSorted((a, b) => a.atMs - b.atMs)) all[kind].add(name, kept);
    return all;
  }
}

type AllKept = Readonly<Record<CallerKind, KeptAnswers>>;

function eachKind<T>(make: (kind: CallerKind) => T): Readonly<Record<CallerKind, T>> {
  return { operator: make("operator"), certificate: make("certificate"), own_key: make("own_key") };
}

/** Two requests of one fingerprint ask for the same. */
function fingerprintOf(method: string, { target, headers, rawBody }: KeyedCall["call"]): string {
  const { "if-match": match, "if-none-match": noneMatch } = headers;
  const head = JSON.stringify([method, target, match ?? null, noneMatch ?? null, hex(sha256(rawBody))]);
  return hex(sha256(utf8(head)));
}

function encodeRow(
  whose: Pick<Row, "kind" | "caller" | "fingerprint" | "atMs">,
  { status, headers = {}, body }: Answer,
): Uint8Array {
  const bytes = body === undefined || body instanceof Uint8Array ? body : utf8(JSON.stringify(body));
  const row: Row = {
    ...{ ...whose, status, headers },
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
