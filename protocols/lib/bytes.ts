import { isAscii } from "node:buffer";
import { ProtocolError } from "./errors.ts";

/** Small helpers on byte arrays. Text encodings are strict: what they accept, they give back unchanged. */

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function utf8(text: string): Uint8Array {
  return Buffer.from(text, "utf8");
}

/** @throws ProtocolError `not_utf8` */
export function fromUtf8(bytes: Uint8Array): string {
  // Nearly all of what is read is ASCII, and this way takes half of the time.
  if (isAscii(bytes)) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  try {
    return decoder.decode(bytes);
  } catch {
    throw new ProtocolError("not_utf8", "the bytes are not valid UTF-8");
  }
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** Order as unsigned bytes, shorter first on a tie: negative, zero or positive. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/** Lower-case hex of a known length in bytes. @throws ProtocolError `schema` */
export function fromHex(text: string, length: number): Uint8Array {
  if (text.length !== length * 2 || !/^[0-9a-f]*$/.test(text)) {
    throw new ProtocolError("schema", `expected ${length * 2} lower-case hex digits, got "${text.slice(0, 80)}"`);
  }
  return Buffer.from(text, "hex");
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/** Standard padded base64 (RFC 4648 §4); Node's own decoder skips junk, so the round trip is compared. @throws ProtocolError `bad_base64` */
export function fromBase64(text: string): Uint8Array {
  const bytes = Buffer.from(text, "base64");
  if (bytes.toString("base64") !== text) {
    throw new ProtocolError("bad_base64", "not canonical padded base64 (RFC 4648 section 4)");
  }
  return bytes;
}
