import { once } from "node:events";
import type { TLSSocket } from "node:tls";
import { handshake } from "./client.ts";

/** HTTP/2 by hand (RFC 9113), for what no client library would send. */
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

export const FRAME = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7, continuation: 9 } as const;
export const FLAG = { endStream: 1, ack: 1, endHeaders: 4 } as const;
export const SETTING_INITIAL_WINDOW_SIZE = 4;

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = new Uint8Array(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export function setting(id: number, value: number): Buffer {
  const payload = Buffer.alloc(6);
  payload.writeUInt16BE(id, 0);
  payload.writeUInt32BE(value, 2);
  return payload;
}

/** A header block of literals without indexing or Huffman coding (RFC 7541 §6.2.2). */
export function headerBlock(...fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]));
}

export function requestHeaders(method: string, path: string, ...more: readonly (readonly [string, string])[]): Buffer {
  return headerBlock([":method", method], [":scheme", "https"], [":authority", "localhost"], [":path", path], ...more);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  const { length } = bytes;
  if (length < 127) return Buffer.concat([Buffer.of(length), bytes]);
  const rest = length - 127;
  return rest < 128
    ? Buffer.concat([Buffer.of(127, rest), bytes])
    : Buffer.concat([Buffer.of(127, (rest & 0x7f) | 0x80, rest >> 7), bytes]);
}

export interface RawTarget {
  readonly facade: { readonly port: number };
  /** As whom the connection comes. */
  readonly address?: string;
}

/** One connection, after the preface. */
export class RawConnection {
  readonly socket: TLSSocket;
  #received: Buffer = Buffer.alloc(0);
  /** Type and payload of each frame that came. */
  readonly frames: { readonly type: number; readonly stream: number; readonly payload: Buffer }[] = [];
  readonly closed: Promise<void>;

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
  }

  static async open(server: RawTarget, ...settings: readonly Buffer[]): Promise<RawConnection> {
    const tls = { ALPNProtocols: ["h2"] };
    const socket = await handshake(server.facade.port, { address: server.address, tls });
    const connection = new RawConnection(socket);
    socket.write(Buffer.concat([Buffer.from(PREFACE), frame(FRAME.settings, 0, 0, Buffer.concat(settings))]));
    return connection;
  }

  write(...frames: readonly Buffer[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(frames));
  }

  /** Resolves with the first frame of that type, also one that came already. */
  async frame(type: number): Promise<Buffer> {
    for (;;) {
      const found = this.frames.find((one) => one.type === type);
      if (found !== undefined) return found.payload;
      await once(this.socket, "data");
    }
  }

  #read(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    while (this.#received.length >= 9) {
      const end = 9 + this.#received.readUIntBE(0, 3);
      if (this.#received.length < end) return;
      const [type = 0, stream] = [this.#received[3], this.#received.readUInt32BE(5)];
      this.frames.push({ type, stream, payload: Buffer.from(this.#received.subarray(9, end)) });
      this.#received = this.#received.subarray(end);
    }
  }
}
