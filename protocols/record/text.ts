import { SEGMENTS_MAX } from "./record.ts";

/**
 * What the texts of a record must look like. Each test first tries the plain ASCII form that nearly all have: Unicode
 * properties and normalisation cost some hundred nanoseconds, and every replicated record is checked.
 */

const PLAIN_PATH = /^[\w.-]+(?:\/[\w.-]+)*$/;
const PLAIN_LOWER_PATH = /^[a-z0-9_.-]+(?:\/[a-z0-9_.-]+)*$/;
/** Below U+0300 every text is in NFC (UAX #15, quick check). */
const SURELY_NFC = /^[\u0000-\u02ff]*$/; // eslint-disable-line no-control-regex

export function isNfc(text: string): boolean {
  return SURELY_NFC.test(text) || text.normalize("NFC") === text;
}

const SEGMENT_EDGE = /^\s|\s$/;

/** Non-empty segments joined by `/`, without control characters and without white space at either end of a segment. */
export function isHumanReadableId(text: string): boolean {
  if (PLAIN_PATH.test(text)) return true;
  return (
    isOneLine(text) && text.isWellFormed() && text.split("/").every((segment) => segment !== "" && !SEGMENT_EDGE.test(segment))
  );
}

export function withinSegments(text: string): boolean {
  let segments = 1;
  for (let at = text.indexOf("/"); at !== -1; at = text.indexOf("/", at + 1)) segments++;
  return segments <= SEGMENTS_MAX;
}

/** A path of non-empty segments in lower-case NFC, without white space and control characters. */
export function isCapability(text: string): boolean {
  if (PLAIN_LOWER_PATH.test(text)) return true;
  return !/[\s\p{Cc}]|^\/|\/$|\/\/|^$/u.test(text) && text.isWellFormed() && text === text.toLowerCase() && isNfc(text);
}

/** Unicode Cc, spelt out: a property escape costs twice as much. */
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/; // eslint-disable-line no-control-regex

/** No control characters (Unicode Cc, so no line breaks and no terminal escapes). */
export function isOneLine(text: string): boolean {
  return !CONTROL.test(text);
}

/** Any absolute URL (WHATWG) without credentials, white space and control characters: it is shown and routed to, not fetched. */
export function isAbsoluteUrl(text: string): boolean {
  if (!URL.canParse(text) || /\s/.test(text) || !isOneLine(text)) return false;
  if (!text.includes("@")) return true;
  const { username, password } = new URL(text);
  return username === "" && password === "";
}
