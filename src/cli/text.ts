/** Words and tables for people; `--json` has none of it. */

export function count(value: number): string {
  return value.toLocaleString("en-US");
}

export function plural(value: number, one: string, many: string = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

const MINUTE_S = 60;
const HOUR_S = 3_600;
const DAY_S = 86_400;

export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < MINUTE_S) return `${Math.round(seconds)} s`;
  if (seconds < HOUR_S) return `${Math.floor(seconds / MINUTE_S)} min ${Math.floor(seconds % MINUTE_S)} s`;
  if (seconds < DAY_S) return `${Math.floor(seconds / HOUR_S)} h ${Math.floor((seconds % HOUR_S) / MINUTE_S)} min`;
  return `${Math.floor(seconds / DAY_S)} d ${Math.floor((seconds % DAY_S) / HOUR_S)} h`;
}

/** The two ends of a long name, such as a DID or a root. */
export function short(text: string, head: number = 16, tail: number = 6): string {
  return text.length <= head + tail + 1 ? text : `${text.slice(0, head)}…${text.slice(text.length - tail)}`;
}

/** Columns padded to their widest cell; numbers to the right. */
export function table(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [header, ...rows.map((row) => row.map((cell) => (typeof cell === "number" ? count(cell) : plain(cell))))];
  const isRight = header.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === "number"));
  const widths = header.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (isRight[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join("  ");
  return cells.map((row) => line(row).trimEnd()).join("\n");
}

/** `name  value` lines with the values under one another; empty values are left out. */
export function facts(entries: readonly (readonly [name: string, value: string])[], indent: string = ""): string {
  const given = entries.filter(([, value]) => value !== "").map(([name, value]) => [name, plainLines(value)] as const);
  const width = Math.max(0, ...given.map(([name]) => name.length));
  return given
    .map(([name, value]) => `${indent}${name.padEnd(width)}  ${value.replaceAll("\n", `\n${indent}${" ".repeat(width + 2)}`)}`)
    .join("\n");
}

const TURNING = "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069";
const STEERING = new RegExp(`[\\p{Cc}${TURNING}]`, "gu");
/** What JSON leaves as it is: the controls from U+007F to U+009F, of which terminals obey some, and the marks above. */
const STEERING_IN_JSON = new RegExp(`[\\u007f-\\u009f${TURNING}]`, "gu");

/** Text of strangers for a terminal: no control characters, and no characters that turn its direction. */
export function plain(text: string): string {
  return text.replace(STEERING, " ");
}

/** The same of text whose line breaks are our own. */
export function plainLines(text: string): string {
  return text.split("\n").map(plain).join("\n");
}

/** JSON text with what would steer a terminal as escapes: the same document. */
export function plainJson(json: string): string {
  return json.replace(STEERING_IN_JSON, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
