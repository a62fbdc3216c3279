import { randomBytes } from "node:crypto";
import type { Connection, Stream, StreamMessageEvent } from "@libp2p/interface";
import { NetworkError } from "../../ports/network.ts";

/**
 * libp2p ping (https://github.com/libp2p/specs/blob/master/ping/ping.md): 32 random bytes come back as they are, on a stream
 * that is kept. The library's own ping opens a stream each time, counts whole milliseconds and ends a kept stream after 10 s.
 */
export const ECHO_PROTOCOL = "/ipfs/ping/1.0.0";
const ECHO_BYTES = 32;
/** Echo streams that one peer may keep open to us. */
export const ECHO_STREAMS_MAX = 2;
/** Echoes that a peer has asked for and does not read, in bytes. */
const ECHO_QUEUE_BYTES_MAX = 64 * ECHO_BYTES;
/** Echoes of ours under way on one connection. */
const ECHOES_PENDING_MAX = 64;

/** Answers a peer's pings until it closes the stream. */
export function serveEcho(stream: Stream): void {
  stream.addEventListener("message", (event) => {
    if (stream.writeStatus !== "writable") return;
    stream.send(event.data);
    if (stream.writeBufferLength > ECHO_QUEUE_BYTES_MAX) stream.abort(new Error("the peer does not read its echoes"));
  });
  stream.addEventListener("end", () => void stream.close().catch((error: Error) => stream.abort(error)));
}

interface Echo {
  readonly payload: Buffer;
  readonly done: PromiseWithResolvers<void>;
}

/** Our own pings over one connection. */
export class Pinger {
  readonly #connection: Connection;
  readonly #now: () => number;
  #opening: Promise<Stream> | undefined;
  #pending: Echo[] = [];
  #received = Buffer.alloc(0);

  constructor(connection: Connection, now: () => number) {
    this.#connection = connection;
    this.#now = now;
  }

  /** Milliseconds until the echo is back, fractional. @throws NetworkError `timeout`, `not_connected` */
  async ping(signal: AbortSignal): Promise<number> {
    if (signal.aborted) throw gaveUp();
    if (this.#pending.length >= ECHOES_PENDING_MAX) {
      throw new NetworkError("timeout", `${ECHOES_PENDING_MAX} pings to this peer are already waiting for their echo`);
    }
    let giveUp = (): void => undefined;
    const aborted = new Promise<never>((_, reject) => {
      giveUp = () => reject(gaveUp());
      signal.addEventListener("abort", giveUp, { once: true });
    });
    try {
      return await Promise.race([aborted, this.#echo()]);
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }

  async #echo(): Promise<number> {
    try {
      const stream = await (this.#opening ??= this.#open());
      const echo: Echo = { payload: randomBytes(ECHO_BYTES), done: Promise.withResolvers<void>() };
      this.#pending.push(echo);
      const start = this.#now();
      stream.send(echo.payload);
      await echo.done.promise;
      return this.#now() - start;
    } catch (cause) {
      throw new NetworkError("not_connected", "the connection ended before the echo came back", { cause });
    }
  }

  async #open(): Promise<Stream> {
    try {
      const stream = await this.#connection.newStream(ECHO_PROTOCOL);
      stream.addEventListener("message", (event) => this.#read(stream, event));
      stream.addEventListener("end", () => stream.abort(new Error("the peer ended the echo stream")));
      stream.addEventListener("close", () => this.#fail(new Error("the echo stream was closed")));
      return stream;
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }

  #read(stream: Stream, event: StreamMessageEvent): void {
    this.#received = Buffer.concat([this.#received, event.data.subarray()]);
    while (this.#received.length >= ECHO_BYTES) {
      const echo = this.#pending.shift();
      const matches = echo?.payload.equals(this.#received.subarray(0, ECHO_BYTES)) ?? false;
      this.#received = this.#received.subarray(ECHO_BYTES);
      if (!matches) {
        const error = new Error("the peer sent an echo of nothing that was asked");
        echo?.done.reject(error);
        stream.abort(error);
        return;
      }
      echo?.done.resolve();
    }
  }

  #fail(error: Error): void {
    this.#opening = undefined;
    this.#received = Buffer.alloc(0);
    for (const echo of this.#pending.splice(0)) echo.done.reject(error);
  }
}

function gaveUp(): NetworkError {
  return new NetworkError("timeout", "no echo came back in the time that was given");
}
