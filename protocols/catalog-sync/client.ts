import { checkPrefixes, isPrefixOf, type Prefix } from "../checkpoint/prefix.ts";
import type { SignedHead } from "../checkpoint/head.ts";
import { ProtocolError } from "../lib/errors.ts";
import { FramesError, type Frames } from "../lib/frames.ts";
import { decodeServerMessage, encodeClientMessage } from "./codec.ts";
import {
  BATCH_RECORDS_MAX,
  COMPARE_HINTS_MAX,
  DESCENT_BITS_MAX,
  DESCENT_FRAME_BYTES,
  DESCENT_HINTS_MAX,
  DESCENT_PREFIXES_MAX,
  DESCENT_ROUNDS_MAX,
  HINT_BYTES_FULL,
  HINT_BYTES_SHORT,
  type BatchEntry,
  type CompareRequest,
  type FetchRequest,
  type FrontierEntry,
  type Refusal,
  type ServerMessage,
  type SyncHeader,
  type SyncRequest,
} from "./messages.ts";

/**
 * The following side of one session. It knows frames and turn-taking and checks the form of what comes; what the data mean is
 * checked by `SyncTarget`, which owns the map. Every ProtocolError that leaves this function is the server's own doing.
 */
export interface SyncTarget {
  /** The request to make; `descend` when our map is no version that the server could know. */
  plan(): Promise<{ readonly request: SyncRequest; readonly descend: boolean; readonly leaves: number }>;
  /**
   * Verifies the head and what it announces, before anything more of the answer is read.
   * @throws ProtocolError when it does not verify, is not what was asked for, or announces more than we take
   */
  expect(header: SyncHeader): Promise<void>;
  /**
   * Folds the frontier into our own map. `current`: nothing to do. `descend`: it does not fold, nobody is to blame.
   * @throws ProtocolError when the log does not continue ours
   */
  begin(start: AnswerStart): Promise<"proceed" | "current" | "descend">;
  /** Takes the batch of one frontier entry. It resolves when the next may come (back-pressure). @throws ProtocolError */
  batch(entry: number, entries: readonly BatchEntry[]): Promise<void>;
  /** All batches came: the map is the new version. Resolves once it is durable. */
  end(): Promise<void>;
  /** The hints of the 2^bits subtrees below each prefix. */
  hints(question: { prefixes: readonly Prefix[]; bits: number; salt: Uint8Array; hintBytes: number }): Promise<Uint8Array>;
  /** Our leaves below each prefix, as hints. */
  leaves(question: { prefixes: readonly Prefix[]; salt: Uint8Array; hintBytes: number }): Promise<LeafHints>;
  salt(): Uint8Array;
}

export interface LeafHints {
  readonly counts: readonly number[];
  readonly hints: Uint8Array;
}

export interface AnswerStart {
  readonly head: SignedHead;
  readonly mode: "delta" | "replace";
  readonly logLeaves: Uint8Array;
  readonly frontier: readonly FrontierEntry[];
  readonly changes: number;
}

export type SessionResult =
  | { readonly outcome: "completed" | "current"; readonly changes: number }
  /** The frontier did not fold: open a new stream and descend. */
  | { readonly outcome: "not_foldable" }
  | { readonly outcome: "refused"; readonly refusal: Refusal };

/** Leaves below a prefix at which comparing ends and fetching begins. */
const FETCH_LEAVES = 12;
/** Leaves below a prefix of the first comparison. */
const FIRST_LEAVES = 64;
const ROUND_BITS = 3;

export interface SessionOptions {
  readonly frames: Frames;
  readonly target: SyncTarget;
  /** Compare instead of naming a base, because naming one did not fold; `full` after short hints did not fold either. */
  readonly descend?: "short" | "full";
}

/** One session. The caller opens and closes the stream and sets deadlines by aborting it. @throws ProtocolError, FramesError */
export async function followCatalogue(options: SessionOptions): Promise<SessionResult> {
  const session = new Session(options);
  return session.run();
}

class Session {
  readonly #frames: Frames;
  readonly #target: SyncTarget;
  readonly #descend: "short" | "full" | undefined;

  constructor(options: SessionOptions) {
    this.#frames = options.frames;
    this.#target = options.target;
    this.#descend = options.descend;
  }

