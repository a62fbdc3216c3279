import assert from "node:assert/strict";
import {
  decodeHello,
  encodeHello,
  exchangeHello,
  type Hello,
  HELLO_BYTES_MAX,
  HELLO_HEADS_MAX,
  HELLO_KNOWN_MAX,
} from "../../../protocols/announce/hello.ts";
import type { SignedHead } from "../../../protocols/checkpoint/head.ts";
import { CHECKPOINT_BYTES_MAX } from "../../../protocols/checkpoint/note.ts";
import { COMMIT_BYTES_MAX } from "../../../protocols/checkpoint/commit.ts";
import { LOG_PROOF_HASHES_MAX } from "../../../protocols/checkpoint/log.ts";
import { DESCRIPTOR_BYTES_MAX } from "../../../protocols/descriptor/descriptor.ts";
import { hex, utf8 } from "../../../protocols/lib/bytes.ts";
import { ProtocolError, type ProtocolErrorCode } from "../../../protocols/lib/errors.ts";
import { FRAME_BYTES_MAX, type Frames, FramesError } from "../../../protocols/lib/frames.ts";
import { commit, OTHER, publish, refused, refusedAny, unhex, vectors } from "../checkpoint/support.ts";

interface HelloVector {
  readonly name: string;
  readonly bytes: string;
  readonly error: ProtocolErrorCode | null;
  readonly head: boolean;
  readonly yours: boolean;
  readonly known: number;
  readonly heads: number;
}

const file = vectors<{ hellos: HelloVector[] }>(new URL("../../../protocols/announce/vectors/hello.json", import.meta.url));

/** One end of a channel whose `send` waits until the other end reads: the tightest back-pressure that there can be. */
class RendezvousFrames implements Frames {
  readonly #arriving: { frame: Uint8Array | undefined; taken: () => void }[] = [];
  readonly #waiting: { resolve: (frame: Uint8Array | undefined) => void; reject: (error: Error) => void }[] = [];
  #peer: RendezvousFrames | undefined;
  closed = false;
  broken: Error | undefined;

