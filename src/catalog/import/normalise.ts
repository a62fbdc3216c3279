import { isAbsoluteUrl, isCapability, isHumanReadableId, isOneLine } from "../../../protocols/record/text.ts";
import {
  CAPABILITIES_MAX,
  CAPABILITY_LENGTH_MAX,
  DESCRIPTION_LENGTH_MAX,
  ENDPOINTS_MAX,
  HUMAN_READABLE_ID_LENGTH_MAX,
  NAME_LENGTH_MAX,
  PROTOCOL_LENGTH_MAX,
  SEGMENTS_MAX,
  TAG_LENGTH_MAX,
  TAGS_MAX,
  URL_LENGTH_MAX,
  VERSION_LENGTH_MAX,
  type Endpoint,
} from "../../../protocols/record/record.ts";

/** Makes of untidy source values what a record takes, and says through `warn` what could not be kept as it was. */
export type Warn = (warning: string) => void;

/** Source texts are shown in warnings up to this many characters. */
const SHOWN_LENGTH_MAX = 60;

export function shown(text: string): string {
  return JSON.stringify(text.length <= SHOWN_LENGTH_MAX ? text : `${text.slice(0, SHOWN_LENGTH_MAX)}…`);
}

/** The string under the first of the names that holds one which is not blank. */
export function stringOf(source: Readonly<Record<string, unknown>>, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = Object.hasOwn(source, name) ? source[name] : undefined;
    if (typeof value === "string" && value.trim() !== "") return value;
  }
  return undefined;
}

export function objectOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
}

export function objectsOf(value: unknown): Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.map(objectOf).filter((item) => item !== undefined) : [];
}

/** The strings of a list that are not blank; anything else in it is left out with a warning. */
export function stringsOf(value: unknown, field: string, warn: Warn): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) {
    warn(`${field}: expected an array, left out`);
    return [];
  }
  const strings = value.filter((item): item is string => typeof item === "string" && item.trim() !== "");
  if (strings.length < value.length) warn(`${field}: ${value.length - strings.length} empty or not a text, left out`);
  return strings;
}

const LINE_BREAKS_AND_CONTROLS = /[\p{Cc}\u2028\u2029]+/gu;

/** One line of at most `max` UTF-16 code units. */
function oneLine(text: string, field: string, max: number, warn: Warn): string {
  let line = wellFormed(text, field, warn).trim();
  if (!isOneLine(line)) {
    warn(`${field}: line breaks or control characters replaced by spaces`);
    line = line.replace(LINE_BREAKS_AND_CONTROLS, " ");
  }
  return cut(line, field, max, warn);
}

function wellFormed(text: string, field: string, warn: Warn): string {
  if (text.isWellFormed()) return text;
  warn(`${field}: half a character replaced`);
  return text.toWellFormed();
}

function cut(text: string, field: string, max: number, warn: Warn): string {
  if (text.length <= max) return text;
  warn(`${field}: ${text.length} characters, cut to ${max}`);
  // Never through the middle of a surrogate pair.
  const end = text.slice(0, max).isWellFormed() ? max : max - 1;
  return text.slice(0, end);
}

export function nameOf(text: string, warn: Warn): string {
  return oneLine(text, "name", NAME_LENGTH_MAX, warn);
}

export function descriptionOf(text: string | undefined, warn: Warn): string | undefined {
  return text && cut(wellFormed(text, "description", warn), "description", DESCRIPTION_LENGTH_MAX, warn);
}

export function versionOf(text: string | undefined, warn: Warn): string | undefined {
  return text && oneLine(text, "version", VERSION_LENGTH_MAX, warn);
}

export function tagsOf(texts: readonly string[], warn: Warn): string[] {
  const tags = new Set(texts.map((text) => oneLine(text, "tags", TAG_LENGTH_MAX, warn)));
  return bounded(
    [...tags].filter((tag) => tag !== ""),
    "tags",
    TAGS_MAX,
    warn,
  );
}

