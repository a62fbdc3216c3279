import { fromBase64 } from "../../../protocols/lib/bytes.ts";
import { rawHeadersOf } from "../../../protocols/http/header-fields.ts";
import { NONCE_BYTES } from "../../../protocols/http/request-fields.ts";
import { REGISTRY_SIGNATURE_HEADER, signRequest } from "../../../protocols/http/signed-request.ts";
import { verifyResponse } from "../../../protocols/http/signed-response.ts";
import { ProtocolError } from "../../../protocols/lib/errors.ts";
import { AbortAfter } from "../../ports/abort-after.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Random } from "../../ports/random.ts";
import { WebError, type WebPeer } from "../../ports/web.ts";
import type { Names } from "../names/names.ts";
import type { Connections } from "./connections.ts";
import { asWebError, isConnectionLoss } from "./errors.ts";
import { exchange, type ExchangeAnswer } from "./exchange.ts";
import { checkUrl, guardOf } from "./guard.ts";

export interface SignedRequestOptions {
  readonly did: string;
  readonly sign: (bytes: Uint8Array) => Uint8Array;
  readonly clock: Clock;
  readonly random: Random;
  readonly allowPrivateAddresses: boolean;
  readonly names: Names;
}

export interface PeerRequest {
  readonly method: "GET" | "POST";
  /** Below the peer's URL. */
  readonly path: string;
  /** A JSON document. */
  readonly body?: Uint8Array;
  /** Longest body of the answer. */
  readonly bytesMax: number;
  /** How long the peer was asked to wait before it answers. */
  readonly waitMs?: number;
}

const NO_BODY = new Uint8Array(0);

/** Requests to other registries over mutual TLS, signed, each with an answer that is signed for it (protocols/http/signing.md). */
export class SignedRequests {
  readonly #options: SignedRequestOptions;
  readonly #connections: Connections;

  constructor(options: SignedRequestOptions, connections: Connections) {
    this.#options = options;
    this.#connections = connections;
  }

  /**
   * A success was signed by the peer for this request; anything else is only as good as the connection, whose other end is proved.
   * @param timeoutMs for the whole answer, beside what the peer was asked to wait
   * @throws WebError; ProtocolError for an answer of a wrong form
   */
  async send(peer: WebPeer, request: PeerRequest, signal: AbortSignal, timeoutMs: number): Promise<ExchangeAnswer> {
    const { clock, allowPrivateAddresses, names } = this.#options;
    const guard = guardOf(peer.named, allowPrivateAddresses, names);
    const url = checkUrl(peer.url, guard);
    using deadline = new AbortAfter(clock, timeoutMs + (request.waitMs ?? 0), signal);
    const startedMs = clock.monotonic();
    for (let isAgain = false; ; isAgain = true) {
      const { client, established } = this.#connections.take(peer, url, guard);
      try {
        return await this.#once(client, peer, url, request, deadline.signal);
      } catch (error) {
        const isOver = deadline.signal.aborted;
        // Nothing came back in time: whether the connection is dead cannot be told, so the next request does not rely on it.
        if (isOver || isConnectionLoss(error)) this.#connections.drop(peer, url, client);
        // The other side may have ended an old session while the request was on its way; ours all may be repeated. After that time
        // none would be left for a whole wait.
        const mayRepeat = !isOver && !isAgain && established && clock.monotonic() - startedMs < timeoutMs;
        if (mayRepeat && isConnectionLoss(error)) continue;
        throw asWebError(error, url.host);
      }
    }
  }

  async #once(
    client: Parameters<typeof exchange>[0],
    peer: WebPeer,
    url: URL,
    { method, path, body = NO_BODY, bytesMax }: PeerRequest,
    signal: AbortSignal,
  ): Promise<ExchangeAnswer> {
    const { did, sign, clock, random } = this.#options;
    const target = targetOf(url, path);
    const proof = signRequest(
      {
        ...{ method, authority: url.host, target, body, id: did, audience: peer.did },
        ...{ timestampMs: clock.now(), nonce: random.bytes(NONCE_BYTES) },
      },
      sign,
    );
    const headers = { accept: "application/json", ...(body.length > 0 && { "content-type": "application/json" }), ...proof };
    const answer = await exchange(client, { method, target, headers, bytesMax, ...(body.length > 0 && { body }) }, signal);
    if (answer.status >= 200 && answer.status < 300) {
      checkAnswer(answer, fromBase64(proof[REGISTRY_SIGNATURE_HEADER] as string), peer, url);
    }
    return answer;
  }
}

/** @throws WebError `wrong_identity` */
function checkAnswer({ status, body, headers }: ExchangeAnswer, requestSignature: Uint8Array, peer: WebPeer, url: URL): void {
  try {
    verifyResponse({ status, body, requestSignature }, rawHeadersOf(headers), peer.did);
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause;
    const message = `the answer of ${url.host} is not signed by ${peer.did} for this request: ${cause.message}`;
    throw new WebError("wrong_identity", message, { cause });
  }
}

/** Path to send for one of our paths below a URL, which may have a path of its own. */
export function targetOf(url: URL, path: string): string {
  return url.pathname.replace(/\/+$/, "") + path;
}
