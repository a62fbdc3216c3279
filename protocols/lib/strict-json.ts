import { parseJson, type Json } from "./canonical.ts";
import { ProtocolError } from "./errors.ts";

/**
 * JSON as people and other systems write it (RFC 8259): any white space, order, number form and escape, but no key twice in one
 * object (readers disagree on which one counts) and no nesting beyond the bound.
 * @param depthMax the deepest nesting of arrays and objects
 * @throws ProtocolError `not_json`, `too_deep`, `duplicate_key`
 */
export function parseStrictJson(text: string, depthMax: number): Json {
  const value = parseJson(text);
  checkKeys(text, depthMax);
  return value;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Walks over text that is known to be JSON, with the keys seen so far of every object that is open. */
function checkKeys(text: string, depthMax: number): void {
  const open: (Set<string> | undefined)[] = [];
  let keyNext = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      const end = closingQuote(text, at + 1);
      if (keyNext) {
        addKey(open.at(-1), text.slice(at, end + 1));
        keyNext = false;
      }
      at = end;
    } else if (code === OPEN_OBJECT || code === OPEN_LIST) {
      if (open.length === depthMax) throw new ProtocolError("too_deep", `nested deeper than ${depthMax} levels`, { depthMax });
      open.push(code === OPEN_OBJECT ? new Set() : undefined);
      keyNext = code === OPEN_OBJECT;
    } else if (code === CLOSE_OBJECT || code === CLOSE_LIST) {
      open.pop();
    } else if (code === COMMA) {
      keyNext = open.at(-1) !== undefined;
    } else if (code === COLON) {
      keyNext = false;
    }
  }
}

function addKey(keys: Set<string> | undefined, literal: string): void {
  const key = literal.includes("\\") ? (JSON.parse(literal) as string) : literal.slice(1, -1);
  if (keys?.has(key) === true)
    throw new ProtocolError("duplicate_key", `the key "${key.slice(0, 80)}" stands twice in one object`);
  keys?.add(key);
}

function closingQuote(text: string, from: number): number {
  for (;;) {
    const end = text.indexOf('"', from);
    let first = end;
    while (text.charCodeAt(first - 1) === BACKSLASH) first--;
    if ((end - first) % 2 === 0) return end;
    from = end + 1;
  }
}
