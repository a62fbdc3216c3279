import assert from "node:assert/strict";
import fc from "fast-check";
import { SortedMap } from "../../../src/adapters/memory/sorted-map.ts";

const key = fc.uint8Array({ minLength: 1, maxLength: 2, max: 40 });
const change = fc.tuple(key, fc.option(fc.uint8Array({ maxLength: 2 }), { nil: undefined }));

function entriesOf(map: SortedMap): string[] {
  const out: string[] = [];
  for (let at: Uint8Array = Buffer.alloc(0); ;) {
    const entry = map.nearest(at, false);
    if (entry === undefined) return out;
    out.push(`${Buffer.from(entry[0]).toString("hex")} ${Buffer.from(entry[1]).toString("hex")}`);
    at = Buffer.concat([entry[0], Buffer.of(0)]);
  }
}

describe("memory store: sorted map", () => {
  it("holds what a sorted plain map holds, and leaves every earlier version as it was", () => {
    fc.assert(
      fc.property(fc.array(fc.array(change, { maxLength: 400 }), { maxLength: 6 }), (batches) => {
        const model = new Map<string, string>();
        const modelled = (): string[] => [...model].map(([name, value]) => `${name} ${value}`).toSorted();
        const versions: [SortedMap, string[]][] = [[SortedMap.EMPTY, []]];
        for (const batch of batches) {
          for (const [name, value] of batch) {
            const hex = Buffer.from(name).toString("hex");
            if (value === undefined) model.delete(hex);
            else model.set(hex, Buffer.from(value).toString("hex"));
          }
          versions.push([(versions.at(-1) as [SortedMap, string[]])[0].with(batch), modelled()]);
        }
        for (const [map, expected] of versions) assert.deepEqual(entriesOf(map), expected);
      }),
      { seed: 42, numRuns: 60 },
    );
  });

  it("finds the last entry below a bound", () => {
    const names = Array.from({ length: 1_000 }, (_, i) => Buffer.from(String(i).padStart(4, "0")));
    const map = SortedMap.EMPTY.with(names.map((name) => [name, name]));
    assert.equal(map.nearest(names[0] as Buffer, true), undefined);
    for (let i = 1; i < names.length; i++) assert.deepEqual(map.nearest(names[i] as Buffer, true)?.[0], names[i - 1]);
    assert.deepEqual(map.nearest(Buffer.from("9"), true)?.[0], names[999]);
    assert.equal(map.nearest(Buffer.from("9"), false), undefined);
  });
});
