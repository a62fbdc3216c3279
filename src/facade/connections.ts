import { ServerResponse, type IncomingMessage } from "node:http";
import {
  Http2ServerRequest,
  type Http2ServerResponse,
  type Http2SecureServer,
  type Http2Session,
  type ServerHttp2Session,
} from "node:http2";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Clock } from "../ports/clock.ts";
import { addressKeys, type AddressKeys } from "./address.ts";
import {
  CONNECTIONS_ACCEPTED_AT_ONCE_MAX,
  CONNECTIONS_MAX,
  CONNECTIONS_PER_ADDRESS_MAX,
  CONNECTIONS_PER_GROUP_MAX,
  CONNECTIONS_RESERVED,
  CONTROL_FRAMES_BURST,
  CONTROL_FRAMES_PER_MINUTE,
  DRAIN_MS_MAX,
  EXPIRY_NOTICE_MS,
  HANDSHAKE_MS_MAX,
  IDLE_MS_MAX,
} from "./limits.ts";
import { Places } from "./places.ts";
import { Rate } from "./rate.ts";
import { Tally } from "./tally.ts";

/** One TLS connection and what its handshake proved: that the other end holds the key of `certificate`, nothing more. */
export interface Connection {
  readonly address: string;
  readonly keys: AddressKeys;
  /** Such as `TLSv1.3`. */
  readonly tlsVersion: string;
  /** DER of the client's leaf; `undefined` where none was presented. */
  readonly certificate: Uint8Array | undefined;
  /** Unix milliseconds at which this connection ends; `Infinity` without a certificate that held when it began. */
  readonly certificateEndMs: number;
  /**
   * Calls `listener` once, as soon as no new requests are to come on this connection: answers that wait for something are to be
   * given now. @returns what takes it back
   */
  onEnding(listener: () => void): () => void;
  /** The registry that the operator named and whose connection this is, proved by its certificate; `undefined` for all others. */
  recognise(): Promise<string | undefined>;
}

/** @returns as of `Connection.recognise` */
export type Recognise = (connection: Connection) => Promise<string | undefined>;

export interface ConnectionBounds {
  /** TCP connections in all. */
  readonly total: number;
  /** How many of them are left to handshakes, of which nobody knows yet whose they are, and to whom the operator named. */
  readonly reserved: number;
}

interface Open extends Connection {
  readonly way: Way;
  readonly endings: Set<() => void>;
  state: "open" | "noticed" | "closing";
  /** Monotonic time at which what is still in flight is cut. */
  cutAtMs: number;
}

interface Handshake {
  readonly socket: Socket;
  readonly keys: AddressKeys;
  /** Monotonic time at which it has taken too long, however busily bytes come. */
  readonly cutAtMs: number;
}

/** How one version of HTTP ends a connection. */
interface Way {
  /** No new requests, please: those under way to us are still taken. */
  notice(): void;
  /** No new requests; ends when those in flight have. */
  close(): void;
  cut(): void;
  /** Says goodbye and waits for nothing. */
  dismiss(): void;
}

/**
 * The open connections: bounded in all, for each address and for each group of addresses; closed when their handshake takes too
 * long, when their client's certificate ends (T5) or when nothing moves on them.
 *
 * Where the places are taken, an idle connection of the network that has most of them goes for a newcomer. Who keeps all of his
 * busy cannot be told from many honest ones, so this alone would let him shut out everybody: a part of the places is reserved.
 * Who is not recognised there after the handshake goes, and a handshake gives way to newer ones, again that of the widest
 * network first; so there is room whenever a registry that the operator named connects.
 */
export class Connections {
  readonly #clock: Clock;
  readonly #bounds: ConnectionBounds;
  readonly #open = new Map<object, Open>();
  readonly #places = new Places<Open>();
  #recognise: Recognise = () => Promise.resolve(undefined);
  readonly #perAddress = new Tally();
  readonly #perGroup = new Tally();
  /** By both ends, which the TLS socket shares with the raw one: connections that have not finished their handshake. */
  readonly #handshakes = new Map<string, Handshake>();
  /** Answers in flight of each HTTP/1.1 connection. */
  readonly #answering = new Map<object, Set<ServerResponse>>();
  /** Of the newest connection: a session is made of it in the same turn, and shows us no socket that could be destroyed. */
  #newest: TLSSocket | undefined;