  async run(): Promise<SessionResult> {
    const { request, descend, leaves } = await this.#target.plan();
    if (descend || this.#descend !== undefined) return this.#descent(request, leaves);
    await this.#frames.send(encodeClientMessage(request));
    const first = await this.#next();
    if (first.kind === "refusal" && first.code === "unknown_base") return this.#descent(request, leaves);
    return this.#answer(first);
  }

  async #descent(request: SyncRequest, leaves: number): Promise<SessionResult> {
    const hintBytes = this.#descend === "full" ? HINT_BYTES_FULL : HINT_BYTES_SHORT;
    const common = { registry: request.registry, salt: this.#target.salt(), hintBytes };
    let bits = Math.min(DESCENT_BITS_MAX, Math.max(0, Math.ceil(Math.log2(leaves / FIRST_LEAVES))));
    let prefixes: readonly Prefix[] = [{ bits: new Uint8Array(32), length: 0 }];
    for (let round = 0; round < DESCENT_ROUNDS_MAX; round++) {
      if (bits === 0 || prefixes.length === 0 || prefixes.length * 2 ** bits > COMPARE_HINTS_MAX) break;
      const hints = await this.#target.hints({ ...common, prefixes, bits });
      const differing = await this.#compare({ kind: "compare", ...common, bits, prefixes, hints, more: false });
      if ("kind" in differing) return { outcome: "refused", refusal: differing };
      prefixes = differing;
      const length = prefixes[0]?.length ?? 0;
      bits = leaves / 2 ** length > FETCH_LEAVES ? ROUND_BITS : 0;
    }
    const { counts, hints } = withinHints(await this.#target.leaves({ ...common, prefixes }), hintBytes);
    const { epoch, logSize } = request;
    await this.#ask({ kind: "fetch", ...common, epoch, logSize, prefixes, leaves: counts, hints, more: false });
    return this.#answer(await this.#next());
  }

  async #compare(question: CompareRequest): Promise<readonly Prefix[] | Refusal> {
    await this.#ask(question);
    const prefixes: Prefix[] = [];
    for (;;) {
      const message = await this.#next();
      if (message.kind === "refusal") return message;
      if (message.kind !== "differs") throw unexpected(message, "differs");
      for (const prefix of message.prefixes) prefixes.push(prefix);
      if (prefixes.length > DESCENT_PREFIXES_MAX) {
        throw new ProtocolError("limit_exceeded", `more than ${DESCENT_PREFIXES_MAX} prefixes differ`);
      }
      if (!message.more) break;
    }
    checkPrefixes(prefixes);
    checkAsked(question, prefixes);
    return prefixes;
  }

  /** Sends a question in frames of bounded size. */
  async #ask(question: CompareRequest | FetchRequest): Promise<void> {
    const each = (i: number): number => (question.kind === "compare" ? 2 ** question.bits : (question.leaves[i] as number));
    let from = 0;
    let hintsFrom = 0;
    let hints = 0;
    for (let i = 0; i <= question.prefixes.length; i++) {
      const more = i < question.prefixes.length;
      if (more && (i === from || (hints + each(i)) * question.hintBytes + (i - from) * 38 <= DESCENT_FRAME_BYTES)) {
        hints += each(i);
        continue;
      }
      const part = {
        prefixes: question.prefixes.slice(from, i),
        hints: question.hints.subarray(hintsFrom * question.hintBytes, (hintsFrom + hints) * question.hintBytes),
        more,
      };
      const leaves = question.kind === "fetch" ? { leaves: question.leaves.slice(from, i) } : {};
      await this.#frames.send(encodeClientMessage({ ...question, ...part, ...leaves } as CompareRequest | FetchRequest));
      [from, hintsFrom, hints] = [i, hintsFrom + hints, more ? each(i) : 0];
    }
  }

