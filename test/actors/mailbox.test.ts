import assert from "node:assert/strict";
import { TURN_MESSAGES_MAX } from "../../src/actors/system.ts";
import { bench } from "./probe.ts";
import { settled } from "./virtual-time.ts";

describe("actors: mailbox", () => {
  it("takes messages in order, across turns and growth of its ring", () => {
    const { scheduler, notes, spawn } = bench();
    const probe = spawn();
    const sent = Array.from({ length: TURN_MESSAGES_MAX * 5 + 3 }, (_, i) => String(i));
    for (const note of sent.slice(0, 20)) probe.tell({ note });
    scheduler.step();
    for (const note of sent.slice(20)) probe.tell({ note });
    scheduler.run();
    assert.deepEqual(notes, sent);
  });

  it("says that it is full, and takes more once a turn has passed", () => {
    const { scheduler, notes, spawn } = bench();
    const probe = spawn({ mailboxMax: 3 });
    const taken = ["a", "b", "c", "d"].map((note) => probe.tell({ note }));
    assert.deepEqual(taken, [true, true, true, false]);
    scheduler.run();
    assert.equal(probe.tell({ note: "e" }), true);
    scheduler.run();
    assert.deepEqual(notes, ["a", "b", "c", "e"]);
  });

  it("takes outcomes of the actor's own timers and tasks even when full", async () => {
    const { clock, scheduler, notes, spawn } = bench();
    const probe = spawn({ mailboxMax: 1 });
    probe.tell({
      do: (context) => {
        context.after(10, { note: "timer" });
        context.task(
          async () => "task",
          (ended) => ({ ended }),
        );
      },
    });
    scheduler.run();
    assert.equal(probe.tell({ note: "fills it" }), true);
    clock.advance(10);
    await settled();
    assert.equal(probe.tell({ note: "one too many" }), false);
    scheduler.run();
    assert.deepEqual(notes, ["fills it", "timer", "task"]);
  });

  it("gives a message to no actor while another one is inside receive", () => {
    const { scheduler, notes, spawn } = bench();
    const probe = spawn();
    probe.tell({
      do: ({ self }) => {
        self.tell({ note: "told from inside" });
        notes.push("still inside");
      },
    });
    scheduler.run();
    assert.deepEqual(notes, ["still inside", "told from inside"]);
  });
});
