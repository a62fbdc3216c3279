import { fromUtf8, utf8 } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";

/**
 * Canonical JSON (RFC 8785): the one form in which records, descriptors and commits are hashed, signed, stored and sent.
 * Reading is strict: bytes that are not already canonical are refused, which also refuses duplicate keys (RFC 8785 §3.1),
 * white space, non-shortest numbers and escapes, and lone surrogates.
 */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** The deepest nesting of arrays and objects that is read or written. */
export const JSON_DEPTH_MAX = 16;

/** @throws ProtocolError `too_deep`, `schema` for what JSON cannot carry (NaN, undefined, a lone surrogate) */
export function encodeCanonical(value: Json): Uint8Array {
  return utf8(canonicalText(value));
}

export function canonicalText(value: Json): string {
  return write(value, 0);
}

/**
 * Reads exactly the canonical form of at most `bytesMax` bytes.
 * @throws ProtocolError `too_large`, `not_utf8`, `not_json`, `too_deep`, `not_canonical`
 */
export function decodeCanonical(bytes: Uint8Array, bytesMax: number): Json {
  if (bytes.length > bytesMax) {
    throw new ProtocolError("too_large", `${bytes.length} bytes, at most ${bytesMax} are taken`, {
      bytes: bytes.length,
      bytesMax,
    });
  }
  const text = fromUtf8(bytes);
  const value = parseJson(text);
  if (canonicalText(value) !== text) {
    throw new ProtocolError("not_canonical", "the JSON is not in the canonical form of RFC 8785");
  }
  return value;
}

/** `JSON.parse` with a coded error. @throws ProtocolError `not_json` */
export function parseJson(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw new ProtocolError("not_json", `not valid JSON: ${(error as Error).message}`);
  }
}

// A string needs no escape when it holds none of: control characters, quote, backslash, surrogates. Most do not.
// eslint-disable-next-line no-control-regex
const NEEDS_CARE = /[\u0000-\u001f"\\\ud800-\udfff]/;

function writeString(text: string): string {
  if (!NEEDS_CARE.test(text)) return `"${text}"`;
  if (!text.isWellFormed()) throw new ProtocolError("schema", "a string holds a lone surrogate");
  return JSON.stringify(text);
}

function write(value: Json, depth: number): string {
  if (typeof value === "string") return writeString(value);
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new ProtocolError("schema", "a number is not finite");
    return JSON.stringify(value);
  }
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value !== "object") throw new ProtocolError("schema", `JSON has no ${typeof value}`);
  if (depth >= JSON_DEPTH_MAX) {
    throw new ProtocolError("too_deep", `nested deeper than ${JSON_DEPTH_MAX} levels`, { depthMax: JSON_DEPTH_MAX });
  }
  if (Array.isArray(value)) {
    let out = "[";
    for (let i = 0; i < value.length; i++) out += (i === 0 ? "" : ",") + write(value[i] as Json, depth + 1);
    return out + "]";
  }
  // Sorting by UTF-16 code units is what RFC 8785 §3.2.3 asks for, and what sort() does without a comparator.
  const object = value as { readonly [key: string]: Json };
  let out = "{";
  for (const key of Object.keys(object).sort()) {
    out += (out === "{" ? "" : ",") + writeString(key) + ":" + write(object[key] as Json, depth + 1);
  }
  return out + "}";
}