  async #answer(first: ServerMessage): Promise<SessionResult> {
    if (first.kind === "refusal") return { outcome: "refused", refusal: first };
    if (first.kind !== "header") throw unexpected(first, "header");
    const start = await this.#start(first);
    const verdict = await this.#target.begin(start);
    if (verdict === "descend") return { outcome: "not_foldable" };
    if (verdict === "proceed") await this.#batches(start);
    // `current` has nothing to take, and whatever the server sends beyond that is its fault.
    const last = await this.#next();
    if (last.kind !== "end") throw unexpected(last, "end");
    if (verdict === "proceed") await this.#target.end();
    return { outcome: verdict === "proceed" ? "completed" : "current", changes: start.changes };
  }

  async #start(header: SyncHeader): Promise<AnswerStart> {
    await this.#target.expect(header);
    const leaves: Uint8Array[] = [];
    let count = 0;
    while (count < header.logLeaves) {
      const message = await this.#next();
      if (message.kind !== "log") throw unexpected(message, "log");
      leaves.push(message.leaves);
      count += message.leaves.length / 32;
    }
    const frontier: FrontierEntry[] = [];
    while (frontier.length < header.frontierEntries) {
      const message = await this.#next();
      if (message.kind !== "frontier") throw unexpected(message, "frontier");
      for (const entry of message.entries) frontier.push(entry);
    }
    const changes = frontier.reduce((sum, entry) => sum + entry.changes, 0);
    if (count !== header.logLeaves || frontier.length !== header.frontierEntries || changes !== header.changes) {
      throw new ProtocolError("bad_frame", "the answer does not hold what its header announced");
    }
    checkPrefixes(frontier.map((entry) => entry.prefix));
    return { head: header.head, mode: header.mode, logLeaves: Buffer.concat(leaves), frontier, changes };
  }

  async #batches({ mode, frontier }: AnswerStart): Promise<void> {
    for (let entry = 0; entry < frontier.length; entry++) {
      let entries: readonly BatchEntry[] = [];
      for (;;) {
        const message = await this.#next();
        if (message.kind !== "batch" || message.entry !== entry) throw unexpected(message, `batch ${entry}`);
        entries = entries.length === 0 ? message.entries : [...entries, ...message.entries];
        if (entries.length > BATCH_RECORDS_MAX || (!message.last && message.entries.length === 0)) {
          throw new ProtocolError("limit_exceeded", `a batch holds 1 to ${BATCH_RECORDS_MAX} entries`);
        }
        if (message.last) break;
      }
      if (entries.length !== frontier[entry]?.changes) {
        throw new ProtocolError(
          "bad_frame",
          `batch ${entry} has ${entries.length} entries, its frontier says ${frontier[entry]?.changes}`,
        );
      }
      const foreign = mode === "delta" ? "keep" : "delete";
      if (entries.some(({ op }) => op === foreign)) {
        throw new ProtocolError("bad_frame", `an answer in mode ${mode} has no operation "${foreign}"`);
      }
      await this.#target.batch(entry, entries);
    }
  }

  async #next(): Promise<ServerMessage> {
    const frame = await this.#frames.receive();
    if (frame === undefined) throw new FramesError("truncated", "the peer closed the stream in the middle of a session");
    return decodeServerMessage(frame);
  }
}

function unexpected(message: ServerMessage, wanted: string): ProtocolError {
  return new ProtocolError("out_of_order", `expected ${wanted}, got ${message.kind}`);
}

/** A peer may name only subtrees that it was asked about; both lists ascend. @throws ProtocolError `bad_prefix` */
function checkAsked({ prefixes, bits }: CompareRequest, named: readonly Prefix[]): void {
  let next = 0;
  for (const prefix of named) {
    while (next < prefixes.length && !isPrefixOf(prefixes[next] as Prefix, prefix)) next += 1;
    if (prefixes[next]?.length !== prefix.length - bits)
      throw new ProtocolError("bad_prefix", "a prefix that was not asked about");
  }
}

/** The hints of as many prefixes, from the first, as one `fetch` may carry; under the others everything is sent. */
function withinHints({ counts, hints }: LeafHints, hintBytes: number): LeafHints {
  let sum = 0;
  const kept = counts.map((count) => {
    if (sum <= DESCENT_HINTS_MAX) sum += count;
    return sum <= DESCENT_HINTS_MAX ? count : 0;
  });
  const total = kept.reduce((all, count) => all + count, 0);
  return { counts: kept, hints: hints.subarray(0, total * hintBytes) };
}
