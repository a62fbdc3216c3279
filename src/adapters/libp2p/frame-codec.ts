import { FRAME_BYTES_MAX, FramesError } from "../../../protocols/lib/frames.ts";

/**
 * Frames on a byte stream: an unsigned varint of the length (multiformats `unsigned-varint`, shortest form), then the bytes,
 * as `it-length-prefixed` writes them. The length is checked before anything is buffered.
 */

/** Bytes of the longest prefix that is legal: FRAME_BYTES_MAX fits into 21 bits. */
const PREFIX_BYTES_MAX = 3;

export function framePrefix(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length);
  if (length < 0x4000) return Uint8Array.of((length & 0x7f) | 0x80, length >>> 7);
  return Uint8Array.of((length & 0x7f) | 0x80, ((length >>> 7) & 0x7f) | 0x80, length >>> 14);
}

/** Cuts chunks of any size into frames. A frame that lies whole in a large chunk is a view of it, any other is copied once. */
export class FrameDecoder {
  readonly #emit: (frame: Uint8Array) => void;
  #length = 0;
  #prefixBytes = 0;
  #frame: Buffer | undefined;
  #filled = 0;

  constructor(emit: (frame: Uint8Array) => void) {
    this.#emit = emit;
  }

  /** Whether a frame has begun and not ended. */
  get partial(): boolean {
    return this.#prefixBytes > 0 || this.#frame !== undefined;
  }

  /** @throws FramesError `frame_size` for a length of 0, above FRAME_BYTES_MAX, or not in its shortest form */
  push(chunk: Uint8Array): void {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#frame !== undefined) offset = this.#fill(this.#frame, chunk, offset);
      else if (this.#readPrefix(chunk[offset++] as number)) offset = this.#begin(chunk, offset);
    }
  }

  /** Takes one byte of the prefix; true when it was the last. */
  #readPrefix(byte: number): boolean {
    this.#length |= (byte & 0x7f) << (7 * this.#prefixBytes++);
    if (byte >= 0x80 && this.#prefixBytes < PREFIX_BYTES_MAX) return false;
    const shortest = this.#prefixBytes === 1 || byte !== 0;
    if (byte >= 0x80 || !shortest || this.#length === 0 || this.#length > FRAME_BYTES_MAX) {
      const announced = byte >= 0x80 ? `more than ${FRAME_BYTES_MAX}` : String(this.#length);
      throw new FramesError("frame_size", `the peer announced a frame of ${announced} bytes; 1 to ${FRAME_BYTES_MAX} are taken`);
    }
    return true;
  }

  #begin(chunk: Uint8Array, offset: number): number {
    const [length, end] = [this.#length, offset + this.#length];
    this.#length = 0;
    this.#prefixBytes = 0;
    if (end > chunk.length) {
      this.#frame = Buffer.allocUnsafeSlow(length);
      this.#filled = 0;
      return offset;
    }
    const view = chunk.subarray(offset, end);
    // A small frame must not keep a large chunk alive for as long as somebody holds it.
    this.#emit(length * 2 < chunk.length ? Buffer.from(view) : view);
    return end;
  }

  #fill(frame: Buffer, chunk: Uint8Array, offset: number): number {
    const taken = Math.min(frame.length - this.#filled, chunk.length - offset);
    frame.set(offset === 0 && taken === chunk.length ? chunk : chunk.subarray(offset, offset + taken), this.#filled);
    this.#filled += taken;
    if (this.#filled === frame.length) {
      this.#frame = undefined;
      this.#emit(frame);
    }
    return offset + taken;
  }
}
