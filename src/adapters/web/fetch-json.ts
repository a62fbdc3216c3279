import { Client } from "undici";
import { fromUtf8 } from "../../../protocols/lib/bytes.ts";
import type { Json } from "../../../protocols/lib/canonical.ts";
import { parseStrictJson } from "../../../protocols/lib/strict-json.ts";
import { AbortAfter } from "../../ports/abort-after.ts";
import type { Clock } from "../../ports/clock.ts";
import { WebError } from "../../ports/web.ts";
import { createConnector } from "./connector.ts";
import { asWebError } from "./errors.ts";
import { exchange } from "./exchange.ts";
import { checkUrl, type Guard } from "./guard.ts";

export interface FetchOptions extends Guard {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Longest answer; JSON_BYTES_MAX by default. */
  readonly bytesMax?: number;
  /** FETCH_TIMEOUT_MS by default. */
  readonly timeoutMs?: number;
  /** Authorities of the public web, PEM; the system's by default. */
  readonly roots?: readonly string[];
}

export const JSON_BYTES_MAX = 65_536;
export const FETCH_TIMEOUT_MS = 10_000;
/** Nesting of arrays and objects in an answer. */
const JSON_DEPTH_MAX = 32;

/**
 * `GET` of a JSON document from the public web, at a URL that somebody else gave: guarded (T52), bounded in time and size.
 * @throws WebError; ProtocolError `not_utf8`, `not_json`, `too_deep`, `duplicate_key`
 */
export async function fetchJson(text: string, options: FetchOptions): Promise<Json> {
  const { clock, bytesMax = JSON_BYTES_MAX, timeoutMs = FETCH_TIMEOUT_MS } = options;
  const url = checkUrl(text, options);
  const roots = options.roots === undefined ? {} : { ca: [...options.roots] };
  const connector = createConnector({
    ...{ url, clock, guard: options },
    tls: () => ({ minVersion: "TLSv1.2", ...roots }),
    accept: (socket) => {
      if (socket.authorized) return;
      throw new WebError("wrong_identity", `the certificate of ${url.host} does not hold: ${String(socket.authorizationError)}`);
    },
  });
  const client = new Client(url.origin, { connect: connector });
  using deadline = new AbortAfter(clock, timeoutMs, options.signal);
  try {
    const request = {
      method: "GET",
      target: url.pathname + url.search,
      headers: { accept: "application/json" },
      bytesMax,
    } as const;
    const { status, body } = await exchange(client, request, deadline.signal);
    if (status !== 200) throw new WebError("refused", `${url.href} answers with status ${status}`);
    return parseStrictJson(fromUtf8(body), JSON_DEPTH_MAX);
  } catch (error) {
    throw asWebError(error, url.host);
  } finally {
    await client.destroy();
  }
}
