import assert from "node:assert/strict";
import { FRAME_BYTES_MAX, FramesError, type Frames } from "../../protocols/lib/frames.ts";
import { bytes, deadline, ECHO, exchange, rejectsFrames, rejectsNetwork, STREAMS_MAX, type Makers } from "./network-support.ts";

/** A sender that nobody reads must be held back before it has handed over this much. */
const QUEUED_BYTES_MAX = 64 * 1_048_576;

/** Turns of the event loop that the slow reader takes for each frame. */
const SLOW_TURNS = 200;

/** What streams of frames must do over every implementation of the network port. */
export function framesContract({ node, pair }: Makers): void {
  describe("frames", () => {
    it("carries frames of 1 byte to FRAME_BYTES_MAX whole and in order", async () => {
      const { a, b } = await pair();
      const stream = await a.open(b.peerId, ECHO, deadline());
      const sizes = [1, 2, 127, 128, 16_383, 16_384, 65_536, 300_000, FRAME_BYTES_MAX, 1, FRAME_BYTES_MAX];
      const sending = (async () => {
        for (const [i, size] of sizes.entries()) await stream.send(bytes(size, i));
        await stream.close();
      })();
      for (const [i, size] of sizes.entries()) {
        const frame = await stream.receive();
        assert.ok(frame !== undefined && Buffer.compare(frame, bytes(size, i)) === 0, `frame ${i} of ${size} bytes`);
      }
      await sending;
      assert.equal(await stream.receive(), undefined);
    });

    it("T51 refuses to send an empty frame or one above FRAME_BYTES_MAX, and stays usable", async () => {
      const { a, b } = await pair();
      const stream = await a.open(b.peerId, ECHO, deadline());
      await rejectsFrames(stream.send(new Uint8Array(0)), ["frame_size"]);
      await rejectsFrames(stream.send(new Uint8Array(FRAME_BYTES_MAX + 1)), ["frame_size"]);
      assert.deepEqual(await exchange(stream, bytes(5)), bytes(5));
    });

    it("T49 carries all that a fast sender has to a reader that is slower, over many pauses", async () => {
      const { a, b } = await pair();
      const frames = 64;
      b.handle(
        "/theprotocol/test-source/1.0.0",
        async (stream) => {
          await stream.receive();
          for (let i = 0; i < frames; i++) await stream.send(bytes(FRAME_BYTES_MAX, i));
          await stream.close();
        },
        { streamsPerPeerMax: 1 },
      );
      const stream = await a.open(b.peerId, "/theprotocol/test-source/1.0.0", deadline());
      await stream.send(bytes(1));
      for (let i = 0; i < frames; i++) {
        const frame = await stream.receive();
        assert.equal(frame?.[0], bytes(1, i)[0], `frame ${i}`);
        // The sockets have several turns for each frame, so that more arrives than is read.
        for (let turn = 0; turn < SLOW_TURNS; turn++) await new Promise((resolve) => setImmediate(resolve));
      }
      assert.equal(await stream.receive(), undefined);
    });

    it("tells the handler who opened the stream", async () => {
      const { a, b } = await pair();
      const caller = new Promise<string>((resolve) => {
        b.handle("/theprotocol/test-who/1.0.0", (frames, peerId) => (resolve(peerId), frames.close()), {
          streamsPerPeerMax: 1,
        });
      });
      await a.open(b.peerId, "/theprotocol/test-who/1.0.0", deadline());
      assert.equal(await caller, a.peerId);
    });

    it("ends one side at a time: what was sent arrives, and the other side may still answer", async () => {
      const { a, b } = await pair();
      const received: number[] = [];
      b.handle(
        "/theprotocol/test-sum/1.0.0",
        async (frames) => {
          for (let frame = await frames.receive(); frame !== undefined; frame = await frames.receive())
            received.push(frame.length);
          await frames.send(bytes(received.length));
          await frames.close();
        },
        { streamsPerPeerMax: 1 },
      );
      const stream = await a.open(b.peerId, "/theprotocol/test-sum/1.0.0", deadline());
      for (const size of [10, 200_000, 30]) await stream.send(bytes(size));
      await stream.close();
      await rejectsFrames(stream.send(bytes(1)), ["closed"]);
      assert.equal((await stream.receive())?.length, 3);
      assert.equal(await stream.receive(), undefined);
      assert.equal(await stream.receive(), undefined);
      assert.deepEqual(received, [10, 200_000, 30]);
    });

    it("an abort breaks both sides, which cannot pass for a clean end", async () => {
      const { a, b } = await pair();
      const broken = new Promise<unknown>((resolve) => {
        const handler = async (frames: Frames): Promise<void> => {
          await frames.send(bytes(1));
          await frames.receive().catch(resolve);
        };
        b.handle("/theprotocol/test-abort/1.0.0", handler, { streamsPerPeerMax: 1 });
      });
      const stream = await a.open(b.peerId, "/theprotocol/test-abort/1.0.0", deadline());
      await stream.receive();
      const pending = rejectsFrames(stream.receive(), ["closed"]);
      stream.abort(new Error("no longer needed"));
      stream.abort(new Error("twice"));
      await pending;
      await rejectsFrames(stream.send(bytes(1)), ["closed"]);
      const error = await broken;
      assert.ok(error instanceof FramesError && error.code === "reset", String(error));
    });

    it("a handler that fails resets the stream", async () => {
      const { a, b } = await pair();
      b.handle("/theprotocol/test-fail/1.0.0", () => Promise.reject(new Error("no")), { streamsPerPeerMax: 1 });
      const stream = await a.open(b.peerId, "/theprotocol/test-fail/1.0.0", deadline());
      await rejectsFrames(stream.receive(), ["reset"]);
    });

    it("T49 holds back a sender whose peer does not read, and lets it go on when it does", async () => {
      const { a, b } = await pair();
      const gate = Promise.withResolvers<void>();
      let read = 0;
      b.handle(
        "/theprotocol/test-slow/1.0.0",
        async (frames) => {
          await gate.promise;
          for (let frame = await frames.receive(); frame !== undefined; frame = await frames.receive()) read += frame.length;
          await frames.close();
        },
        { streamsPerPeerMax: 1 },
      );
      const stream = await a.open(b.peerId, "/theprotocol/test-slow/1.0.0", deadline());
      const frame = bytes(FRAME_BYTES_MAX);
      let sent = 0;
      for (let held = false; !held;) {
        let done = false;
        const sending = stream.send(frame).then(() => (done = true));
        sent += frame.length;
        assert.ok(sent <= QUEUED_BYTES_MAX, "the sender was never held back");
        await Promise.race([sending, a.ping(b.peerId, deadline())]);
        held = !done;
        if (held) gate.resolve();
        await sending;
      }
      await stream.close();
      assert.equal(await stream.receive(), undefined);
      assert.equal(read, sent);
    });

    it("resets streams above streamsPerPeerMax and takes new ones when one has ended", async () => {
      const { a, b } = await pair();
      const open: Frames[] = [];
      for (let i = 0; i < STREAMS_MAX; i++) {
        const stream = await a.open(b.peerId, ECHO, deadline());
        await exchange(stream, bytes(10));
        open.push(stream);
      }
      await assert.rejects(async () => exchange(await a.open(b.peerId, ECHO, deadline()), bytes(10)));
      for (const stream of open) assert.deepEqual(await exchange(stream, bytes(20)), bytes(20));
      await open[0]?.close();
      assert.equal(await open[0]?.receive(), undefined);
      assert.deepEqual(await exchange(await a.open(b.peerId, ECHO, deadline()), bytes(30)), bytes(30));
    });

    it("says why no stream can be opened", async () => {
      const { a, b } = await pair();
      const c = await node();
      await rejectsNetwork(a.open(b.peerId, "/theprotocol/test-none/1.0.0", deadline()), "protocol_unsupported");
      await rejectsNetwork(a.open(c.peerId, ECHO, deadline()), "not_connected");
      await rejectsNetwork(a.open(b.peerId, ECHO, { signal: AbortSignal.abort() }), "timeout");
    });
  });
}
