import type { SignedHead } from "../checkpoint/head.ts";
import { KEY_BITS } from "../checkpoint/map.ts";
import { checkPrefixes, type Prefix } from "../checkpoint/prefix.ts";
import { equal } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import type { Frames } from "../lib/frames.ts";
import { HASH_BYTES } from "../lib/hash.ts";
import { batchEntryBytes, decodeClientMessage, encodeServerMessage } from "./codec.ts";
import {
  BATCH_FRAME_BYTES,
  COMPARE_HINTS_MAX,
  DESCENT_HINTS_MAX,
  DESCENT_PREFIXES_MAX,
  DESCENT_ROUNDS_MAX,
  FRONTIER_FRAME_ENTRIES,
  LOG_FRAME_LEAVES,
  type BatchEntry,
  type CompareRequest,
  type FetchRequest,
  type FrontierEntry,
  type Refusal,
  type RefusalCode,
  type SyncRequest,
} from "./messages.ts";

/**
 * The serving side. It knows frames and turn-taking; what a catalogue holds is behind `SyncSource`. It does not judge the
 * follower: a malformed message is answered with `bad_request` and the stream ends.
 */
export interface SyncSource {
  /** Time to wait before this request is served; 0 serves it. Asked once a session. */
  retryAfterMs(): number;
  open(request: SyncRequest): Promise<Answer | RefusalCode>;
  compare(request: CompareRequest): Promise<Comparison | RefusalCode>;
  /** @param since version of the first comparison: what changed after it is part of the answer */
  fetch(request: FetchRequest, since: number): Promise<Answer | RefusalCode>;
}

export interface Comparison {
  /** The server's own count of versions, handed back to `fetch`. */
  readonly version: number;
  readonly differing: readonly Prefix[];
}

/** One version of a catalogue, pinned: the records stay readable until `close`. */
export interface Answer {
  readonly head: SignedHead;
  readonly mode: "delta" | "replace";
  /** Leaf hashes after those that the follower has. */
  readonly logLeaves: Uint8Array;
  readonly frontier: readonly FrontierEntry[];
  /** The batches of the frontier's entries, in order, keys ascending. */
  batches(): AsyncIterable<readonly BatchEntry[]>;
  close(): Promise<void>;
}

/** Serves sessions on one stream until the follower closes it. Rejects when the stream breaks or the source fails. */
export async function serveCatalogSync(frames: Frames, source: SyncSource): Promise<void> {
  let descent: Descent | undefined;
  let throttled: Refusal | undefined;
  for (;;) {
    const frame = await frames.receive();
    if (frame === undefined) return frames.close();
    const message = takeable(() => decodeClientMessage(frame));
    if (message === undefined) return refuse(frames);
    if (throttled === undefined && (message.kind === "request" || descent === undefined)) throttled = throttling(source);
    if (throttled !== undefined) {
      // One refusal for a question, however many frames it takes.
      if (message.kind !== "request" && message.more) continue;
      await send(frames, throttled);
      throttled = undefined;
      continue;
    }
    if (message.kind === "request") {
      const answer = await source.open(message);
      descent = answer === "unknown_base" ? new Descent() : undefined;
      await respond(frames, answer);
      continue;
    }
    descent ??= new Descent();
    const under: Descent = descent;
    const question = takeable(() => under.take(message));
    if (question === undefined) return refuse(frames);
    if (question === "more") continue;
    if (question.kind === "compare") {
      const comparison = await source.compare(question);
      if (typeof comparison === "string") await send(frames, refusal(comparison));
      else await sendDiffering(frames, under.compared(comparison));
    } else {
      await respond(frames, await source.fetch(question, under.version));
      descent = undefined;
    }
  }
}

function throttling(source: SyncSource): Refusal | undefined {
  const retryAfterMs = source.retryAfterMs();
  return retryAfterMs > 0
    ? { kind: "refusal", code: "throttled", retryAfterMs: Math.min(Math.ceil(retryAfterMs), RETRY_AFTER_MS_MAX) }
    : undefined;
}

/** What a frame says, or nothing when the follower made it wrongly. */
function takeable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

async function refuse(frames: Frames): Promise<void> {
  await send(frames, refusal("bad_request"));
  return frames.close();
}

/** A descent under way: collects questions that span frames, and remembers the version at which it began. */
class Descent {
  version = Number.POSITIVE_INFINITY;
  #rounds = 0;
  #parts: (CompareRequest | FetchRequest)[] = [];
  #prefixes = 0;
  #hints = 0;

