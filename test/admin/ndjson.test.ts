import assert from "node:assert/strict";
import { Readable } from "node:stream";
import type { AdminError } from "../../src/admin/errors.ts";
import { LINE_BYTES_MAX, readLines } from "../../src/admin/ndjson.ts";

describe("admin ndjson", () => {
  async function* chunksOf(...chunks: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
    for (const chunk of chunks) yield Buffer.from(chunk);
  }
  const read = (...chunks: readonly (string | Uint8Array)[]): Promise<unknown[]> =>
    Readable.from(readLines(chunksOf(...chunks))).toArray();
  const coded = (code: string) => (error: AdminError) => error.code === code;

  it("reads lines wherever the chunks were cut, also inside a character", async () => {
    const text = Buffer.from('{"a":"ü"}\n\n[1]\n"last"');
    for (let cut = 0; cut <= text.length; cut++) {
      assert.deepEqual(await read(text.subarray(0, cut), text.subarray(cut)), [{ a: "ü" }, [1], "last"]);
    }
  });

  it("T51 refuses what is no UTF-8 JSON", async () => {
    await assert.rejects(read("{]\n"), coded("bad_request"));
    await assert.rejects(read(Buffer.from([0x22, 0xff, 0x22, 0x0a])), coded("bad_request"));
  });

  it("T51 refuses a line that is too long before it has ended", async () => {
    let sent = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      const chunk = Buffer.alloc(1_048_576, 0x20);
      for (;;) {
        sent += chunk.length;
        yield chunk;
      }
    }
    await assert.rejects(Readable.from(readLines(endless())).toArray(), coded("too_large"));
    assert.ok(sent <= LINE_BYTES_MAX + 1_048_576);
  });
});
