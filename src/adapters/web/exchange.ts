import type { Dispatcher } from "undici";
import { PROBLEM_BYTES_MAX } from "../../../protocols/http/problem.ts";
import { WebError } from "../../ports/web.ts";
import { orAborted } from "./errors.ts";

export interface Exchange {
  readonly method: "GET" | "POST";
  /** Path with query, as it is sent. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Longest body of the answer. */
  readonly bytesMax: number;
}

export interface ExchangeAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Uint8Array;
}

/**
 * One request and its whole answer, bounded. No coding of the content is asked for, and none is taken: what is counted is what
 * arrives. @throws WebError `too_large`, `forbidden_address` for a redirect, `bad_answer`; undici's errors; the signal's reason
 */
export async function exchange(client: Dispatcher, request: Exchange, signal: AbortSignal): Promise<ExchangeAnswer> {
  const { method, target, headers, body, bytesMax } = request;
  const response = await orAborted(
    signal,
    client.request({ path: target, method, headers, signal, ...(body !== undefined && { body }) }),
  );
  const stream = response.body;
  // Whatever becomes of the stream once its answer is refused is of no interest.
  stream.on("error", () => undefined);
  try {
    const { statusCode: status, headers } = response;
    checkHead(response);
    const isSuccess = status < 300;
    // What a refusal says is of interest only in our own form; a page that some proxy made for people is not read.
    const body = await readBody(stream, isSuccess ? bytesMax : PROBLEM_BYTES_MAX, Number(headers["content-length"] ?? 0));
    signal.throwIfAborted();
    if (body === undefined && isSuccess) throw new WebError("too_large", `the answer has more than ${bytesMax} bytes`);
    return { status, headers, body: body ?? new Uint8Array(0) };
  } finally {
    stream.destroy();
  }
}

/** `undefined` for more than `bytesMax` bytes, whether announced or sent. */
async function readBody(
  stream: AsyncIterable<Uint8Array>,
  bytesMax: number,
  announcedBytes: number,
): Promise<Uint8Array | undefined> {
  if (announcedBytes > bytesMax) return undefined;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes > bytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}

function checkHead({ statusCode, headers }: Dispatcher.ResponseData): void {
  if (statusCode >= 300 && statusCode < 400) {
    throw new WebError(
      "forbidden_address",
      `the answer is a redirect (${statusCode}), and redirects are not followed: give the final URL`,
    );
  }
  const coding = headers["content-encoding"];
  if (coding !== undefined && coding !== "identity")
    throw new WebError("bad_answer", `the answer is coded as ${String(coding).slice(0, 40)}, which was not asked for`);
}
