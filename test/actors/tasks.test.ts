import assert from "node:assert/strict";
import { TASKS_MAX } from "../../src/actors/actor.ts";
import { RESTART_DELAY_MS_MIN } from "../../src/actors/cell.ts";
import { bench, crash } from "./probe.ts";
import { settled } from "./virtual-time.ts";

describe("actors: tasks and timers", () => {
  it("posts a task's outcome, good or bad, and what is no Error becomes one", async () => {
    const { scheduler, notes, spawn } = bench();
    const probe = spawn();
    probe.tell({
      do: (context) => {
        context.task(
          async () => "good",
          (ended) => ({ ended }),
        );
        context.task(
          () => Promise.reject(new Error("bad")),
          (ended) => ({ ended }),
        );
        context.task(
          () => Promise.reject("a text" as unknown as Error),
          (ended) => ({ ended }),
        );
      },
    });
    scheduler.run();
    await settled();
    scheduler.run();
    assert.deepEqual(notes, ["good", "failed: bad", "failed: a text"]);
  });

  it("aborts tasks and drops timers and outcomes of a generation that crashed", async () => {
    const { clock, scheduler, notes, spawn } = bench();
    const probe = spawn();
    const gate = Promise.withResolvers<string>();
    let signal: AbortSignal | undefined;
    probe.tell({
      do: (context) => {
        context.after(RESTART_DELAY_MS_MIN * 2, { note: "stale timer" });
        context.task(
          (given) => {
            signal = given;
            return gate.promise;
          },
          (ended) => ({ ended }),
        );
      },
    });
    probe.tell(crash);
    scheduler.run();
    assert.equal(signal?.aborted, true);
    clock.advance(RESTART_DELAY_MS_MIN);
    gate.resolve("stale task");
    await settled();
    clock.advance(RESTART_DELAY_MS_MIN * 2);
    probe.tell({ note: "after" });
    scheduler.run();
    assert.deepEqual(notes, ["after"]);
  });

  it("aborts one task when its handle is called, and a cancelled timer never fires", async () => {
    const { clock, scheduler, notes, spawn } = bench();
    const probe = spawn();
    const seen: boolean[] = [];
    probe.tell({
      do: (context) => {
        context.after(5, { note: "cancelled" })();
        const abort = context.task(
          (signal) => new Promise<string>((resolve) => signal.addEventListener("abort", () => resolve("aborted"))),
          (ended) => ({ ended }),
        );
        context.task(
          async (signal) => String(seen.push(signal.aborted)),
          (ended) => ({ ended }),
        );
        abort();
      },
    });
    scheduler.run();
    await settled();
    clock.advance(5);
    scheduler.run();
    assert.deepEqual(notes.toSorted(), ["1", "aborted"]);
    assert.deepEqual(seen, [false]);
  });

  it("aborts tasks and timers on stop", () => {
    const { clock, scheduler, system, spawn } = bench();
    const probe = spawn();
    let signal: AbortSignal | undefined;
    probe.tell({
      do: (context) => {
        context.after(5, { note: "never" });
        context.task(
          (given) => {
            signal = given;
            return new Promise<string>(() => undefined);
          },
          (ended) => ({ ended }),
        );
      },
    });
    scheduler.run();
    system.stop(probe);
    assert.equal(signal?.aborted, true);
    assert.equal(clock.pending, 0);
  });

  it("bounds the tasks of one actor: one more is a fault", () => {
    const { scheduler, log, spawn } = bench();
    const probe = spawn();
    probe.tell({
      do: (context) => {
        for (let i = 0; i <= TASKS_MAX; i++)
          context.task(
            () => new Promise<string>(() => undefined),
            (ended) => ({ ended }),
          );
      },
    });
    scheduler.run();
    assert.match(String(log.lines[0]?.fields["error"]), new RegExp(`more than ${TASKS_MAX} tasks`));
  });
});
