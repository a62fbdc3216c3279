import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";

/** Where the name of the question begins in a DNS message (RFC 1035 section 4.1.1). */
const HEADER_BYTES = 12;
const TYPE_A = 1;

/** A DNS server that answers for the names that it knows, and says nothing at all to all other questions. */
export class SilentDns {
  readonly #socket: Socket;
  /** Names asked for, in the order in which they first came. */
  readonly asked: Set<string> = new Set();
  /** Name → its IPv4 address. */
  readonly known: Map<string, string> = new Map();
  readonly #watchers: (() => void)[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("message", (query, { port, address }) => {
      const { name, end } = questionOf(query);
      this.asked.add(name);
      for (const watcher of this.#watchers) watcher();
      const found = this.known.get(name);
      if (found !== undefined) socket.send(answerTo(query.subarray(0, end + 4), found), port, address);
    });
  }

  static async listen(): Promise<SilentDns> {
    const socket = createSocket("udp4");
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    return new SilentDns(socket);
  }

  /** As a resolver is told of it. */
  get server(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  /** Resolves when so many names have been asked for. */
  async askedFor(names: number): Promise<void> {
    while (this.asked.size < names) await new Promise<void>((resolve) => this.#watchers.push(resolve));
  }

  close(): void {
    this.#socket.close();
  }
}

function questionOf(query: Buffer): { readonly name: string; readonly end: number } {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join("."), end: at + 1 };
}

/** With one address for a question of type A, and without any for others. */
function answerTo(question: Buffer, address: string): Buffer {
  const message = Buffer.from(question);
  const isA = message.readUInt16BE(message.length - 4) === TYPE_A;
  message.writeUInt16BE(0x8180, 2);
  message.writeUInt16BE(isA ? 1 : 0, 6);
  message.writeUInt16BE(0, 8);
  message.writeUInt16BE(0, 10);
  if (!isA) return message;
  // The name as a pointer to the question's, type A, class IN, 60 s, 4 bytes.
  const record = Buffer.from("c00c000100010000003c0004", "hex");
  return Buffer.concat([message, record, Buffer.from(address.split(".").map(Number))]);
}
