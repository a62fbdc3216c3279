import { FRAME_BYTES_MAX, FramesError, type Frames } from "../../../protocols/lib/frames.ts";

/** Bytes that may be on their way or unread before the sender is held back. */
export const WINDOW_BYTES = 262_144;

/** Takes something to the other end of the stream, in order. */
export type Carry = (bytes: Uint8Array | undefined, deliver: (far: MemoryFrames) => void) => void;

type Waiter = PromiseWithResolvers<Uint8Array | undefined>;

/** One end of a stream between two machines in memory. */
export class MemoryFrames implements Frames {
  readonly #carry: Carry;
  readonly #onDone: () => void;
  readonly #inbox: Uint8Array[] = [];
  #readers: Waiter[] = [];
  #senders: PromiseWithResolvers<void>[] = [];
  #creditBytes = WINDOW_BYTES;
  #consumedBytes = 0;
  #ended = { near: false, far: false };
  #broken: FramesError | undefined;
  #done = false;

  /** @param onDone called once when both sides have ended or the stream broke */
  constructor(carry: Carry, onDone: () => void) {
    this.#carry = carry;
    this.#onDone = onDone;
  }

  async send(frame: Uint8Array): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken;
    if (this.#ended.near) throw new FramesError("closed", "the stream was closed on our side");
    if (frame.length === 0 || frame.length > FRAME_BYTES_MAX) {
      throw new FramesError("frame_size", `a frame has 1 to ${FRAME_BYTES_MAX} bytes, not ${frame.length}`);
    }
    // The sender may use its buffer again as soon as the promise resolves.
    const copy = frame.slice();
    this.#creditBytes -= copy.length;
    this.#carry(copy, (far) => far.#takeFrame(copy));
    if (this.#creditBytes > 0) return;
    const waiter = Promise.withResolvers<void>();
    this.#senders.push(waiter);
    await waiter.promise;
  }

  async receive(): Promise<Uint8Array | undefined> {
    const frame = this.#inbox.shift();
    if (frame !== undefined) {
      this.#consumed(frame.length);
      return frame;
    }
    if (this.#broken !== undefined) throw this.#broken;
    if (this.#ended.far) return undefined;
    const waiter: Waiter = Promise.withResolvers();
    this.#readers.push(waiter);
    return waiter.promise;
  }

  async close(): Promise<void> {
    if (this.#broken !== undefined || this.#ended.near) return;
    this.#ended.near = true;
    this.#carry(undefined, (far) => far.#takeEnd());
    this.#finishIfEnded();
  }

  abort(reason: Error): void {
    if (this.#done) return;
    this.#carry(undefined, (far) => far.break("the peer aborted the stream"));
    this.#fail(new FramesError("closed", `aborted: ${reason.message}`, { cause: reason }));
  }

  /** The channel was reset under the stream. What the peer had sent and ended before stays readable. */
  break(why: string): void {
    if (!this.#done) this.#fail(new FramesError("reset", why));
  }

  #takeFrame(frame: Uint8Array): void {
    if (this.#broken !== undefined) return;
    const reader = this.#readers.shift();
    if (reader === undefined) {
      this.#inbox.push(frame);
    } else {
      this.#consumed(frame.length);
      reader.resolve(frame);
    }
  }

  #takeEnd(): void {
    if (this.#broken !== undefined) return;
    this.#ended.far = true;
    for (const reader of this.#readers.splice(0)) reader.resolve(undefined);
    this.#finishIfEnded();
  }

  #takeCredit(bytes: number): void {
    this.#creditBytes += bytes;
    if (this.#creditBytes <= 0) return;
    for (const sender of this.#senders.splice(0)) sender.resolve();
  }

  #consumed(bytes: number): void {
    this.#consumedBytes += bytes;
    if (this.#done || this.#consumedBytes < WINDOW_BYTES / 2) return;
    const credit = this.#consumedBytes;
    this.#consumedBytes = 0;
    this.#carry(undefined, (far) => far.#takeCredit(credit));
  }

  #fail(error: FramesError): void {
    this.#broken = error;
    if (error.code === "closed" || !this.#ended.far) this.#inbox.length = 0;
    for (const reader of this.#readers.splice(0)) reader.reject(error);
    for (const sender of this.#senders.splice(0)) sender.reject(error);
    this.#finish();
  }

  #finishIfEnded(): void {
    if (this.#ended.near && this.#ended.far) this.#finish();
  }

  #finish(): void {
    if (this.#done) return;
    this.#done = true;
    // Both sides ended, so the peer waits for nothing: neither does a send that had run out of credit.
    if (this.#broken === undefined) for (const sender of this.#senders.splice(0)) sender.resolve();
    this.#onDone();
  }
}
