import { decodeServerMessage, encodeClientMessage, encodeServerMessage } from "../../../protocols/catalog-sync/codec.ts";
import type { Answer } from "../../../protocols/catalog-sync/handler.ts";
import type { BatchEntry, ClientMessage, FrontierEntry, ServerMessage } from "../../../protocols/catalog-sync/messages.ts";
import { EMPTY, leafHash } from "../../../protocols/checkpoint/map.ts";
import { prefixOf, ROOT_PREFIX, type Prefix } from "../../../protocols/checkpoint/prefix.ts";
import { hex } from "../../../protocols/lib/bytes.ts";
import { type Frames, FramesError } from "../../../protocols/lib/frames.ts";
import { sha256, valueOf } from "../../../protocols/lib/hash.ts";
import { ACME, commit, publish } from "../checkpoint/support.ts";

/** A frame, the end of the stream, or its loss. */
type Item = Uint8Array | undefined | Error;

/** One end of an in-memory stream of frames without back-pressure. */
export class QueueFrames implements Frames {
  readonly #inbox: Item[] = [];
  readonly #readers: PromiseWithResolvers<Uint8Array | undefined>[] = [];
  #peer: QueueFrames | undefined;
  closed = false;

  static pair(): [QueueFrames, QueueFrames] {
    const [a, b] = [new QueueFrames(), new QueueFrames()];
    [a.#peer, b.#peer] = [b, a];
    return [a, b];
  }

  async send(frame: Uint8Array): Promise<void> {
    if (this.closed) throw new FramesError("closed", "closed on our side");
    this.#peer?.arrive(frame);
  }

  receive(): Promise<Uint8Array | undefined> {
    const reader = Promise.withResolvers<Uint8Array | undefined>();
    this.#readers.push(reader);
    this.#match();
    return reader.promise;
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.#peer?.arrive(undefined);
  }

  abort(reason: Error): void {
    this.closed = true;
    this.arrive(new FramesError("closed", reason.message));
    this.#peer?.arrive(new FramesError("reset", reason.message));
  }

  private arrive(item: Item): void {
    this.#inbox.push(item);
    this.#match();
  }

  #match(): void {
    while (this.#inbox.length > 0 && this.#readers.length > 0) {
      const item = this.#inbox.shift();
      const reader = this.#readers.shift();
      if (item instanceof Error) reader?.reject(item);
      else reader?.resolve(item);
      // An end stays an end, a break a break.
      if (item === undefined || item instanceof Error) this.#inbox.unshift(item);
      if (item === undefined && this.#readers.length === 0) return;
    }
  }
}

/** The far end as a test writes it: raw frames out, messages in. */
export class Peer {
  readonly frames: QueueFrames;

  constructor(frames: QueueFrames) {
    this.frames = frames;
  }

  async say(...messages: readonly (ServerMessage | ClientMessage | Uint8Array)[]): Promise<void> {
    for (const message of messages) await this.frames.send(message instanceof Uint8Array ? message : encode(message));
  }

  /** The next server message, or `undefined` at the end of the stream. */
  async hear(): Promise<ServerMessage | undefined> {
    const frame = await this.frames.receive();
    return frame && decodeServerMessage(frame);
  }

  /** Server messages up to and with one of this kind. */
  async hearUntil(kind: ServerMessage["kind"]): Promise<ServerMessage[]> {
    const heard: ServerMessage[] = [];
    for (;;) {
      const message = await this.hear();
      if (message === undefined) throw new Error(`the stream ended before ${kind}`);
      heard.push(message);
      if (message.kind === kind) return heard;
    }
  }
}

export function encode(message: ServerMessage | ClientMessage): Uint8Array {
  const client = message.kind === "request" || message.kind === "compare" || message.kind === "fetch";
  return client ? encodeClientMessage(message) : encodeServerMessage(message);
}

/** A message with every byte string as hex, for vectors. */
export function toJson(message: unknown): unknown {
  return JSON.parse(
    JSON.stringify(message, (_key, value: unknown) => {
      const bytes = value as { type?: string; data?: number[] } | Uint8Array;
      if (bytes instanceof Uint8Array) return hex(bytes);
      return (bytes as { type?: string } | null)?.type === "Buffer"
        ? hex(Uint8Array.from((bytes as { data: number[] }).data))
        : value;
    }),
  );
}

/** Agents of a made-up catalogue: keys ascend, records are opaque bytes. */
export function sampleRecords(count: number): { readonly key: Uint8Array; readonly record: Uint8Array }[] {
  return Array.from({ length: count }, (_, i) => ({
    key: sha256(Buffer.from(`key ${i}`)),
    record: Buffer.from(`record ${i}`),
  })).sort((a, b) => Buffer.compare(a.key, b.key));
}

/** A valid answer with a batch for each of `records`, each under a prefix of 256 bits. */
export function answerOf(records: ReturnType<typeof sampleRecords>, closed: () => void = () => undefined): Answer {
  const { head, log } = publish([commit({ agents: records.length, changes: records.length })], ACME);
  const frontier: FrontierEntry[] = records.map(({ key, record }) => ({
    prefix: prefixOf(key, 256),
    hash: leafHash(key, valueOf(record)),
    changes: 1,
  }));
  return {
    ...{ head, mode: "delta", logLeaves: log.leafHash(0), frontier },
    async *batches() {
      for (const { key, record } of records) yield [{ op: "put", key, record } satisfies BatchEntry];
    },
    close: async () => closed(),
  };
}

/** The frames of that answer, so that a test can spoil them. */
export function framesOf(records: ReturnType<typeof sampleRecords>): ServerMessage[] {
  const { head, mode, frontier, logLeaves } = answerOf(records);
  const counts = { logLeaves: 1, frontierEntries: frontier.length, changes: frontier.length };
  return [
    { kind: "header", head, mode, ...counts },
    { kind: "log", leaves: logLeaves },
    ...(frontier.length > 0 ? [{ kind: "frontier", entries: frontier } as const] : []),
    ...records.map(
      ({ key, record }, entry) => ({ kind: "batch", entry, last: true, entries: [{ op: "put", key, record }] }) as const,
    ),
    { kind: "end" },
  ];
}

export const SALT: Uint8Array = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

export function compareOf(prefixes: readonly Prefix[] = [ROOT_PREFIX], bits = 0, more = false): ClientMessage {
  const hints = new Uint8Array(prefixes.length * 2 ** bits * 8);
  return { kind: "compare", registry: ACME.did, salt: SALT, hintBytes: 8, bits, prefixes, hints, more };
}

export function fetchOf(prefixes: readonly Prefix[] = [ROOT_PREFIX], more = false): ClientMessage {
  const [leaves, hints] = [prefixes.map(() => 0), new Uint8Array(0)];
  return { kind: "fetch", registry: ACME.did, epoch: 0, logSize: 0, salt: SALT, hintBytes: 8, prefixes, leaves, hints, more };
}

export const REQUEST: ClientMessage = {
  ...{ kind: "request", registry: ACME.did, epoch: 0, baseSize: 0, baseRoot: EMPTY, logSize: 0 },
};