  constructor(server: Http2SecureServer, clock: Clock, bounds: ConnectionBounds = BOUNDS) {
    this.#clock = clock;
    this.#bounds = bounds;
    // Beyond this Node closes new ones unseen, so that nobody could give way to them.
    server.maxConnections = bounds.total + CONNECTIONS_ACCEPTED_AT_ONCE_MAX;
    server.prependListener("connection", (socket: Socket) => this.#begin(socket));
    server.prependListener("secureConnection", (socket: TLSSocket) => {
      this.#newest = socket;
      this.#handshakes.delete(endsOf(socket));
    });
    server.on("session", (session) => this.#addSession(session));
    server.on("secureConnection", (socket) => {
      if (socket.alpnProtocol !== "h2") this.#addSocket(socket);
    });
  }

  /** To be called once it is known whom the operator named; until then nobody is. */
  recogniseBy(recognise: Recognise): void {
    this.#recognise = recognise;
  }

  /** `undefined` once the connection is gone. */
  of(request: IncomingMessage | Http2ServerRequest): Connection | undefined {
    return this.#openOf(request);
  }

  /** To be called for each request: its connection is not idle, and closing one of HTTP/1.1 lets its answer end. */
  answering(request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse): void {
    const open = this.#openOf(request);
    if (open !== undefined) response.once("close", this.#places.begin(open));
    if (!(response instanceof ServerResponse)) return;
    const answers = this.#answering.get(request.socket);
    if (answers === undefined) return;
    answers.add(response);
    response.shouldKeepAlive &&= this.#open.get(request.socket)?.state === "open";
    response.once("close", () => {
      answers.delete(response);
      if (answers.size === 0 && this.#open.get(request.socket)?.state === "closing") request.socket.end();
    });
  }

  /** Closes what has to be closed now. */
  sweep(): void {
    const [nowMs, monotonicMs] = [this.#clock.now(), this.#clock.monotonic()];
    for (const { socket, cutAtMs } of this.#handshakes.values()) if (monotonicMs >= cutAtMs) socket.destroy();
    for (const open of this.#open.values()) {
      if (open.state === "closing") {
        if (monotonicMs >= open.cutAtMs) open.way.cut();
      } else if (nowMs >= open.certificateEndMs) {
        this.#close(open, monotonicMs + DRAIN_MS_MAX);
      } else if (open.state === "open" && nowMs >= open.certificateEndMs - EXPIRY_NOTICE_MS) {
        open.state = "noticed";
        open.way.notice();
        end(open);
      }
    }
  }

  /**
   * To be called when nothing more is accepted. Lets what is in flight end, for at most `drainMs`; in a handshake nobody has asked for
   * anything yet, so those end at once. `sweep` must go on being called.
   */
  closeAll(drainMs: number): void {
    const cutAtMs = this.#clock.monotonic() + drainMs;
    for (const open of this.#open.values()) this.#close(open, cutAtMs);
    for (const { socket } of this.#handshakes.values()) socket.destroy();
  }

  #openOf(request: IncomingMessage | Http2ServerRequest): Open | undefined {
    const key = request instanceof Http2ServerRequest ? request.stream.session : request.socket;
    return key === undefined ? undefined : this.#open.get(key);
  }

  #close(open: Open, cutAtMs: number): void {
    open.cutAtMs = Math.min(open.cutAtMs, cutAtMs);
    if (open.state === "closing") return;
    open.state = "closing";
    open.way.close();
    end(open);
  }

  /** Counts from the first packet on: a handshake costs more than the connection that it makes. */
  #begin(socket: Socket): void {
    const keys = addressKeys(socket.remoteAddress ?? "");
    const { single, group } = keys;
    const ends = endsOf(socket);
    const handshake = { socket, keys, cutAtMs: this.#clock.monotonic() + HANDSHAKE_MS_MAX };
    this.#handshakes.set(ends, handshake);
    const ofAddress = this.#perAddress.add(single);
    const ofGroup = this.#perGroup.add(group);
    socket.once("close", () => {
      this.#perAddress.remove(single);
      this.#perGroup.remove(group);
      if (this.#handshakes.get(ends) === handshake) this.#handshakes.delete(ends);
    });
    const isBeyond = ofAddress > CONNECTIONS_PER_ADDRESS_MAX || (ofGroup > CONNECTIONS_PER_GROUP_MAX && !isLoopback(single));
    // One whose other end cannot be told any more is gone already.
    if (isBeyond || socket.remotePort === undefined) this.#refuse(ends, handshake);
    else if (this.#handshakes.size + this.#places.size > this.#bounds.total) this.#makeRoom();
  }

  #refuse(ends: string, { socket }: Handshake): void {
    this.#handshakes.delete(ends);
    socket.destroy();
  }

  /** All places are taken, those in reserve by handshakes and by registries that the operator named. */
  #makeRoom(): void {
    const handshake = this.#widest(this.#handshakes, ([, { keys }]) => keys);
    if (handshake !== undefined) this.#refuse(...handshake);
  }

  get #isInReserve(): boolean {
    return this.#places.size > this.#bounds.total - this.#bounds.reserved;
  }

  /** After the handshake nobody stays in the reserve for whom another can go, and nobody else but whom the operator named. */
  async #settle(open: Open): Promise<void> {
    await open.recognise();
    while (this.#isInReserve) {
      const idle = this.#widest(this.#places.idle(), ({ keys }) => keys);
      if (idle !== undefined) this.#dismiss(idle);
      else return this.#places.isNamed(open) ? undefined : this.#dismiss(open);
    }
  }

  #dismiss(open: Open): void {
    this.#places.leave(open);
    open.state = "closing";
    open.way.dismiss();
    end(open);
  }

  /** The first one of the network that has most connections. */
  #widest<T>(all: Iterable<T>, keysOf: (one: T) => AddressKeys): T | undefined {
    let [widest, most]: [T | undefined, number] = [undefined, 0];
    for (const one of all) {
      const count = this.#perGroup.of(keysOf(one).group);
      if (count > most) [widest, most] = [one, count];
    }
    return widest;
  }

  #addSession(session: ServerHttp2Session): void {
    const socket = this.#newest;
    const way: Way = {
      // The highest stream id: whatever the client sent before it read this is still served (RFC 9113 §6.8).
      notice: () => session.goaway(0, STREAM_ID_MAX),
      close: () => session.close(),
      cut: () => {
        session.destroy();
        // A session that was closed before only ends its socket, and then waits for the other side to do the same.
        socket?.destroy();
      },
      dismiss: () => {
        session.goaway(NO_ERROR);
        session.destroy();
      },
    };
    // The session's socket is a proxy that keeps us from reading, not from asking.
    this.#add(session, session.socket as TLSSocket, way);
    session.setTimeout(IDLE_MS_MAX, () => session.close());
    session.once("close", () => this.#remove(session));
    endFloods(session, this.#clock);
  }

  #addSocket(socket: TLSSocket): void {
    const answers = new Set<ServerResponse>();
    const dismiss = (): void => {
      for (const answer of answers) answer.shouldKeepAlive = false;
    };
    const way: Way = {
      notice: dismiss,
      close: () => {
        dismiss();
        if (answers.size === 0) socket.end();
      },
      cut: () => socket.destroy(),
      dismiss: () => socket.destroySoon(),
    };
    this.#answering.set(socket, answers);
    this.#add(socket, socket, way);
    socket.once("close", () => {
      this.#remove(socket);
      this.#answering.delete(socket);
    });
  }

  #remove(key: object): void {
    const open = this.#open.get(key);
    if (open === undefined) return;
    this.#open.delete(key);
    this.#places.leave(open);
  }

  #add(key: object, socket: TLSSocket, way: Way): void {
    const address = socket.remoteAddress ?? "";
    const leaf = socket.getPeerX509Certificate();
    const endMs = leaf?.validToDate.getTime() ?? Infinity;
    const open: Open = {
      ...{ address, keys: addressKeys(address), way, endings: new Set(), state: "open", cutAtMs: Infinity },
      tlsVersion: socket.getProtocol() ?? "",
      certificate: leaf?.raw,
      // One that had ended before proves nothing, and so ends nothing.
      certificateEndMs: endMs <= this.#clock.now() ? Infinity : endMs,
      onEnding: (listener) => {
        if (open.state === "open") open.endings.add(listener);
        else listener();
        return () => void open.endings.delete(listener);
      },
      recognise: async () => {
        const name = await this.#recognise(open);
        this.#places.name(open, name);
        return name;
      },
    };
    this.#open.set(key, open);
    this.#places.take(open);
    if (this.#isInReserve) void this.#settle(open);
  }
}

const BOUNDS: ConnectionBounds = { total: CONNECTIONS_MAX, reserved: CONNECTIONS_RESERVED };

function end({ endings }: Open): void {
  const listeners = [...endings];
  endings.clear();
  for (const listener of listeners) listener();
}

function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

const LOOPBACK_V6 = addressKeys("::1").single;

/** Whoever is on this machine, or comes through a proxy on it, is many in one group. @param single as of `AddressKeys` */
function isLoopback(single: string): boolean {
  return single.startsWith("127.") || single === LOOPBACK_V6;
}

const STREAM_ID_MAX = 2 ** 31 - 1;
/** HTTP/2 error codes (RFC 9113 §7). */
const NO_ERROR = 0;
const ENHANCE_YOUR_CALM = 11;

/** Each PING and SETTINGS frame makes us answer, so their number is bounded (T23). */
function endFloods(session: Http2Session, clock: Clock): void {
  const rate = new Rate(CONTROL_FRAMES_PER_MINUTE, CONTROL_FRAMES_BURST, 1);
  const onFrame = (): void => {
    if (session.destroyed || rate.take("", clock.monotonic()) === 0) return;
    session.goaway(ENHANCE_YOUR_CALM);
    session.destroy();
  };
  session.on("ping", onFrame);
  session.on("remoteSettings", onFrame);
}
