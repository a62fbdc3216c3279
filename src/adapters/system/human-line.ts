import { styleText } from "node:util";

type Style = Parameters<typeof styleText>[0];

const STYLES: Readonly<Record<string, Style>> = { debug: "dim", info: "green", warn: "yellow", error: "red" };

/** One JSON event as a line for people: `12:34:56.789 info  message key=value`. What is not such an event passes unchanged. */
export function humanLine(line: string): string {
  const event = parse(line);
  if (event === undefined) return line;
  const { level, time, msg, err, ...fields } = event;
  const name = String(level);
  const rest = Object.entries(fields).map(([key, value]) => ` ${styled("dim", `${key}=`)}${printable(value)}`);
  return `${styled("dim", String(time).slice(11, 23))} ${styled(STYLES[name] ?? "reset", name.padEnd(5))} ${printableText(String(msg))}${rest.join("")}${stackOf(err)}\n`;
}

/** Colours only where standard error shows them. */
function styled(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stderr });
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

function printable(value: unknown): string {
  return typeof value === "string" && /^[\x21-\x7e]+$/.test(value) ? value : printableText(JSON.stringify(value));
}

/** Peers choose some of what is logged: nothing that a terminal would obey gets through. */
function printableText(text: string): string {
  return text.replace(/\p{C}/gu, (character) => `\\u{${(character.codePointAt(0) as number).toString(16)}}`);
}

function stackOf(err: unknown): string {
  const stack = typeof err === "object" && err !== null && "stack" in err ? err.stack : undefined;
  if (typeof stack !== "string") return "";
  const lines = stack.split("\n").map((one) => `\n    ${printableText(one)}`);
  return lines.join("");
}
