import assert from "node:assert/strict";
import fc from "fast-check";
import * as lp from "it-length-prefixed";
import { FRAME_BYTES_MAX, FramesError } from "../../../protocols/lib/frames.ts";
import { FrameDecoder, framePrefix } from "../../../src/adapters/libp2p/frame-codec.ts";

function decode(chunks: readonly Uint8Array[]): { frames: Uint8Array[]; partial: boolean } {
  const frames: Uint8Array[] = [];
  const decoder = new FrameDecoder((frame) => frames.push(frame));
  for (const chunk of chunks) decoder.push(chunk);
  return { frames, partial: decoder.partial };
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let offset = 0, i = 0; offset < bytes.length; i++) {
    const end = Math.min(bytes.length, offset + (sizes[i % sizes.length] as number));
    chunks.push(bytes.subarray(offset, end));
    offset = end;
  }
  return chunks;
}

describe("libp2p frames on the wire", () => {
  it("writes the prefixes that it-length-prefixed writes", () => {
    for (const length of [1, 127, 128, 16_383, 16_384, 65_536, FRAME_BYTES_MAX]) {
      assert.deepEqual(
        Buffer.from(framePrefix(length)),
        Buffer.from(lp.encode.single(new Uint8Array(length)).subarray(0, framePrefix(length).length)),
      );
    }
  });

  it("finds the same frames however the bytes are cut", () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 8 });
    const cuts = fc.array(fc.integer({ min: 1, max: 4_000 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(lengths, cuts, (sizes, pieces) => {
        const frames = sizes.map((size, i) => Buffer.alloc(size, i + 1));
        const wire = Buffer.concat(frames.flatMap((frame) => [framePrefix(frame.length), frame]));
        const decoded = decode(cut(wire, pieces));
        assert.deepEqual(
          decoded.frames.map((frame) => Buffer.from(frame)),
          frames,
        );
        assert.equal(decoded.partial, false);
      }),
    );
  });

  it("knows that a frame has begun and not ended", () => {
    assert.equal(decode([Uint8Array.of(0x80)]).partial, true);
    assert.equal(decode([Uint8Array.of(3, 1, 2)]).partial, true);
    assert.equal(decode([Uint8Array.of(3, 1, 2, 3)]).partial, false);
  });

  it("does not keep a large chunk alive for a small frame in it", () => {
    const chunk = Uint8Array.from([...framePrefix(10), ...Buffer.alloc(10), ...framePrefix(60_000), ...Buffer.alloc(30_000)]);
    const [small] = decode([chunk]).frames;
    assert.ok(small !== undefined && small.buffer !== chunk.buffer);
  });

  for (const [what, bytes] of [
    ["an empty frame", [0]],
    ["one byte above FRAME_BYTES_MAX", [...framePrefix(FRAME_BYTES_MAX + 1)]],
    ["a prefix that never ends", [0xff, 0xff, 0xff, 0xff]],
    ["a prefix longer than needed", [0x81, 0x00]],
  ] as const) {
    it(`T51 refuses ${what} before anything is buffered`, () => {
      assert.throws(
        () => decode([Uint8Array.from(bytes)]),
        (error) => error instanceof FramesError && error.code === "frame_size",
      );
    });
  }
});
