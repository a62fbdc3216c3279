import { decodeHead, encodeHead, HEAD_BYTES_MAX, type SignedHead } from "../checkpoint/head.ts";
import { WireReader, WireWriter } from "../lib/wire.ts";
import { DESCRIPTOR_BYTES_MAX } from "../descriptor/descriptor.ts";
import { ProtocolError } from "../lib/errors.ts";
import { type Frames, FramesError } from "../lib/frames.ts";
import { readVersion } from "./announcement.ts";

/** Request and response, once for each new connection; both sides send the same message. */
export const HELLO_PROTOCOL = "/theprotocol/hello/1.0.0";

/** What two registries tell each other when they meet, so that a late or restarted one catches up at once. */
export interface Hello {
  /** Our own descriptor, exact bytes. */
  readonly descriptor: Uint8Array;
  /** Our own newest head; absent before the first commit. */
  readonly head?: SignedHead;
  /** The newest head of the *receiver's* catalogue that we have seen: a restored registry learns from it what it signed. */
  readonly yours?: SignedHead;
  /** A sample of other registries' descriptors, exact bytes. */
  readonly known: readonly Uint8Array[];
  /** The newest heads of other registries that we have seen. */
  readonly heads: readonly SignedHead[];
}

/** Descriptors in one hello. */
export const HELLO_KNOWN_MAX = 32;
/** Other registries' heads in one hello. */
export const HELLO_HEADS_MAX = 32;

/** Bytes of the longest hello; it fits in one frame. */
export const HELLO_BYTES_MAX: number =
  2 + (1 + HELLO_KNOWN_MAX) * (2 + DESCRIPTOR_BYTES_MAX) + (2 + HELLO_HEADS_MAX) * (2 + HEAD_BYTES_MAX) + 2;

const VERSION = 1;
const HAS_HEAD = 1;
const HAS_YOURS = 2;

/**
 * u8 version 1, u8 flags (1 head, 2 yours), descriptor, head, yours, u8 count of `known` and each, u8 count of `heads` and
 * each; every descriptor and head after its u16 length. @throws ProtocolError `limit_exceeded`
 */
export function encodeHello(hello: Hello): Uint8Array {
  checkCount(hello.known.length, HELLO_KNOWN_MAX, "descriptors");
  checkCount(hello.heads.length, HELLO_HEADS_MAX, "heads");
  const flags = (hello.head === undefined ? 0 : HAS_HEAD) | (hello.yours === undefined ? 0 : HAS_YOURS);
  const writer = new WireWriter().u8(VERSION).u8(flags).sized(hello.descriptor);
  if (hello.head !== undefined) writer.sized(encodeHead(hello.head));
  if (hello.yours !== undefined) writer.sized(encodeHead(hello.yours));
  writer.u8(hello.known.length);
  for (const descriptor of hello.known) writer.sized(descriptor);
  writer.u8(hello.heads.length);
  for (const head of hello.heads) writer.sized(encodeHead(head));
  return writer.finish();
}

/**
 * Checks the layout and the bounds only: descriptors and heads are opened one by one, so that a bad one among `known` or
 * `heads`, which the sender may have from others, does not spoil the rest.
 * @throws ProtocolError `too_large`, `truncated`, `bad_frame`, `not_utf8`, `limit_exceeded`
 */
export function decodeHello(bytes: Uint8Array): Hello {
  const reader = new WireReader(bytes, HELLO_BYTES_MAX);
  readVersion(reader, VERSION);
  const flags = reader.u8();
  if (flags > (HAS_HEAD | HAS_YOURS)) throw new ProtocolError("bad_frame", `unknown flags ${flags}`);
  const readHead = (): SignedHead => decodeHead(reader.sized(HEAD_BYTES_MAX));
  const readDescriptor = (): Uint8Array => reader.sized(DESCRIPTOR_BYTES_MAX);
  const descriptor = readDescriptor();
  const head = (flags & HAS_HEAD) !== 0 ? readHead() : undefined;
  const yours = (flags & HAS_YOURS) !== 0 ? readHead() : undefined;
  const known = Array.from({ length: reader.count(1, HELLO_KNOWN_MAX, "descriptors") }, readDescriptor);
  const heads = Array.from({ length: reader.count(1, HELLO_HEADS_MAX, "heads") }, readHead);
  reader.end();
  return { descriptor, ...(head && { head }), ...(yours && { yours }), known, heads };
}

/**
 * Both sides of the protocol: sends ours, takes theirs, closes. The channel is aborted on any failure and when `signal` fires.
 * @param mine absent for a registry that may not speak of itself yet, see the README: it only listens
 * @throws ProtocolError as `decodeHello`, `truncated` when the peer closes without a hello; FramesError; the signal's reason
 */
export async function exchangeHello(frames: Frames, mine: Hello | undefined, signal?: AbortSignal): Promise<Hello> {
  const abort = (): void => frames.abort(asError(signal?.reason));
  try {
    signal?.throwIfAborted();
    signal?.addEventListener("abort", abort, { once: true });
    const ours = mine && encodeHello(mine);
    // Together: were both sides to send first and read later, two full windows would wait for each other.
    const [answer] = await Promise.all([frames.receive(), ours && frames.send(ours)]);
    if (answer === undefined) throw new ProtocolError("truncated", "the peer closed the stream without a hello");
    const theirs = decodeHello(answer);
    await frames.close();
    return theirs;
  } catch (error) {
    const cause = signal?.aborted === true ? asError(signal.reason) : asError(error);
    frames.abort(cause);
    throw cause;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new FramesError("closed", "the exchange was called off", { cause: reason });
}

function checkCount(count: number, max: number, what: string): void {
  if (count > max) throw new ProtocolError("limit_exceeded", `${count} ${what}, at most ${max} fit in a hello`, { count, max });
}
