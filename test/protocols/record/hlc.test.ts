import assert from "node:assert/strict";
import fc from "fast-check";
import { HLC_PATTERN, hlcTime, nextHlc } from "../../../protocols/record/hlc.ts";

describe("hybrid logical clock", () => {
  it("T47 always moves on, whatever the wall clock does", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5_000), { minLength: 1, maxLength: 200 }), (times) => {
        let last: string | undefined;
        for (const time of times) {
          const next = nextHlc(last, 1_767_225_600_000 + time);
          assert.match(next, HLC_PATTERN);
          assert.ok(last === undefined || next > last);
          assert.ok(hlcTime(next) >= 1_767_225_600_000 + time);
          last = next;
        }
      }),
    );
  });

  it("counts within a millisecond, and into the next when the counter is full", () => {
    assert.equal(nextHlc("0190a1b2c3d40000", 0), "0190a1b2c3d40001");
    assert.equal(nextHlc("0190a1b2c3d4ffff", 0), "0190a1b2c3d50000");
  });
});