  static pair(): [RendezvousFrames, RendezvousFrames] {
    const [a, b] = [new RendezvousFrames(), new RendezvousFrames()];
    [a.#peer, b.#peer] = [b, a];
    return [a, b];
  }

  send(frame: Uint8Array): Promise<void> {
    if (this.broken !== undefined) return Promise.reject(this.broken);
    return new Promise((taken) => (this.#peer as RendezvousFrames).#arrive(frame, taken));
  }

  receive(): Promise<Uint8Array | undefined> {
    const next = this.#arriving.shift();
    next?.taken();
    if (next !== undefined) return Promise.resolve(next.frame);
    if (this.broken !== undefined) return Promise.reject(this.broken);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  close(): Promise<void> {
    this.closed = true;
    (this.#peer as RendezvousFrames).#arrive(undefined, () => undefined);
    return Promise.resolve();
  }

  abort(reason: Error): void {
    for (const end of [this, this.#peer as RendezvousFrames]) {
      end.broken ??= new FramesError(end === this ? "closed" : "reset", reason.message, { cause: reason });
      for (const { reject } of end.#waiting.splice(0)) reject(end.broken);
    }
  }

  #arrive(frame: Uint8Array | undefined, taken: () => void): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) {
      this.#arriving.push({ frame, taken });
      return;
    }
    waiting.resolve(frame);
    taken();
  }
}

function hello(name: string): Hello {
  return { descriptor: utf8(name), known: [], heads: [] };
}

describe("hello messages", () => {
  for (const { name, bytes, error, ...expected } of file.hellos) {
    it(name, () => {
      if (error !== null) return refused(error, () => decodeHello(unhex(bytes)));
      const decoded = decodeHello(unhex(bytes));
      const { head, yours, known, heads } = decoded;
      const found = { head: head !== undefined, yours: yours !== undefined, known: known.length, heads: heads.length };
      assert.deepEqual(found, expected);
      assert.equal(hex(encodeHello(decoded)), bytes);
    });
  }

  it("fits in one frame with as much of everything as there can be", () => {
    const head: SignedHead = {
      note: "x".repeat(CHECKPOINT_BYTES_MAX),
      commit: new Uint8Array(COMMIT_BYTES_MAX),
      logProof: Array.from({ length: LOG_PROOF_HASHES_MAX }, () => new Uint8Array(32)),
    };
    const descriptor = new Uint8Array(DESCRIPTOR_BYTES_MAX);
    const known = Array.from({ length: HELLO_KNOWN_MAX }, () => descriptor);
    const heads = Array.from({ length: HELLO_HEADS_MAX }, () => head);
    const largest: Hello = { descriptor, head, yours: head, known, heads };
    const bytes = encodeHello(largest);
    assert.equal(bytes.length, HELLO_BYTES_MAX);
    assert.ok(HELLO_BYTES_MAX <= FRAME_BYTES_MAX);
    assert.equal(decodeHello(bytes).heads.length, HELLO_HEADS_MAX);
    refused("limit_exceeded", () => encodeHello({ ...largest, known: [...known, descriptor] }));
    refused("limit_exceeded", () => encodeHello({ ...largest, heads: [...heads, head] }));
    refused("too_large", () => decodeHello(new Uint8Array(HELLO_BYTES_MAX + 1)));
    refused("too_large", () =>
      decodeHello(encodeHello({ ...largest, descriptor: new Uint8Array(DESCRIPTOR_BYTES_MAX + 1), known: [] })),
    );
  });

  it("T51 refuses a message that is cut anywhere", () => {
    const bytes = unhex((file.hellos[1] as HelloVector).bytes);
    for (let length = 0; length < bytes.length; length++)
      refusedAny(() => decodeHello(bytes.subarray(0, length)), `cut at ${length}`);
  });
});

describe("the hello exchange", () => {
  it("gives each side the other's message, even where a frame is taken only when it is read, and closes", async () => {
    const [a, b] = RendezvousFrames.pair();
    const { head } = publish([commit()], OTHER);
    const [fromB, fromA] = await Promise.all([exchangeHello(a, { ...hello("a"), yours: head }), exchangeHello(b, hello("b"))]);
    assert.deepEqual(Buffer.from(fromA.descriptor).toString(), "a");
    assert.equal(fromA.yours?.note, head.note);
    assert.deepEqual(Buffer.from(fromB.descriptor).toString(), "b");
    assert.ok(a.closed && b.closed);
  });

  it("T53 lets one who may not speak yet listen: it gets the other's message, and the other an end", async () => {
    const [a, b] = RendezvousFrames.pair();
    const speaking = exchangeHello(b, hello("b"));
    const [heard] = await Promise.all([
      exchangeHello(a, undefined),
      assert.rejects(speaking, (error) => error instanceof ProtocolError && error.code === "truncated"),
    ]);
    assert.deepEqual(Buffer.from(heard.descriptor).toString(), "b");
    assert.ok(a.closed);
  });

  it("T36 says so when the peer closes without a word", async () => {
    const [a, b] = RendezvousFrames.pair();
    const exchange = exchangeHello(a, hello("a"));
    await Promise.all([b.receive(), b.close()]);
    await assert.rejects(exchange, (error) => error instanceof ProtocolError && error.code === "truncated");
    assert.ok(a.broken !== undefined);
  });

  it("T51 aborts the channel on a message that is none", async () => {
    const [a, b] = RendezvousFrames.pair();
    const exchange = exchangeHello(a, hello("a"));
    await Promise.all([b.receive(), b.send(Uint8Array.of(9, 9))]);
    await assert.rejects(exchange, (error) => error instanceof ProtocolError && error.code === "bad_frame");
    assert.equal((b.broken as FramesError).code, "reset");
  });

  it("ends when it is called off, before and in the middle, and when the channel breaks", async () => {
    const reason = new Error("too late");
    const [a] = RendezvousFrames.pair();
    await assert.rejects(exchangeHello(a, hello("a"), AbortSignal.abort(reason)), reason);
    const [c] = RendezvousFrames.pair();
    const controller = new AbortController();
    const exchange = exchangeHello(c, hello("c"), controller.signal);
    controller.abort(reason);
    await assert.rejects(exchange, reason);
    const [e, f] = RendezvousFrames.pair();
    const broken = exchangeHello(e, hello("e"));
    f.abort(reason);
    await assert.rejects(broken, (error) => error instanceof FramesError && error.code === "reset");
  });

  it("sends nothing that the peer would refuse", async () => {
    const [a] = RendezvousFrames.pair();
    const known = Array.from({ length: HELLO_KNOWN_MAX + 1 }, () => utf8("x"));
    await assert.rejects(
      exchangeHello(a, { ...hello("a"), known }),
      (error) => error instanceof ProtocolError && error.code === "limit_exceeded",
    );
  });
});
