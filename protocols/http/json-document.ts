import { z } from "zod";
import { fromHex, fromUtf8, hex } from "../lib/bytes.ts";
import type { Json } from "../lib/canonical.ts";
import { ProtocolError } from "../lib/errors.ts";
import { HASH_BYTES } from "../lib/hash.ts";
import { parseStrictJson } from "../lib/strict-json.ts";

/** What the REST documents have in common (rest.md, "Documents"): strict reading, tolerance of further members, and no second encoding. */

/** JSON in which byte strings are the encoded form of a member and are written as they are; members that are `undefined` are left out. */
export type Spliced =
  null | boolean | number | string | Uint8Array | readonly Spliced[] | { readonly [member: string]: Spliced | undefined };

/** Bytes of a hash as an item of an array: quotes, `0x`, digits, comma. */
export const HASH_ITEM_BYTES: number = 2 + 2 + 2 * HASH_BYTES + 1;
/** Bytes of names, punctuation and numbers of one document. */
export const FRAME_BYTES_MAX = 512;

/** `0x` and 64 lower-case hex digits. */
export const hashText: z.ZodType<string> = z.string().regex(/^0x[0-9a-f]{64}$/, "expected 0x and 64 lower-case hex digits");

export function encodeDocument(value: Spliced): Uint8Array {
  const parts: Uint8Array[] = [];
  let text = "";
  const write = (part: Spliced): void => {
    if (part instanceof Uint8Array) {
      parts.push(Buffer.from(text), part);
      text = "";
    } else if (Array.isArray(part)) {
      text += "[";
      (part as readonly Spliced[]).forEach((item, index) => {
        if (index > 0) text += ",";
        write(item);
      });
      text += "]";
    } else if (typeof part === "object" && part !== null) {
      text += "{";
      let separator = "";
      for (const [name, member] of Object.entries(part)) {
        if (member === undefined) continue;
        text += `${separator}${JSON.stringify(name)}:`;
        separator = ",";
        write(member);
      }
      text += "}";
    } else {
      text += JSON.stringify(part);
    }
  };
  write(value);
  parts.push(Buffer.from(text));
  return Buffer.concat(parts);
}

/** @throws ProtocolError `too_large`, `not_utf8`, `not_json`, `too_deep`, `duplicate_key` */
export function readDocument(bytes: Uint8Array, bytesMax: number, depthMax: number): Json {
  if (bytes.length > bytesMax) {
    const detail = { bytes: bytes.length, bytesMax };
    throw new ProtocolError("too_large", `a document of ${bytes.length} bytes, at most ${bytesMax} are taken`, detail);
  }
  return parseStrictJson(fromUtf8(bytes), depthMax);
}

/** Wrong members that one message names. */
const ISSUES_NAMED_MAX = 8;

/** @throws ProtocolError `schema`, naming the members that do not fit */
export function checkDocument<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { issues } = result.error;
  const named = issues.slice(0, ISSUES_NAMED_MAX).map((issue) => `${issue.path.join(".") || "(document)"}: ${issue.message}`);
  const more = issues.length > ISSUES_NAMED_MAX ? `; and ${issues.length - ISSUES_NAMED_MAX} more` : "";
  throw new ProtocolError("schema", named.join("; ") + more, { fields: issues.length });
}

export function hexText(bytes: Uint8Array): string {
  return `0x${hex(bytes)}`;
}

/** @param length bytes @throws ProtocolError `schema` */
export function fromHexText(text: string, length: number = HASH_BYTES): Uint8Array {
  if (!text.startsWith("0x")) {
    throw new ProtocolError("schema", `expected 0x and ${length * 2} lower-case hex digits, got "${text.slice(0, 80)}"`);
  }
  return fromHex(text.slice(2), length);
}
