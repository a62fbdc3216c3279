import { AdminError } from "./errors.ts";

/** The longest line of a stream, in bytes: a full batch of mutations fits (see BODY_BYTES_MAX of the server). */
export const LINE_BYTES_MAX = 16_777_216;

export const NDJSON = "application/x-ndjson";

/** One JSON value a line. @throws AdminError `too_large`, `bad_request` */
export async function* readLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      pending.push(chunk.subarray(start, end));
      checkLength(pendingBytes + end - start);
      const line = Buffer.concat(pending);
      if (line.length > 0) yield parseStrict(line);
      [pending, pendingBytes, start] = [[], 0, end + 1];
    }
    if (start < chunk.length) pending.push(chunk.subarray(start));
    pendingBytes += chunk.length - start;
    checkLength(pendingBytes);
  }
  if (pendingBytes > 0) yield parseStrict(Buffer.concat(pending));
}

function checkLength(bytes: number): void {
  if (bytes > LINE_BYTES_MAX)
    throw new AdminError("too_large", `a line is longer than ${LINE_BYTES_MAX} bytes; send smaller batches`);
}

/** UTF-8 JSON. @throws AdminError `bad_request` */
export function parseStrict(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new AdminError("bad_request", `not UTF-8 JSON: ${(error as Error).message}`);
  }
}
