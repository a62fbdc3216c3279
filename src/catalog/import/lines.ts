/** One document of the input with where it stands: `data` is `undefined` when it is longer than `bytesMax`. */
export interface SourceDocument {
  /** Line on which it begins, from 1. */
  readonly line: number;
  /** Bytes of the input that it took, with line breaks and blank lines before it: together they are the whole input. */
  readonly bytes: number;
  readonly data: Uint8Array | undefined;
}

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** The lines that are not blank, without their line breaks. At most `bytesMax` bytes of a line are kept in memory. */
export async function* readLines(chunks: AsyncIterable<Uint8Array>, bytesMax: number): AsyncIterable<SourceDocument> {
  let parts: Uint8Array[] = [];
  let kept = 0;
  let bytes = 0;
  let line = 1;
  let tooLong = false;
  const add = (part: Uint8Array): void => {
    bytes += part.length;
    // Two more for the line break, so that only what the line holds counts.
    tooLong ||= kept + part.length > bytesMax + 2;
    if (tooLong) parts = [];
    else parts.push(part);
    kept = tooLong ? 0 : kept + part.length;
  };
  const take = (): SourceDocument | undefined => {
    const data = tooLong ? undefined : trimLine(Buffer.concat(parts), line === 1);
    const taken = { line, bytes, data: data !== undefined && data.length > bytesMax ? undefined : data };
    [parts, kept, tooLong] = [[], 0, false];
    line++;
    if (data !== undefined && isBlank(data)) return undefined;
    bytes = 0;
    return taken;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, from)) {
      add(chunk.subarray(from, end + 1));
      from = end + 1;
      const taken = take();
      if (taken !== undefined) yield taken;
    }
    // A copy, because the source may use its chunk again.
    if (from < chunk.length) add(Uint8Array.from(chunk.subarray(from)));
  }
  const last = take();
  if (last !== undefined) yield last;
}

/**
 * One document a line, or one document over many lines: told apart by the first two lines that are not blank. Lines are meant
 * when the first is a whole document by itself, or when the second begins one.
 */
export async function* readEither(chunks: AsyncIterable<Uint8Array>, bytesMax: number): AsyncIterable<SourceDocument> {
  const source = chunks[Symbol.asyncIterator]();
  let head: Uint8Array = Buffer.alloc(0);
  let ended = false;
  while (!ended && head.length <= bytesMax && leadingLines(head).length < LINES_THAT_TELL) {
    const next = await source.next();
    ended = next.done === true;
    if (next.done !== true) head = Buffer.concat([head, next.value]);
  }
  const input = replay(head, source);
  yield* areDocuments(leadingLines(head, ended)) ? readLines(input, bytesMax) : readWhole(input, bytesMax);
}

const LINES_THAT_TELL = 2;

async function* replay(head: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncIterable<Uint8Array> {
  yield head;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}

/** The first complete lines that are not blank; with `ended` the last need not have a line break. */
function leadingLines(head: Uint8Array, ended = false): Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let from = 0; from < head.length && lines.length < LINES_THAT_TELL;) {
    const end = head.indexOf(LINE_FEED, from);
    if (end === -1 && !ended) break;
    const line = trimLine(head.subarray(from, end === -1 ? head.length : end), from === 0);
    if (!isBlank(line)) lines.push(line);
    from = end === -1 ? head.length : end + 1;
  }
  return lines;
}

function areDocuments([first, second]: readonly Uint8Array[]): boolean {
  return first === undefined || isWhole(first) || second?.[0] === OPEN_OBJECT;
}

/** All the input as one document. */
export async function* readWhole(chunks: AsyncIterable<Uint8Array>, bytesMax: number): AsyncIterable<SourceDocument> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes <= bytesMax) parts.push(Uint8Array.from(chunk));
    else parts.length = 0;
  }
  yield { line: 1, bytes, data: bytes > bytesMax ? undefined : trimLine(Buffer.concat(parts), true) };
}

function trimLine(data: Uint8Array, start: boolean): Uint8Array {
  let from = 0;
  if (start && BYTE_ORDER_MARK.equals(data.subarray(0, BYTE_ORDER_MARK.length))) from = BYTE_ORDER_MARK.length;
  let end = data.length;
  while (end > from && (data[end - 1] === LINE_FEED || data[end - 1] === CARRIAGE_RETURN)) end--;
  return data.subarray(from, end);
}

const OPEN_OBJECT = 0x7b;
const SPACES: readonly (number | undefined)[] = [0x20, 0x09, LINE_FEED, CARRIAGE_RETURN];

function isBlank(data: Uint8Array): boolean {
  return data.every((byte) => SPACES.includes(byte));
}

function isWhole(data: Uint8Array): boolean {
  try {
    JSON.parse(Buffer.from(data).toString("utf8"));
    return true;
  } catch {
    return false;
  }
}
