import { KEY_BITS } from "../checkpoint/map.ts";
import { equal } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import { FramesError, type Frames } from "../lib/frames.ts";
import { decodeServerMessage, encodeClientMessage } from "./codec.ts";
import { HINT_BYTES_SHORT } from "./messages.ts";

/** Frames of an answer about a single key: header, log, frontier, batches, end. An answer of more is not taken. */
const FRAMES_MAX = 64;

export interface RecordQuestion {
  /** DID of the catalogue's registry. */
  readonly registry: string;
  readonly epoch: number;
  /** Leaf hashes that need not be sent: all that we know of. */
  readonly logSize: number;
  readonly key: Uint8Array;
  readonly salt: Uint8Array;
}

/**
 * Asks for the record of one key by a `fetch` of its whole prefix (README.md). The bytes come without proof: the caller knows
 * the hash that they must have. `undefined` when the peer has none, or refuses.
 * @throws ProtocolError, FramesError
 */
export async function fetchRecord(frames: Frames, question: RecordQuestion): Promise<Uint8Array | undefined> {
  const { registry, epoch, logSize, key, salt } = question;
  const hints = { salt, hintBytes: HINT_BYTES_SHORT, leaves: [0], hints: new Uint8Array(0) };
  const prefixes = [{ bits: key, length: KEY_BITS }];
  await frames.send(encodeClientMessage({ kind: "fetch", registry, epoch, logSize, ...hints, prefixes, more: false }));
  let found: Uint8Array | undefined;
  for (let i = 0; i < FRAMES_MAX; i++) {
    const frame = await frames.receive();
    if (frame === undefined) throw new FramesError("truncated", "the peer closed the stream in the middle of an answer");
    const message = decodeServerMessage(frame);
    if (message.kind === "refusal") return undefined;
    if (message.kind === "end") return found;
    if (message.kind !== "batch") continue;
    for (const entry of message.entries) if (entry.op === "put" && equal(entry.key, key)) found = Uint8Array.from(entry.record);
  }
  throw new ProtocolError("limit_exceeded", `an answer about one key has more than ${FRAMES_MAX} frames`);
}
