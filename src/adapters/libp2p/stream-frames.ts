import type { Stream, StreamCloseEvent, StreamMessageEvent } from "@libp2p/interface";
import { Uint8ArrayList } from "uint8arraylist";
import { FRAME_BYTES_MAX, FramesError, type Frames } from "../../../protocols/lib/frames.ts";
import { FrameDecoder, framePrefix } from "./frame-codec.ts";

/** Unread frames held before the stream is paused, in bytes; the peer then fills its yamux window and stops. */
const RECEIVE_QUEUE_BYTES_MAX = 1_048_576;
/** Bytes that wait for the muxer before `send` holds its caller back. */
const SEND_QUEUE_BYTES_MAX = 1_048_576;
/** Below this a frame is joined with its prefix: one write costs less than two. */
const JOIN_BYTES_MAX = 4_096;

/**
 * `Frames` over a libp2p stream. It listens to the stream's events instead of iterating, because an iteration ends in the
 * same way after a clean end and after the connection died. Must be made in the tick in which the stream was handed over.
 */
export class StreamFrames implements Frames {
  readonly #stream: Stream;
  readonly #decoder = new FrameDecoder((frame) => this.#deliver(frame));
  readonly #queue: Uint8Array[] = [];
  readonly #readers: PromiseWithResolvers<Uint8Array | undefined>[] = [];
  readonly #writers: PromiseWithResolvers<void>[] = [];
  #queuedBytes = 0;
  #finished: boolean;
  #ended = false;
  #closing = false;
  #resuming = false;
  #broken: FramesError | undefined;

  constructor(stream: Stream) {
    this.#stream = stream;
    // A stream that is open while its peer's half is closed has seen a FIN before we came.
    this.#finished = stream.status === "open" && stream.remoteWriteStatus === "closed";
    if (stream.status !== "open") {
      this.#break(new FramesError("reset", "the peer reset the stream"));
      return;
    }
    stream.addEventListener("remoteCloseWrite", () => (this.#finished = true));
    stream.addEventListener("end", () => this.#end());
    stream.addEventListener("close", (event) => this.#closed(event));
    stream.addEventListener("idle", () => this.#wakeWriters());
    stream.addEventListener("drain", () => queueMicrotask(() => this.#wakeWriters()));
    stream.addEventListener("message", (event) => this.#read(event));
    if (stream.readableEnded) this.#end();
  }

  async send(frame: Uint8Array): Promise<void> {
    if (frame.length < 1 || frame.length > FRAME_BYTES_MAX) {
      throw new FramesError("frame_size", `a frame of ${frame.length} bytes cannot be sent; 1 to ${FRAME_BYTES_MAX} can`);
    }
    this.#requireWritable();
    const prefix = framePrefix(frame.length);
    const joined = frame.length <= JOIN_BYTES_MAX ? Buffer.concat([prefix, frame]) : new Uint8ArrayList(prefix, frame);
    try {
      this.#stream.send(joined);
    } catch (cause) {
      throw this.#broken ?? new FramesError("reset", "the stream broke while a frame was being sent", { cause });
    }
    // The library's onDrain() resolves at once from its second use on: the queue itself is watched instead.
    while (this.#stream.writeBufferLength > SEND_QUEUE_BYTES_MAX) {
      const writer = Promise.withResolvers<void>();
      this.#writers.push(writer);
      await writer.promise;
    }
  }

  receive(): Promise<Uint8Array | undefined> {
    const frame = this.#queue.shift();
    if (frame !== undefined) {
      this.#queuedBytes -= frame.length;
      this.#resume();
      return Promise.resolve(frame);
    }
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    if (this.#ended) return Promise.resolve(undefined);
    const reader = Promise.withResolvers<Uint8Array | undefined>();
    this.#readers.push(reader);
    this.#resume();
    return reader.promise;
  }

  async close(): Promise<void> {
    if (this.#closing || this.#broken !== undefined) return;
    this.#closing = true;
    try {
      await this.#stream.close();
    } catch (cause) {
      throw this.#broken ?? new FramesError("reset", "the stream broke before all that was sent had left", { cause });
    }
  }

  abort(reason: Error): void {
    if (this.#broken !== undefined) return;
    this.#break(
      reason instanceof FramesError ? reason : new FramesError("closed", `aborted: ${reason.message}`, { cause: reason }),
    );
    this.#stream.abort(reason);
  }

  #requireWritable(): void {
    if (this.#broken !== undefined) throw this.#broken;
    if (this.#closing) throw new FramesError("closed", "our side of the stream is closed");
    if (this.#stream.status !== "open") throw new FramesError("reset", "the peer reset the stream");
  }

  #read(event: StreamMessageEvent): void {
    if (this.#broken !== undefined) return;
    try {
      if (event.data instanceof Uint8Array) this.#decoder.push(event.data);
      else for (const chunk of event.data) this.#decoder.push(chunk);
    } catch (error) {
      this.abort(error as FramesError);
      return;
    }
    if (!this.#resuming) this.#pauseIfFull();
  }

  #pauseIfFull(): void {
    if (this.#stream.readStatus === "readable" && this.#queuedBytes > RECEIVE_QUEUE_BYTES_MAX) this.#stream.pause();
  }

  #deliver(frame: Uint8Array): void {
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader.resolve(frame);
      return;
    }
    this.#queue.push(frame);
    this.#queuedBytes += frame.length;
  }

  #resume(): void {
    if (this.#stream.readStatus !== "paused" || this.#queuedBytes > RECEIVE_QUEUE_BYTES_MAX / 2) return;
    // `resume` hands over what has gathered and then opens the peer's window: a pause in the middle of it would leave the
    // window open for good, and the stream would be aborted once its read buffer is full.
    this.#resuming = true;
    this.#stream.resume();
    this.#resuming = false;
    this.#pauseIfFull();
  }

  /** Nothing more will come: a clean end only if the peer said so and stopped between two frames. */
  #end(): void {
    if (this.#ended || this.#broken !== undefined) return;
    if (!this.#finished) {
      this.#break(new FramesError("reset", "the connection ended before the peer closed the stream"));
    } else if (this.#decoder.partial) {
      this.abort(new FramesError("truncated", "the peer closed the stream in the middle of a frame"));
    } else {
      this.#ended = true;
      for (const reader of this.#readers.splice(0)) reader.resolve(undefined);
    }
  }

  #closed(event: StreamCloseEvent): void {
    const clean = event.error === undefined && this.#finished;
    if (!clean) this.#break(new FramesError("reset", "the stream was reset", { cause: event.error }));
    this.#wakeWriters();
  }

  #break(error: FramesError): void {
    if (this.#broken !== undefined) return;
    this.#broken = error;
    this.#queue.length = 0;
    this.#queuedBytes = 0;
    for (const reader of this.#readers.splice(0)) reader.reject(error);
    for (const writer of this.#writers.splice(0)) writer.reject(error);
  }

  #wakeWriters(): void {
    for (const writer of this.#writers.splice(0)) {
      if (this.#broken !== undefined) writer.reject(this.#broken);
      else writer.resolve();
    }
  }
}
