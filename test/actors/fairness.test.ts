import assert from "node:assert/strict";
import { SLICE_MESSAGES_MAX, TURN_MESSAGES_MAX } from "../../src/actors/system.ts";
import { bench, type Message } from "./probe.ts";

describe("actors: fairness", () => {
  it("does not let one busy actor starve another", () => {
    const { scheduler, notes, spawn } = bench();
    const busy = spawn({ name: "busy" });
    let rounds = 0;
    const again: Message = {
      do: ({ self }) => {
        rounds += 1;
        if (rounds < 10_000) self.tell(again);
      },
    };
    for (let i = 0; i < TURN_MESSAGES_MAX * 2; i++) busy.tell(again);
    const quiet = spawn({ name: "quiet" });
    quiet.tell({ do: () => notes.push(`after ${rounds}`) });
    scheduler.step();
    assert.deepEqual(notes, [`after ${TURN_MESSAGES_MAX}`]);
  });

  it("ends a slice at its bound however many actors are ready, and goes on where it was", () => {
    const { scheduler, spawn } = bench();
    let taken = 0;
    const count: Message = { do: () => (taken += 1) };
    const order: number[] = [];
    const actors = SLICE_MESSAGES_MAX / TURN_MESSAGES_MAX + 4;
    for (let a = 0; a < actors; a++) {
      const probe = spawn();
      probe.tell({ do: () => order.push(a) });
      for (let i = 1; i < TURN_MESSAGES_MAX; i++) probe.tell(count);
    }
    scheduler.step();
    assert.equal(taken + order.length, SLICE_MESSAGES_MAX);
    assert.equal(scheduler.waiting, 1, "sockets and timers have their turn");
    scheduler.run();
    assert.deepEqual(
      order,
      Array.from({ length: actors }, (_, a) => a),
    );
  });
});
