import { ProtocolError } from "../lib/errors.ts";

/** Reading of the headers that a signature covers: each stands exactly once, in its one form. What a client or proxy joined or folded is refused. */

/** Longest value of a signing header, in characters. */
export const HEADER_VALUE_LENGTH_MAX = 1_024;

/** Characters of a refused value that an error shows. */
const VALUE_SHOWN_MAX = 80;

const VISIBLE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;

export function headerCount(rawHeaders: readonly string[], name: string): number {
  return valuesOf(rawHeaders, name).length;
}

/**
 * The value of a header that must stand exactly once: 1 to HEADER_VALUE_LENGTH_MAX characters of printable ASCII, no space at either end.
 * @param rawHeaders names and values in turn, as they were sent; names in any case
 * @param name lower case
 * @throws ProtocolError `bad_header`
 */
export function onlyHeader(rawHeaders: readonly string[], name: string): string {
  const values = valuesOf(rawHeaders, name);
  const [value] = values;
  if (value === undefined) throw badHeader(name, "is missing: send it once");
  if (values.length > 1) throw badHeader(name, `stands ${values.length} times: send it once`);
  if (value.length > HEADER_VALUE_LENGTH_MAX) {
    throw badHeader(name, `has ${value.length} characters, at most ${HEADER_VALUE_LENGTH_MAX} are taken`);
  }
  if (!VISIBLE.test(value)) {
    throw badHeader(name, "is empty, begins or ends with white space, or holds something else than printable ASCII");
  }
  return value;
}

/** Headers as most clients hold them, in the form that the readers here take. */
export function rawHeadersOf(headers: Readonly<Record<string, string | readonly string[] | undefined>>): string[] {
  return Object.entries(headers).flatMap(([name, value]) => [value ?? []].flat().flatMap((one: string) => [name, one]));
}

/** @param name as in the message: a header, or a part of the request line */
export function badHeader(name: string, problem: string): ProtocolError {
  return new ProtocolError("bad_header", `${name} ${problem}`, { header: name });
}

/** What stood there, for a message. */
export function shown(value: string): string {
  return JSON.stringify(value.slice(0, VALUE_SHOWN_MAX));
}

function valuesOf(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if ((rawHeaders[i] as string).toLowerCase() === name) values.push(rawHeaders[i + 1] as string);
  }
  return values;
}
