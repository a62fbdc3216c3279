import assert from "node:assert/strict";
import { CONNECTIONS_PER_WANTED_MAX } from "../../src/facade/limits.ts";
import { Places } from "../../src/facade/places.ts";

interface Holder {
  readonly id: number;
}

describe("places", () => {
  let places: Places<Holder>;
  const holders = (count: number): Holder[] => Array.from({ length: count }, (_, id) => ({ id }));
  const idle = (): number[] => [...places.idle()].map(({ id }) => id);

  beforeEach(() => {
    places = new Places();
  });

  it("keeps who has no request in flight, the longest idle first", () => {
    const [a, b, c] = holders(3) as [Holder, Holder, Holder];
    for (const holder of [a, b, c]) places.take(holder);
    const [first, second] = [places.begin(a), places.begin(a)];
    assert.deepEqual(idle(), [1, 2]);
    first();
    assert.deepEqual(idle(), [1, 2]);
    second();
    assert.deepEqual(idle(), [1, 2, 0]);
    places.leave(b);
    assert.deepEqual([idle(), places.size], [[2, 0], 2]);
  });

  it("counts so many connections of one name as such, and no more: it may have gone bad", () => {
    const all = holders(CONNECTIONS_PER_WANTED_MAX + 1);
    for (const holder of all) {
      places.take(holder);
      places.name(holder, "did:key:one");
    }
    const last = all.at(-1) as Holder;
    assert.deepEqual(idle(), [last.id]);
    assert.equal(places.isNamed(last), false);
    places.leave(all[0] as Holder);
    places.name(last, "did:key:one");
    assert.deepEqual(idle(), []);
  });

  it("forgets a name, and what ends after its holder has left", () => {
    const [holder] = holders(1) as [Holder];
    places.take(holder);
    places.name(holder, "did:key:one");
    places.name(holder, undefined);
    assert.deepEqual(idle(), [0]);
    const end = places.begin(holder);
    places.leave(holder);
    end();
    places.name(holder, "did:key:one");
    assert.deepEqual([idle(), places.size, places.isNamed(holder)], [[], 0, false]);
  });
});
