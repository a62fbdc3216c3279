import assert from "node:assert/strict";
import type { Reply } from "../../src/actors/actor.ts";
import { RESTART_DELAY_MS_MIN } from "../../src/actors/cell.ts";
import { asksFailWith, bench, crash } from "./probe.ts";
import { settled } from "./virtual-time.ts";

describe("actors: ask", () => {
  it("resolves with the answer and leaves no timer behind", async () => {
    const { clock, scheduler, spawn } = bench();
    const answer = spawn().ask<string>((asked) => ({ asked, answer: "yes" }), 1_000);
    scheduler.run();
    assert.equal(await answer, "yes");
    assert.equal(clock.pending, 0);
  });

  it("fails at its deadline, and a later answer goes nowhere", async () => {
    const { clock, scheduler, spawn } = bench();
    let late: Reply<string> | undefined;
    const ask = spawn().ask<string>((asked) => ({ do: () => (late = asked) }), 1_000);
    scheduler.run();
    clock.advance(999);
    let failed = false;
    ask.catch(() => (failed = true));
    await settled();
    assert.equal(failed, false);
    clock.advance(1);
    await asksFailWith("timeout", ask);
    late?.resolve("too late");
  });

  it("fails at once when the mailbox is full or the actor has stopped", async () => {
    const { clock, system, spawn } = bench();
    const probe = spawn({ mailboxMax: 1 });
    probe.tell({ note: "fills it" });
    await asksFailWith(
      "mailbox_full",
      probe.ask((asked) => ({ asked }), 1_000),
    );
    system.stop(probe);
    await asksFailWith(
      "stopped",
      probe.ask((asked) => ({ asked }), 1_000),
    );
    assert.equal(probe.tell({ note: "gone" }), false);
    assert.equal(clock.pending, 0);
  });

  it("fails for all who wait when the actor crashes or stops", async () => {
    const { scheduler, system, clock, spawn } = bench();
    const probe = spawn();
    const taken = probe.ask((asked) => ({ asked }), 60_000);
    scheduler.run();
    probe.tell(crash);
    const queued = probe.ask((asked) => ({ asked }), 60_000);
    scheduler.run();
    await asksFailWith("crashed", taken);
    await asksFailWith("crashed", queued);
    clock.advance(RESTART_DELAY_MS_MIN);
    const open = probe.ask((asked) => ({ asked }), 60_000);
    scheduler.run();
    system.stop(probe);
    await asksFailWith("stopped", open);
  });
});
