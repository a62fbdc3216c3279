import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeClientMessage, decodeServerMessage } from "../../../protocols/catalog-sync/codec.ts";
import type { ClientMessage, ServerMessage } from "../../../protocols/catalog-sync/messages.ts";
import { hex } from "../../../protocols/lib/bytes.ts";
import { ProtocolError, type ProtocolErrorCode } from "../../../protocols/lib/errors.ts";
import { FRAME_BYTES_MAX } from "../../../protocols/lib/frames.ts";
import { refused, unhex, vectors } from "../checkpoint/support.ts";
import { encode, toJson } from "./support.ts";

interface FrameVector {
  readonly name: string;
  readonly from: "follower" | "server";
  readonly bytes: string;
  readonly error: ProtocolErrorCode | null;
  readonly message: unknown;
}

const file = vectors<{ frames: FrameVector[] }>(new URL("../../../protocols/catalog-sync/vectors/frames.json", import.meta.url));

function decode(from: FrameVector["from"], bytes: Uint8Array): ClientMessage | ServerMessage {
  return from === "follower" ? decodeClientMessage(bytes) : decodeServerMessage(bytes);
}

describe("catalog-sync: frames", () => {
  for (const { name, from, bytes, error, message } of file.frames) {
    if (error !== null) {
      it(`T51 refuses of the ${from}: ${name}`, () => refused(error, () => decode(from, unhex(bytes)), name));
      continue;
    }
    it(`reads and writes of the ${from}: ${name}`, () => {
      const read = decode(from, unhex(bytes));
      assert.deepEqual(toJson(read), message);
      assert.equal(hex(encode(read)), bytes);
    });
  }

  it("T51 refuses every frame that is cut off or has a byte too many", () => {
    for (const { from, bytes, error, name } of file.frames) {
      if (error !== null) continue;
      const whole = unhex(bytes);
      const canonical = (part: Uint8Array, what: string): void => {
        let read;
        try {
          read = decode(from, part);
        } catch (fault) {
          assert.ok(fault instanceof ProtocolError, `${name}, ${what}: ${String(fault)}`);
          return;
        }
        // A list may end after any of its entries; then the shorter frame is one of its own.
        assert.equal(hex(encode(read)), hex(part), `${name}, ${what}`);
      };
      for (let length = 0; length < whole.length; length++) canonical(whole.subarray(0, length), `cut to ${length}`);
      canonical(Buffer.concat([whole, Buffer.of(0)]), "one byte more");
    }
  });

  it("T51 refuses a frame beyond the bound before it looks inside", () => {
    refused("too_large", () => decodeServerMessage(new Uint8Array(FRAME_BYTES_MAX + 1)));
    refused("too_large", () => decodeClientMessage(new Uint8Array(FRAME_BYTES_MAX + 1)));
  });

  it("T51 reads any bytes into their one message or a coded error, never anything else", () => {
    const mutated = fc
      .tuple(fc.constantFrom(...file.frames), fc.array(fc.tuple(fc.nat(400), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }))
      .map(([{ from, bytes }, changes]) => {
        const frame = Buffer.from(bytes, "hex");
        for (const [at, value] of changes) if (at < frame.length) frame[at] = value;
        return { from, frame };
      });
    fc.assert(
      fc.property(mutated, ({ from, frame }) => {
        try {
          assert.equal(hex(encode(decode(from, frame))), hex(frame));
        } catch (error) {
          assert.ok(error instanceof ProtocolError, String(error));
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
