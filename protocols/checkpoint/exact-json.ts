import { type Json, parseJson } from "../lib/canonical.ts";
import { ProtocolError } from "../lib/errors.ts";

/**
 * JSON that people may indent: it stands in one line or is indented by two, as `JSON.stringify` writes both, with or without a
 * newline at its end; only the order of keys is free. So no character can change without a change of meaning, and no key stands
 * twice.
 * @param depthMax the deepest nesting of arrays and objects
 * @throws ProtocolError `not_utf8`, `not_json`, `too_deep`, `not_canonical`
 */
export function readExactJson(text: string, depthMax: number): Json {
  if (!text.isWellFormed()) throw new ProtocolError("not_utf8", "the text holds a lone surrogate");
  const compact = compactJson(text, depthMax);
  const value = parseJson(text);
  if (JSON.stringify(value) !== compact) {
    throw new ProtocolError("not_canonical", "a key stands twice, or a number or an escape is not in its shortest form");
  }
  const body = text.endsWith("\n") ? text.slice(0, -1) : text;
  if (body !== compact && body !== JSON.stringify(value, null, 2)) {
    throw new ProtocolError("not_canonical", "the white space is neither that of one line nor that of an indent by two");
  }
  return value;
}

/** The text without the white space between its tokens. @throws ProtocolError `too_deep` */
function compactJson(text: string, depthMax: number): string {
  let compact = "";
  let depth = 0;
  for (let i = 0; i < text.length;) {
    const character = text[i] as string;
    const end = character === '"' ? endOfString(text, i) : i + 1;
    if (character === "{" || character === "[") depth++;
    if (character === "}" || character === "]") depth--;
    if (depth > depthMax) throw new ProtocolError("too_deep", `nested deeper than ${depthMax} levels`, { depthMax });
    if (character !== " " && character !== "\n" && character !== "\r" && character !== "\t") compact += text.slice(i, end);
    i = end;
  }
  return compact;
}

/** Index after the closing quote of the string that opens at `start`, or the end of the text. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === '"') return i + 1;
  }
  return text.length;
}
