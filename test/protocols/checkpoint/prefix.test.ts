import assert from "node:assert/strict";
import {
  checkPrefixes,
  childPrefix,
  comparePrefixes,
  containsKey,
  encodePrefix,
  isPrefixOf,
  type Prefix,
  prefixOf,
  readPrefix,
  ROOT_PREFIX,
} from "../../../protocols/checkpoint/prefix.ts";
import { WireReader } from "../../../protocols/lib/wire.ts";
import { hex } from "../../../protocols/lib/bytes.ts";
import type { ProtocolErrorCode } from "../../../protocols/lib/errors.ts";
import { refused, unhex, vectors } from "./support.ts";

interface PrefixVectors {
  readonly prefixes: readonly { name: string; bits: string; bytes: string; error: ProtocolErrorCode | null }[];
  readonly lists: readonly { name: string; prefixes: string[]; error: ProtocolErrorCode | null }[];
}

const file = vectors<PrefixVectors>(new URL("../../../protocols/checkpoint/vectors/prefix.json", import.meta.url));

function prefix(bits: string): Prefix {
  return bits.split("").reduce((parent, bit) => childPrefix(parent, bit === "1" ? 1 : 0), ROOT_PREFIX);
}

describe("key prefixes", () => {
  for (const { name, bits, bytes, error } of file.prefixes) {
    it(`codec: ${name}`, () => {
      const read = (): Prefix => readPrefix(new WireReader(unhex(bytes), 64));
      if (error !== null) return refused(error, read);
      assert.equal(comparePrefixes(read(), prefix(bits)), 0);
      assert.equal(hex(encodePrefix(prefix(bits))), bytes);
    });
  }

  for (const { name, prefixes, error } of file.lists) {
    it(`list: ${name}`, () => {
      const check = (): void => checkPrefixes(prefixes.map(prefix));
      if (error !== null) return refused(error, check);
      check();
    });
  }

  it("covers the keys and prefixes that begin with it", () => {
    const key = unhex("a5c3" + "00".repeat(30));
    for (let length = 0; length <= 256; length++) {
      const own = prefixOf(key, length);
      assert.ok(containsKey(own, key), `length ${length}`);
      assert.ok(isPrefixOf(own, prefixOf(key, 256)) && isPrefixOf(own, own));
      if (length === 0) continue;
      const turned = Uint8Array.from(key);
      turned[(length - 1) >> 3] = (turned[(length - 1) >> 3] as number) ^ (0x80 >> ((length - 1) & 7));
      assert.ok(!containsKey(own, turned), `length ${length}, last bit turned`);
      assert.ok(!isPrefixOf(own, prefixOf(key, length - 1)));
    }
    assert.equal(hex(prefixOf(unhex("ff".repeat(32)), 9).bits), "ff80" + "00".repeat(30));
    refused("bad_prefix", () => childPrefix(prefixOf(key, 256), 0));
  });
});
