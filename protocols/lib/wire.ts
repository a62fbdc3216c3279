import { HASH_BYTES } from "./hash.ts";
import { ProtocolError } from "./errors.ts";

/** Binary layouts of the contracts: big-endian integers, byte strings after their length. */
export class WireWriter {
  readonly #parts: Uint8Array[] = [];

  u8(value: number): this {
    return this.#integer(value, 1);
  }

  u16(value: number): this {
    return this.#integer(value, 2);
  }

  u32(value: number): this {
    return this.#integer(value, 4);
  }

  raw(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    return this;
  }

  /** u16 length, then the bytes. */
  sized(bytes: Uint8Array): this {
    return this.u16(bytes.length).raw(bytes);
  }

  finish(): Uint8Array {
    return Buffer.concat(this.#parts);
  }

  #integer(value: number, width: number): this {
    const bytes = Buffer.allocUnsafe(width);
    bytes.writeUIntBE(value, 0, width);
    return this.raw(bytes);
  }
}

/** Reads what WireWriter wrote; byte strings are views of the input. Every read may throw ProtocolError `truncated`. */
export class WireReader {
  readonly #bytes: Buffer;
  #offset = 0;

  /** @throws ProtocolError `too_large` */
  constructor(bytes: Uint8Array, bytesMax: number) {
    if (bytes.length > bytesMax) throw tooLarge(bytes.length, bytesMax);
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes not read yet. */
  get left(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(): number {
    return this.#integer(1);
  }

  u16(): number {
    return this.#integer(2);
  }

  u32(): number {
    return this.#integer(4);
  }

  raw(length: number): Uint8Array {
    return this.#bytes.subarray(this.#take(length), this.#offset);
  }

  hash(): Uint8Array {
    return this.raw(HASH_BYTES);
  }

  /** A byte string after its u16 length. @throws ProtocolError `too_large` */
  sized(bytesMax: number): Uint8Array {
    const length = this.u16();
    if (length > bytesMax) throw tooLarge(length, bytesMax);
    return this.raw(length);
  }

  /** A count of items that follow, written in `width` bytes. @throws ProtocolError `limit_exceeded` */
  count(width: 1 | 2 | 4, max: number, what: string): number {
    const count = this.#integer(width);
    if (count > max) throw new ProtocolError("limit_exceeded", `${count} ${what}, at most ${max} are taken`, { count, max });
    return count;
  }

  /** @throws ProtocolError `bad_frame` when bytes are left over */
  end(): void {
    const left = this.#bytes.length - this.#offset;
    if (left > 0) throw new ProtocolError("bad_frame", `${left} bytes follow the end`, { bytes: left });
  }

  #integer(width: number): number {
    return this.#bytes.readUIntBE(this.#take(width), width);
  }

  #take(length: number): number {
    const start = this.#offset;
    const left = this.#bytes.length - start;
    if (length > left)
      throw new ProtocolError("truncated", `${length} bytes expected, ${left} are left`, { expected: length, left });
    this.#offset = start + length;
    return start;
  }
}

function tooLarge(bytes: number, bytesMax: number): ProtocolError {
  return new ProtocolError("too_large", `${bytes} bytes, at most ${bytesMax} are taken`, { bytes, bytesMax });
}
