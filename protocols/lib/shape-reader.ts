import { fitsText, isAscending, numberFits } from "./shape.ts";
import type { Field, ListShape, NumberShape, ObjectShape, Shape, TextShape } from "./shape.ts";

/**
 * Reads canonical JSON (RFC 8785) of a known shape with one regular expression made from it, because a replica checks every
 * record that it receives: parsing, encoding again to check the form and checking field by field costs several times as much.
 *
 * It takes text that came from strict UTF-8, and it only ever says yes. Whatever it does not take (`undefined`) goes to `decodeCanonical` and `shapeIssues`, which say why, or
 * take it after all; so each rule lives in one place, and what is read here has passed all of them.
 *
 * The expression is linear in the text: no part can begin where the one before it could go on.
 * The strings of the value may be views into the whole text and keep it in memory: copy what is kept for long (`ownText`).
 */
export function shapeReader(shape: Shape): (text: string) => unknown {
  const plain = wholeReader(shape, false);
  const escaped = wholeReader(shape, true);
  return (text) => (text.includes("\\") ? escaped(text) : plain(text));
}

function wholeReader(shape: Shape, escapes: boolean): (text: string) => unknown {
  const { source, read } = part(shape, 1, escapes);
  const whole = new RegExp(`^${source}$`);
  return (text) => {
    const match = whole.exec(text);
    return match === null ? undefined : read(match);
  };
}

/** The same text, as a string that shares no memory with the text from which it was cut. */
export function ownText(text: string): string {
  return Buffer.from(text, "utf16le").toString("utf16le");
}

interface Part {
  /** Matches what may be this value; holds `groups` capturing groups. */
  readonly source: string;
  readonly groups: number;
  /** The value in a match, or `undefined` when it breaks a rule. */
  readonly read: (match: Match) => unknown;
}

type Match = readonly (string | undefined)[];

/** @param escapes whether a backslash may stand in a string: most texts have none, and are read faster so */
function part(shape: Shape, group: number, escapes: boolean): Part {
  switch (shape.kind) {
    case "text":
      return textPart(shape, group, escapes);
    case "number":
      return numberPart(shape, group);
    case "list":
      return listPart(shape, group, escapes);
    case "object":
      return objectPart(shape, group, escapes);
  }
}

/** The inside of a string: no control character stands in it unescaped (RFC 8785 §3.2.2.2). */
const PLAIN = String.raw`[^"\\\x00-\x1f]*`;
const ESCAPED = String.raw`${PLAIN}(?:\\.${PLAIN})*`;

function textPart(shape: TextShape, group: number, escapes: boolean): Part {
  let last: string | undefined;
  const read = (match: Match): string | undefined => {
    const literal = match[group] as string;
    if (literal === last) return last;
    const value = escapes ? unescaped(literal) : literal;
    if (value === undefined || !fitsText(value, shape)) return undefined;
    // What passed once passes again.
    if (shape.recurs && value === literal) last = ownText(value);
    return value;
  };
  return { source: `"(${escapes ? ESCAPED : PLAIN})"`, groups: 1, read };
}

/** Left to the platform's JSON, both ways: RFC 8785 §3.2.2.2 takes its strings from there. */
function unescaped(literal: string): string | undefined {
  if (!literal.includes("\\")) return literal;
  try {
    const value = JSON.parse(`"${literal}"`) as string;
    return value.isWellFormed() && JSON.stringify(value) === `"${literal}"` ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Up to 15 digits every whole number is exact, so that this is its one canonical form (RFC 8785 §3.2.2.3). */
const WHOLE = "0|-?[1-9][0-9]{0,14}";

function numberPart(shape: NumberShape, group: number): Part {
  const whole = shape.stepsPerUnit === 1;
  const read = (match: Match): number | undefined => {
    const literal = match[group] as string;
    const value = Number(literal);
    return (whole || String(value) === literal) && numberFits(value, shape) ? value : undefined;
  };
  return { source: whole ? `(${WHOLE})` : "(-?[0-9][0-9.e+-]*)", groups: 1, read };
}

function listPart(shape: ListShape, group: number, escapes: boolean): Part {
  const item = part(shape.item, 1, escapes);
  const plain = item.source.replaceAll(/(?<!\\)\((?!\?)/g, "(?:");
  const items = shape.item.kind === "text" && !escapes ? plainItems(shape.item) : anyItems(item);
  const read = (match: Match): unknown => {
    const body = match[group] as string;
    if (body === "") return [];
    const values = items(body, shape.max);
    return values !== undefined && shape.ascending && !isAscending(values as string[]) ? undefined : values;
  };
  return { source: String.raw`\[((?:${plain}(?:,${plain})*)?)\]`, groups: 1, read };
}

type Items = (body: string, max: number) => unknown[] | undefined;

/** Texts without escapes: each ends at the next quote. */
function plainItems(shape: TextShape): Items {
  return (body, max) => {
    const values: string[] = [];
    for (let at = 1; at < body.length;) {
      const end = body.indexOf('"', at);
      const value = body.slice(at, end);
      if (values.length === max || !fitsText(value, shape)) return undefined;
      values.push(value);
      at = end + '","'.length;
    }
    return values;
  };
}

function anyItems(item: Part): Items {
  const next = new RegExp(`${item.source}(?:,|$)`, "y");
  return (body, max) => {
    const values: unknown[] = [];
    for (next.lastIndex = 0; next.lastIndex < body.length;) {
      const match = next.exec(body);
      const value = match === null ? undefined : item.read(match);
      if (value === undefined || values.length === max) return undefined;
      values.push(value);
    }
    return values;
  };
}

/** RFC 8785 §3.2.3: keys ascend by UTF-16 code units, as `<` compares; the names of fields are ASCII without escapes. */
function objectPart(shape: ObjectShape, group: number, escapes: boolean): Part {
  const fields: (Pick<Field, "name" | "optional"> & { readonly group: number; readonly read: Part["read"] })[] = [];
  let source = "";
  let next = group;
  let required = false;
  for (const { name, shape: field, optional } of shape.fields.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    // A list or an object of its own groups stands in a group that tells whether it is there.
    const inner = part(field, field.kind === "object" ? next + 1 : next, escapes);
    const value = `"${name}":${field.kind === "object" ? `(${inner.source})` : inner.source}`;
    if (optional) source += required ? `(?:,${value})?` : `(?:${value},)?`;
    else source += required ? `,${value}` : value;
    fields.push({ name, optional, group: next, read: inner.read });
    next += inner.groups + (field.kind === "object" ? 1 : 0);
    required ||= !optional;
  }
  // Filling in a copy costs half of adding field by field.
  const blank = Object.fromEntries(fields.filter((field) => !field.optional).map((field) => [field.name, undefined]));
  const read = (match: Match): unknown => {
    const object: Record<string, unknown> = { ...blank };
    for (const field of fields) {
      if (match[field.group] === undefined) continue;
      const value = field.read(match);
      if (value === undefined) return undefined;
      object[field.name] = value;
    }
    return object;
  };
  return { source: String.raw`\{${source}\}`, groups: next - group, read };
}