/** Capabilities in ascending order, none twice; a text that none can be made of is left out with a warning. */
export function capabilitiesOf(texts: readonly string[], warn: Warn): string[] {
  const capabilities = new Set<string>();
  for (const text of texts) {
    const capability = normaliseCapability(text);
    if (capability === undefined) warn(`capabilities: nothing to make one of in ${shown(text)}, left out`);
    else capabilities.add(capability);
  }
  return bounded([...capabilities].sort(), "capabilities", CAPABILITIES_MAX, warn);
}

/**
 * Lower case, Unicode NFC, white space to hyphens, no control characters, no empty segment; `undefined` when nothing is left or
 * it is longer than CAPABILITY_LENGTH_MAX (half a capability would be another one).
 */
export function normaliseCapability(text: string): string | undefined {
  if (isCapability(text)) return text.length <= CAPABILITY_LENGTH_MAX ? text : undefined;
  const lower = text.toWellFormed().normalize("NFC").toLowerCase().normalize("NFC");
  const segments = lower.split("/").map((segment) =>
    segment
      .trim()
      .replace(/\s+/gu, "-")
      .replace(/[\p{Cc}\ufffd]/gu, ""),
  );
  const capability = segments.filter((segment) => segment !== "").join("/");
  return isCapability(capability) && capability.length <= CAPABILITY_LENGTH_MAX ? capability : undefined;
}

export function categoryOf(category: string | undefined): string[] {
  return category === undefined ? [] : [`category/${category}`];
}

export function endpointsOf(endpoints: readonly Endpoint[], warn: Warn): Endpoint[] {
  const taken = new Map<string, Endpoint>();
  for (const { url, protocol } of endpoints) {
    const trimmed = url.trim();
    if (trimmed.length > URL_LENGTH_MAX || !trimmed.isWellFormed() || !isAbsoluteUrl(trimmed)) {
      warn(
        `endpoints: ${shown(trimmed)} is not an absolute URL without credentials of at most ${URL_LENGTH_MAX} characters, left out`,
      );
      continue;
    }
    const name = oneLine(protocol, "endpoints: protocol", PROTOCOL_LENGTH_MAX, warn);
    taken.set(`${name} ${trimmed}`, { url: trimmed, protocol: name });
  }
  return bounded([...taken.values()], "endpoints", ENDPOINTS_MAX, warn);
}

function bounded<T>(items: T[], field: string, max: number, warn: Warn): T[] {
  if (items.length <= max) return items;
  warn(`${field}: ${items.length - max} over the limit of ${max}, left out`);
  return items.slice(0, max);
}

/** An id from the source when it can be kept in NFC, otherwise one made of its parts; `undefined` when nothing is left of it. */
export function humanReadableIdOf(text: string, warn: Warn): string | undefined {
  const id = text.toWellFormed().normalize("NFC");
  const fits = isHumanReadableId(id) && id.length <= HUMAN_READABLE_ID_LENGTH_MAX && id.split("/").length <= SEGMENTS_MAX;
  if (fits && id === text) return id;
  const made = fits ? id : derivedId(...id.split("/").slice(0, SEGMENTS_MAX));
  if (made !== undefined) warn(`humanReadableId: ${shown(text)} changed to ${shown(made)}`);
  return made;
}

/** `acme-inc/air-ticketing-agent` from texts for people; parts without a letter or digit are left out. */
export function derivedId(...parts: readonly string[]): string | undefined {
  const slugs = parts.map(slug).filter((part) => part !== "");
  return slugs.length === 0 ? undefined : slugs.join("/");
}

/** A part longer than this in percent-encoded form is cut, so that a DID can still be minted for the id. */
const SLUG_ENCODED_LENGTH_MAX = 180;
const SLUG_LENGTH_MAX = 90;

function slug(text: string): string {
  const words = text.toWellFormed().normalize("NFC").toLowerCase().normalize("NFC");
  const characters = Array.from(words.replace(/[^\p{L}\p{M}\p{N}._]+/gu, "-").replace(/^[-.]+|[-.]+$/g, "")).slice(
    0,
    SLUG_LENGTH_MAX,
  );
  while (encodeURIComponent(characters.join("")).length > SLUG_ENCODED_LENGTH_MAX) characters.pop();
  return characters.join("").normalize("NFC").replace(/-+$/, "");
}
