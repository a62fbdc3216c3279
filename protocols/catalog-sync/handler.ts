import type { SignedHead } from "../checkpoint/head.ts";
import type { Prefix } from "../checkpoint/prefix.ts";
import { ProtocolError } from "../lib/errors.ts";
import type { Frames } from "../lib/frames.ts";
import { HASH_BYTES } from "../lib/hash.ts";
import { batchEntryBytes, decodeClientMessage, encodeServerMessage } from "./codec.ts";
import {
  BATCH_FRAME_BYTES,
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
  for (;;) {
    const frame = await frames.receive();
    if (frame === undefined) return frames.close();
    let message;
    try {
      message = decodeClientMessage(frame);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      await send(frames, refusal("bad_request"));
      return frames.close();
    }
    if (message.kind === "request" || descent === undefined) {
      const retryAfterMs = source.retryAfterMs();
      if (retryAfterMs > 0) {
        await send(frames, { kind: "refusal", code: "throttled", retryAfterMs: Math.min(retryAfterMs, 0xffff_ffff) });
        continue;
      }
    }
    if (message.kind === "request") {
      const answer = await source.open(message);
      descent = answer === "unknown_base" ? new Descent() : undefined;
      await respond(frames, answer);
      continue;
    }
    descent ??= new Descent();
    const question = descent.take(message);
    if (question === "more") continue;
    if (question === "too_much") {
      await send(frames, refusal("bad_request"));
      return frames.close();
    }
    if (question.kind === "compare") {
      const comparison = await source.compare(question);
      if (typeof comparison === "string") await send(frames, refusal(comparison));
      else await sendDiffering(frames, descent.compared(comparison));
    } else {
      await respond(frames, await source.fetch(question, descent.version));
      descent = undefined;
    }
  }
}

/** A descent under way: collects questions that span frames, and remembers the version at which it began. */
class Descent {
  version = Number.POSITIVE_INFINITY;
  #rounds = 0;
  #parts: (CompareRequest | FetchRequest)[] = [];

  take(part: CompareRequest | FetchRequest): CompareRequest | FetchRequest | "more" | "too_much" {
    this.#parts.push(part);
    const first = this.#parts[0] as CompareRequest | FetchRequest;
    const prefixes = this.#parts.reduce((sum, { prefixes }) => sum + prefixes.length, 0);
    const hints = this.#parts.reduce((sum, { hints, hintBytes }) => sum + hints.length / hintBytes, 0);
    const alike = part.kind === first.kind && part.hintBytes === first.hintBytes && part.registry === first.registry;
    if (prefixes > DESCENT_PREFIXES_MAX || hints > DESCENT_HINTS_MAX || !alike || this.#rounds > DESCENT_ROUNDS_MAX)
      return "too_much";
    if (part.more) return "more";
    const whole = this.#parts;
    this.#parts = [];
    this.#rounds += 1;
    if (whole.length === 1) return part;
    const merged = { prefixes: whole.flatMap((p) => p.prefixes), hints: Buffer.concat(whole.map((p) => p.hints)) };
    if (first.kind === "compare") return { ...first, ...merged };
    return { ...first, ...merged, leaves: whole.flatMap((p) => (p.kind === "fetch" ? p.leaves : [])) };
  }

  compared({ version, differing }: Comparison): readonly Prefix[] {
    this.version = Math.min(this.version, version);
    return differing;
  }
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
