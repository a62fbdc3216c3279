import assert from "node:assert/strict";
import { RESTART_DELAY_MS_MAX, RESTART_DELAY_MS_MIN, RESTART_FORGIVEN_AFTER_MS } from "../../src/actors/cell.ts";
import { bench, crash } from "./probe.ts";

describe("actors: supervision", () => {
  it("makes a crashed actor anew after a back-off that doubles up to its bound, and keeps its mailbox", () => {
    const made = bench();
    const { clock, scheduler, notes, log, spawn } = made;
    const probe = spawn();
    probe.tell(crash);
    probe.tell({ note: "waited" });
    const delays: number[] = [];
    for (let i = 0; i < 12; i++) {
      scheduler.run();
      delays.push(log.lines.at(-1)?.fields["delayMs"] as number);
      assert.equal(made.created, i + 1);
      clock.advance((delays[i] as number) - 1);
      assert.equal(made.created, i + 1, "not before its time");
      clock.advance(1);
      assert.equal(made.created, i + 2);
      if (i === 0) scheduler.run();
      probe.tell(crash);
    }
    const doubled = delays.map((_, i) => Math.min(RESTART_DELAY_MS_MAX, RESTART_DELAY_MS_MIN * 2 ** i));
    assert.deepEqual(delays, doubled);
    assert.deepEqual(notes, ["waited"]);
    scheduler.run();
    clock.advance(RESTART_DELAY_MS_MAX + RESTART_FORGIVEN_AFTER_MS);
    probe.tell(crash);
    scheduler.run();
    assert.equal(log.lines.at(-1)?.fields["delayMs"], RESTART_DELAY_MS_MIN, "old crashes are forgiven");
  });

  it("backs off as well when the actor cannot be made", () => {
    const made = bench();
    const { clock, scheduler, notes, spawn } = made;
    const probe = spawn({
      create: () => {
        if (made.created < 3) throw new Error("not yet");
      },
    });
    probe.tell({ note: "in the end" });
    scheduler.run();
    clock.advance(RESTART_DELAY_MS_MIN);
    clock.advance(RESTART_DELAY_MS_MIN * 2);
    scheduler.run();
    assert.equal(made.created, 3);
    assert.deepEqual(notes, ["in the end"]);
  });

  it("leaves an actor stopped that fails after it stopped itself", () => {
    const made = bench();
    const { clock, scheduler, system, log, spawn } = made;
    const probe = spawn();
    probe.tell({
      do: ({ self }) => {
        system.stop(self);
        throw new Error("planted");
      },
    });
    scheduler.run();
    clock.advance(RESTART_DELAY_MS_MAX);
    assert.equal(made.created, 1);
    assert.equal(probe.tell({ note: "no" }), false);
    assert.equal(log.lines.length, 1);
  });

  it("does not restart an actor that is stopped during its back-off", () => {
    const made = bench();
    const { clock, scheduler, system, spawn } = made;
    const probe = spawn();
    probe.tell(crash);
    scheduler.run();
    system.stop(probe);
    clock.advance(RESTART_DELAY_MS_MAX);
    assert.equal(made.created, 1);
  });

  it("stops all, the youngest first, whatever one of them does", () => {
    const { system, spawn } = bench();
    const order: string[] = [];
    for (const name of ["first", "second", "third"]) {
      spawn({
        name,
        stopped: () => {
          order.push(name);
          if (name === "second") throw new Error("planted");
        },
      });
    }
    system.stopAll();
    assert.deepEqual(order, ["third", "second", "first"]);
    assert.throws(() => spawn(), /has stopped/);
  });
});
