import type { Frames } from "../../../protocols/lib/frames.ts";
import { NetworkError } from "../../ports/network.ts";
import { MemoryFrames, type Carry } from "./memory-frames.ts";
import { Pipe } from "./pipe.ts";
import type { Wire } from "./wire.ts";

/** What a connection needs to know of the network at one of its ends. */
export interface End {
  readonly peerId: string;
  /** `false` once the machine crashed or the network stopped. */
  readonly up: boolean;
  opened(connection: Connection): void;
  closed(connection: Connection): void;
  /** Takes a stream that the peer opens, or says why not. `makeStream` is called only when it takes it. */
  accept(peerId: string, protocol: string, makeStream: (onDone: () => void) => Frames): "accepted" | "unsupported" | "full";
}

interface Side {
  readonly end: End;
  readonly out: Pipe;
  readonly streams: Set<MemoryFrames>;
  /** Pings and opens that wait for an answer. */
  readonly waiting: Set<(error: NetworkError) => void>;
  open: boolean;
}

type Index = 0 | 1;

/** A connection between two networks, seen from both ends at once; each end learns only what arrives there. */
export class Connection {
  readonly #wire: Wire;
  readonly #sides: readonly [Side, Side];

  constructor(wire: Wire, dialler: End, acceptor: End) {
    this.#wire = wire;
    this.#sides = [this.#side(dialler, acceptor, 0), this.#side(acceptor, dialler, 1)];
  }

  isOpenFor(end: End): boolean {
    return this.#of(end).open;
  }

  /** Whether neither end has closed it since it was made. */
  wasClosed = false;

  farOf(end: End): End {
    return this.#sides[this.#other(end)].end;
  }

  /** Opens the side of `end` now, and the other one when the news has arrived there. */
  open(end: End): void {
    this.#openSide(this.#index(end));
    this.#carry(this.#index(end), undefined, () => {
      const other = this.#other(end);
      if (!this.#sides[other].open) this.#openSide(other);
    });
  }

  /** Closes our side now; the other side learns of it. */
  close(end: End, why: string): void {
    const index = this.#index(end);
    if (!this.#sides[index].open) return;
    this.#pushReset(index);
    this.#closeSide(index, why);
  }

  /**
   * The process at `end` is gone without a word. With `reset` its machine tells the peer, otherwise the peer learns of it only
   * when it sends something.
   */
  crash(end: End, options: { readonly reset: boolean }): void {
    const index = this.#index(end);
    const side = this.#sides[index];
    this.wasClosed = true;
    side.open = false;
    side.out.close();
    if (options.reset) this.#resetLater(this.#other(end));
  }

  ping(end: End): Promise<void> {
    const index = this.#index(end);
    return this.#answered(index, (resolve) => {
      this.#carry(index, undefined, () => this.#carry(this.#other(end), undefined, resolve));
    });
  }

  /** @throws NetworkError `protocol_unsupported`, `not_connected` when the connection breaks meanwhile */
  openStream(end: End, protocol: string): Promise<MemoryFrames> {
    const index = this.#index(end);
    const other = this.#other(end);
    return this.#answered(index, (resolve, reject) => {
      this.#carry(index, undefined, () => {
        let far: MemoryFrames | undefined;
        const near = this.#stream(index, () => far);
        const outcome = this.#sides[other].end.accept(end.peerId, protocol, (onDone) => {
          far = this.#stream(other, () => near, onDone);
          return far;
        });
        this.#carry(other, undefined, () => {
          if (outcome === "unsupported") {
            this.#sides[index].streams.delete(near);
            reject(new NetworkError("protocol_unsupported", `${this.#sides[other].end.peerId} does not serve ${protocol}`));
            return;
          }
          resolve(near);
          if (outcome === "full") near.break(`${protocol}: too many streams are open`);
        });
      });
    });
  }

  #stream(index: Index, far: () => MemoryFrames | undefined, onDone?: () => void): MemoryFrames {
    const carry: Carry = (bytes, deliver) => {
      this.#carry(index, bytes, () => {
        const stream = far();
        if (stream !== undefined) deliver(stream);
      });
    };
    const stream = new MemoryFrames(carry, () => {
      this.#sides[index].streams.delete(stream);
      onDone?.();
    });
    this.#sides[index].streams.add(stream);
    return stream;
  }

  /** Takes something from one side to the other; a side that has closed answers with a reset. */
  #carry(from: Index, bytes: Uint8Array | undefined, deliver: () => void): void {
    const [near, far] = [this.#sides[from], this.#sides[from === 0 ? 1 : 0]];
    const [sender, receiver] = [near.end.peerId, far.end.peerId];
    const type = bytes === undefined ? "control" : "frame";
    this.#wire.observe("sent", type, sender, receiver, bytes);
    near.out.push(bytes?.length ?? 0, () => {
      if (!far.end.up || (this.wasClosed && !far.open)) {
        this.#resetLater(from);
        return;
      }
      this.#wire.observe("delivered", type, sender, receiver, bytes);
      deliver();
    });
  }

  #answered<T>(index: Index, start: (resolve: (value: T) => void, reject: (error: NetworkError) => void) => void): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const { waiting } = this.#sides[index];
    const fail = (error: NetworkError): void => {
      waiting.delete(fail);
      reject(error);
    };
    waiting.add(fail);
    start((value) => {
      waiting.delete(fail);
      resolve(value);
    }, fail);
    return promise;
  }

  #pushReset(from: Index): void {
    const to: Index = from === 0 ? 1 : 0;
    const [near, far] = [this.#sides[from], this.#sides[to]];
    this.#wire.observe("sent", "control", near.end.peerId, far.end.peerId);
    near.out.push(0, () => {
      this.#wire.observe("delivered", "control", near.end.peerId, far.end.peerId);
      this.#closeSide(to, "the peer closed the connection");
    });
  }

  /** A packet of its own, since the sender's side is gone: what TCP answers to a connection that it does not know. */
  #resetLater(to: Index): void {
    const [near, far] = [this.#sides[to === 0 ? 1 : 0], this.#sides[to]];
    void this.#wire.carry(near.end.peerId, far.end.peerId).then((arrived) => {
      if (arrived) this.#closeSide(to, "the connection was reset");
    });
  }

  #openSide(index: Index): void {
    const side = this.#sides[index];
    if (!side.end.up || side.open) return;
    side.open = true;
    side.end.opened(this);
  }

  #closeSide(index: Index, why: string): void {
    const side = this.#sides[index];
    this.wasClosed = true;
    if (!side.open || !side.end.up) return;
    side.open = false;
    for (const stream of [...side.streams]) stream.break(why);
    for (const fail of [...side.waiting]) fail(new NetworkError("not_connected", why));
    side.end.closed(this);
  }

  #side(end: End, far: End, index: Index): Side {
    const out = new Pipe(this.#wire, end.peerId, far.peerId, () => this.#closeSide(index, "the path was cut for too long"));
    return { end, out, streams: new Set(), waiting: new Set(), open: false };
  }

  #index(end: End): Index {
    return this.#sides[0].end === end ? 0 : 1;
  }

  #other(end: End): Index {
    return this.#index(end) === 0 ? 1 : 0;
  }

  #of(end: End): Side {
    return this.#sides[this.#index(end)];
  }
}