  /** The whole question once its last frame is there. @throws ProtocolError for what no follower may ask */
  take(part: CompareRequest | FetchRequest): CompareRequest | FetchRequest | "more" {
    this.#parts.push(part);
    this.#prefixes += part.prefixes.length;
    this.#hints += part.hints.length / part.hintBytes;
    this.#check(part, this.#parts[0] as CompareRequest | FetchRequest);
    if (part.more) return "more";
    const question = merged(this.#parts);
    checkPrefixes(question.prefixes);
    [this.#parts, this.#prefixes, this.#hints] = [[], 0, 0];
    this.#rounds += 1;
    return question;
  }

  compared({ version, differing }: Comparison): readonly Prefix[] {
    this.version = Math.min(this.version, version);
    return differing;
  }

  #check(part: CompareRequest | FetchRequest, first: CompareRequest | FetchRequest): void {
    const hintsMax = part.kind === "compare" ? COMPARE_HINTS_MAX : DESCENT_HINTS_MAX;
    if (this.#prefixes > DESCENT_PREFIXES_MAX || this.#hints > hintsMax || this.#rounds > DESCENT_ROUNDS_MAX) {
      throw new ProtocolError("limit_exceeded", "a descent asks more than its bounds allow");
    }
    // A frame without prefixes that promises another one would never end.
    if (part.more && part.prefixes.length === 0) throw new ProtocolError("bad_frame", "a frame of a question is empty");
    const whole = part.kind === "compare" && part.prefixes.find(({ length }) => length + part.bits > KEY_BITS);
    if (whole)
      throw new ProtocolError("bad_prefix", `${part.bits} bits below a prefix of ${whole.length}, keys have ${KEY_BITS}`);
    if (!sameQuestion(part, first)) throw new ProtocolError("out_of_order", "the frames of a question do not belong together");
  }
}

function sameQuestion(a: CompareRequest | FetchRequest, b: CompareRequest | FetchRequest): boolean {
  if (a.hintBytes !== b.hintBytes || a.registry !== b.registry || !equal(a.salt, b.salt)) return false;
  if (a.kind === "compare") return b.kind === "compare" && a.bits === b.bits;
  return b.kind === "fetch" && a.epoch === b.epoch && a.logSize === b.logSize;
}

function merged(parts: readonly (CompareRequest | FetchRequest)[]): CompareRequest | FetchRequest {
  const first = parts[0] as CompareRequest | FetchRequest;
  if (parts.length === 1) return first;
  const whole = { prefixes: parts.flatMap((p) => p.prefixes), hints: Buffer.concat(parts.map((p) => p.hints)), more: false };
  if (first.kind === "compare") return { ...first, ...whole };
  return { ...first, ...whole, leaves: parts.flatMap((p) => (p.kind === "fetch" ? p.leaves : [])) };
}

async function respond(frames: Frames, answer: Answer | RefusalCode): Promise<void> {
  if (typeof answer === "string") return send(frames, refusal(answer));
  try {
    await sendAnswer(frames, answer);
  } finally {
    await answer.close();
  }
}

async function sendAnswer(frames: Frames, answer: Answer): Promise<void> {
  const { head, mode, frontier, logLeaves } = answer;
  const changes = frontier.reduce((sum, entry) => sum + entry.changes, 0);
  const counts = { logLeaves: logLeaves.length / HASH_BYTES, frontierEntries: frontier.length, changes };
  await send(frames, { kind: "header", head, mode, ...counts });
  const step = LOG_FRAME_LEAVES * HASH_BYTES;
  for (let at = 0; at < logLeaves.length; at += step)
    await send(frames, { kind: "log", leaves: logLeaves.subarray(at, at + step) });
  for (let at = 0; at < frontier.length; at += FRONTIER_FRAME_ENTRIES) {
    await send(frames, { kind: "frontier", entries: frontier.slice(at, at + FRONTIER_FRAME_ENTRIES) });
  }
  let entry = 0;
  for await (const batch of answer.batches()) {
    await sendBatch(frames, entry, batch);
    entry += 1;
  }
  await send(frames, { kind: "end" });
}

async function sendBatch(frames: Frames, entry: number, batch: readonly BatchEntry[]): Promise<void> {
  let from = 0;
  let bytes = 0;
  for (let i = 0; i < batch.length; i++) {
    const size = batchEntryBytes(batch[i] as BatchEntry);
    if (i > from && bytes + size > BATCH_FRAME_BYTES) {
      await send(frames, { kind: "batch", entry, last: false, entries: batch.slice(from, i) });
      [from, bytes] = [i, 0];
    }
    bytes += size;
  }
  await send(frames, { kind: "batch", entry, last: true, entries: from === 0 ? batch : batch.slice(from) });
}

/** The longest wait that a refusal can name: its field has 32 bits. */
const RETRY_AFTER_MS_MAX = 0xffff_ffff;
/** Prefixes in one frame of an answer to `compare`. */
const DIFFERS_FRAME_PREFIXES = 8_192;

async function sendDiffering(frames: Frames, prefixes: readonly Prefix[]): Promise<void> {
  for (let at = 0; ; at += DIFFERS_FRAME_PREFIXES) {
    const more = at + DIFFERS_FRAME_PREFIXES < prefixes.length;
    await send(frames, { kind: "differs", more, prefixes: prefixes.slice(at, at + DIFFERS_FRAME_PREFIXES) });
    if (!more) return;
  }
}

function refusal(code: RefusalCode): Refusal {
  return { kind: "refusal", code, retryAfterMs: 0 };
}

function send(frames: Frames, message: Parameters<typeof encodeServerMessage>[0]): Promise<void> {
  return frames.send(encodeServerMessage(message));
}
