import assert from "node:assert/strict";
import fc from "fast-check";
import { AUTHORITIES_MAX } from "../../protocols/bundle/bundle.ts";
import {
  BACKDATE_MS,
  isRenewalDue,
  planAuthorities,
  renewalMs,
  type AuthoritySpan,
  type LeafSpan,
} from "../../src/identity/rotation.ts";

const HOUR = 3_600_000;
const LEAF = HOUR;
const LIFE = 100 * HOUR;

/** An authority that was made at an hour and lasts 100. */
function made(number: number, hour: number): AuthoritySpan {
  return { number, notBeforeMs: hour * HOUR - BACKDATE_MS, notAfterMs: hour * HOUR + LIFE };
}

describe("identity: rotation", () => {
  interface Row {
    readonly what: string;
    readonly hour: number;
    readonly authorities: readonly AuthoritySpan[];
    readonly bundled: readonly number[];
    readonly signer: number | undefined;
    readonly needsSuccessor: boolean;
  }
  const [first, second] = [made(1, 0), made(2, 50)];
  const rows: Row[] = [
    { what: "nothing exists", hour: 0, authorities: [], bundled: [], signer: undefined, needsSuccessor: true },
    { what: "just made", hour: 0, authorities: [first], bundled: [1], signer: 1, needsSuccessor: false },
    { what: "just before half of its life", hour: 49.99, authorities: [first], bundled: [1], signer: 1, needsSuccessor: false },
    { what: "half of its life", hour: 50, authorities: [first], bundled: [1], signer: 1, needsSuccessor: true },
    {
      what: "the next is only published",
      hour: 50,
      authorities: [first, second],
      bundled: [1, 2],
      signer: 1,
      needsSuccessor: false,
    },
    {
      what: "just before the takeover",
      hour: 74.99,
      authorities: [first, second],
      bundled: [1, 2],
      signer: 1,
      needsSuccessor: false,
    },
    { what: "the takeover", hour: 75, authorities: [first, second], bundled: [1, 2], signer: 2, needsSuccessor: false },
    {
      what: "the last moment of the first",
      hour: 99.99,
      authorities: [first, second],
      bundled: [1, 2],
      signer: 2,
      needsSuccessor: false,
    },
    { what: "the end of the first", hour: 100, authorities: [first, second], bundled: [2], signer: 2, needsSuccessor: true },
    {
      what: "everything has ended",
      hour: 150,
      authorities: [first, second],
      bundled: [],
      signer: undefined,
      needsSuccessor: true,
    },
    // Made late, after the machine was off: published for a quarter of its life before it signs.
    {
      what: "a late successor waits",
      hour: 94,
      authorities: [first, made(2, 70)],
      bundled: [1, 2],
      signer: 1,
      needsSuccessor: false,
    },
    {
      what: "a late successor signs",
      hour: 95,
      authorities: [first, made(2, 70)],
      bundled: [1, 2],
      signer: 2,
      needsSuccessor: false,
    },
    // Made so late that waiting would leave the first no time for a whole leaf.
    {
      what: "a very late one waits",
      hour: 98.9,
      authorities: [first, made(2, 90)],
      bundled: [1, 2],
      signer: 1,
      needsSuccessor: false,
    },
    {
      what: "a very late one signs",
      hour: 99,
      authorities: [first, made(2, 90)],
      bundled: [1, 2],
      signer: 2,
      needsSuccessor: false,
    },
    // T47: the clock was put back behind the beginning of the only one.
    { what: "T47 not valid yet", hour: -1, authorities: [first], bundled: [1], signer: undefined, needsSuccessor: true },
    {
      what: "T47 a second one beside it",
      hour: -1,
      authorities: [first, made(2, -1)],
      bundled: [1, 2],
      signer: 2,
      needsSuccessor: false,
    },
    {
      what: "T47 further away than its life",
      hour: -101,
      authorities: [first],
      bundled: [],
      signer: undefined,
      needsSuccessor: true,
    },
    // T47: the clock was put back a little.
    {
      what: "T47 a minute counts for nothing",
      hour: -0.01,
      authorities: [first],
      bundled: [1],
      signer: 1,
      needsSuccessor: false,
    },
    {
      what: "more than a bundle takes",
      ...{ hour: 10, authorities: [1, 2, 3, 4, 5].map((number) => made(number, number)) },
      ...{ bundled: [2, 3, 4, 5], signer: 2, needsSuccessor: false },
    },
  ];
  for (const { what, hour, authorities, bundled, signer, needsSuccessor } of rows) {
    it(`plans the authorities: ${what}`, () => {
      const plan = planAuthorities(hour * HOUR, authorities, LEAF);
      const numbers = plan.bundled.map(({ number }) => number);
      assert.deepEqual(
        { bundled: numbers, signer: plan.signer?.number, needsSuccessor: plan.needsSuccessor },
        { bundled, signer, needsSuccessor },
      );
      assert.deepEqual(
        [...plan.bundled, ...plan.retired].map(({ number }) => number).sort((x, y) => x - y),
        authorities.map(({ number }) => number),
      );
    });
  }

  it("always has a signer that is valid, in the bundle, and published before it signs, whenever it is asked", () => {
    const waits = fc.array(fc.integer({ min: 1, max: 30 * HOUR }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(waits, (steps) => {
        let nowMs = 0;
        let authorities: readonly AuthoritySpan[] = [];
        for (const stepMs of steps) {
          nowMs += stepMs;
          const before = planAuthorities(nowMs, authorities, LEAF);
          if (before.needsSuccessor) {
            const number = (authorities.at(-1)?.number ?? 0) + 1;
            authorities = [...authorities, { number, notBeforeMs: nowMs - BACKDATE_MS, notAfterMs: nowMs + LIFE }];
          }
          const { signer, bundled } = planAuthorities(nowMs, authorities, LEAF);
          assert.ok(signer !== undefined && bundled.includes(signer));
          assert.ok(signer.notBeforeMs <= nowMs && nowMs < signer.notAfterMs);
          assert.ok(bundled.length <= AUTHORITIES_MAX);
          // What was made just now signs only when there is nothing else.
          if (before.needsSuccessor && before.signer !== undefined && before.signer.notAfterMs - nowMs > LEAF) {
            assert.notEqual(signer, authorities.at(-1));
          }
          authorities = bundled;
        }
      }),
    );
  });

  it("renews a leaf at half of its life, give or take a tenth", () => {
    const span = { notBeforeMs: 1_000 * HOUR - BACKDATE_MS, notAfterMs: 1_001 * HOUR };
    const minutes = (unit: number): number => Math.round((renewalMs(span, unit) - 1_000 * HOUR) / 60_000);
    assert.deepEqual([minutes(0), minutes(0.5), minutes(1 - Number.EPSILON)], [27, 30, 33]);
  });

  it("knows when a leaf is due", () => {
    const leaf: LeafSpan = { notBeforeMs: 10 * HOUR, notAfterMs: 11 * HOUR, renewAtMs: 10.5 * HOUR, signer: 1 };
    const due = (hour: number, one: LeafSpan | undefined, numbers: readonly number[]): boolean =>
      isRenewalDue(
        hour * HOUR,
        one,
        numbers.map((number) => made(number, 0)),
      );
    assert.equal(due(10.4, undefined, [1]), true, "there is none");
    assert.equal(due(10.4, leaf, [1]), false);
    assert.equal(due(10.5, leaf, [1]), true, "its time has come");
    assert.equal(due(12, leaf, [1]), true, "T47 the clock went ahead");
    assert.equal(due(9.9, leaf, [1]), true, "T47 the clock went back");
    assert.equal(due(10.4, leaf, [2]), true, "its signer is gone");
    assert.equal(due(10.4, leaf, [1, 2]), false, "a successor alone changes nothing");
  });
});
