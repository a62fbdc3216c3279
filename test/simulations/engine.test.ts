import assert from "node:assert/strict";
import { START_UNIX_MS, VirtualClock, WallClock } from "../../simulations/engine/clock.ts";
import { Power } from "../../simulations/engine/power.ts";
import { EventQueue } from "../../simulations/engine/queue.ts";
import { SeededRandom } from "../../simulations/engine/random.ts";
import { VirtualScheduler } from "../../simulations/engine/scheduler.ts";
import { Simulation, SimulationError } from "../../simulations/engine/simulation.ts";

const LIMIT_MS = 1_000_000;

describe("simulations/engine: random", () => {
  it("gives the same draws for the same name and other draws for another", () => {
    const draws = (name: string): number[] => {
      const random = new SeededRandom(name);
      return [random.next(), random.next(), random.unit(), random.integer(1, 6)];
    };
    assert.deepEqual(draws("7"), draws("7"));
    assert.notDeepEqual(draws("7"), draws("8"));
  });

  it("forks streams that further draws elsewhere do not change", () => {
    const quiet = new SeededRandom("7");
    const busy = new SeededRandom("7");
    for (let i = 0; i < 100; i++) busy.next();
    assert.equal(quiet.fork("network").next(), busy.fork("network").next());
    assert.notEqual(quiet.fork("network").next(), quiet.fork("disk").next());
  });

  it("draws evenly enough", () => {
    const random = new SeededRandom("even");
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 100_000; i++) counts[Math.floor(random.unit() * 10)]!++;
    // Chi-squared with 9 degrees of freedom: above 27.9 once in a thousand seeds.
    const chi = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0);
    assert.ok(chi < 27.9, `chi-squared ${chi}`);
    const sorted = random.shuffle([1, 2, 3, 4, 5]).sort((a, b) => a - b);
    assert.deepEqual(sorted, [1, 2, 3, 4, 5]);
  });
});

describe("simulations/engine: queue", () => {
  it("orders by time, then by scheduling, and skips what was cancelled", () => {
    const random = new SeededRandom("queue");
    const queue = new EventQueue();
    const events = Array.from({ length: 2_000 }, (_, sequence) => ({
      atMs: random.integer(0, 50),
      sequence,
      fire: random.chance(0.2) ? undefined : () => undefined,
    }));
    for (const event of events) queue.push(event);
    const wanted = events.filter((event) => event.fire !== undefined).sort((a, b) => a.atMs - b.atMs || a.sequence - b.sequence);
    const popped = [];
    for (let event = queue.pop(); event !== undefined; event = queue.pop()) popped.push(event);
    assert.deepEqual(popped, wanted);
    assert.equal(queue.size, 0);
  });
});

describe("simulations/engine: virtual time", () => {
  it("passes hours in no time, and drains every microtask between two events", async () => {
    const simulation = new Simulation({ seed: "1" });
    const order: string[] = [];
    await simulation.run(async () => {
      simulation.after(3_600_000, () => {
        void (async () => {
          for (let i = 0; i < 50; i++) await Promise.resolve();
          order.push("microtasks of the first");
        })();
        process.nextTick(() => order.push("next tick of the first"));
      });
      simulation.after(3_600_000, () => order.push("second"));
      await simulation.sleep(7_200_000);
    }, 8_000_000);
    assert.equal(simulation.nowMs, 7_200_000);
    assert.deepEqual(order.slice().sort(), ["microtasks of the first", "next tick of the first", "second"]);
    assert.equal(order.at(-1), "second");
  });

  it("says when nothing can happen any more, when it takes too long, and when an event throws", async () => {
    const fails = (script: (simulation: Simulation) => Promise<unknown>, code: string): Promise<void> => {
      const simulation = new Simulation({ seed: "1" });
      return assert.rejects(
        simulation.run(() => script(simulation), 1_000),
        (error: Error) => (error instanceof SimulationError ? error.code === code : error.message === code),
      );
    };
    await fails(() => new Promise(() => undefined), "deadlock");
    await fails((simulation) => simulation.sleep(1_001), "too_long");
    await fails((simulation) => {
      simulation.after(1, () => {
        throw new Error("planted");
      });
      return simulation.sleep(10);
    }, "planted");
  });

  it("gives up waiting at the limit and not before", async () => {
    const simulation = new Simulation({ seed: "1" });
    const [late, early] = await simulation.run(
      () =>
        Promise.all([
          simulation.within(simulation.sleep(20), 10),
          simulation.within(
            simulation.sleep(5).then(() => 1),
            10,
          ),
        ]),
      LIMIT_MS,
    );
    assert.deepEqual([late, early], [undefined, 1]);
  });
});

describe("simulations/engine: clock and scheduler of one process", () => {
  it("T47 keeps a wrong wall clock wrong, lets it jump, and never lets durations go back", async () => {
    const simulation = new Simulation({ seed: "1" });
    const wall = new WallClock(simulation, -500);
    const clock = new VirtualClock(simulation, wall, new Power("n0#1"));
    const seen: number[] = [];
    await simulation.run(async () => {
      await new Promise<void>((resolve) => void clock.after(100.5, resolve));
      seen.push(clock.now() - START_UNIX_MS, clock.monotonic());
      wall.set(-600_000);
      seen.push(clock.now() - START_UNIX_MS, clock.monotonic());
    }, LIMIT_MS);
    assert.deepEqual(seen, [-400, 100.5, -599_900, 100.5]);
  });

  it("T44 nothing of a process happens after its power went off", async () => {
    const simulation = new Simulation({ seed: "1" });
    const power = new Power("n0#1");
    const clock = new VirtualClock(simulation, new WallClock(simulation, 0), power);
    const scheduler = new VirtualScheduler(simulation, power, simulation.random.fork("turns"));
    const happened: string[] = [];
    const never = power.gate(simulation.sleep(20));
    void never.then(() => happened.push("gate"));
    await simulation.run(async () => {
      clock.after(5, () => happened.push("before"));
      clock.after(20, () => happened.push("timer"));
      const cancel = clock.after(20, () => happened.push("cancelled"));
      cancel();
      cancel();
      assert.equal(power.pendingTimers, 2);
      await simulation.sleep(10);
      scheduler.schedule(() => happened.push("turn"));
      power.off();
      await simulation.sleep(30);
    }, LIMIT_MS);
    assert.deepEqual(happened, ["before"]);
    assert.deepEqual([power.pendingTimers, power.pendingTurns], [0, 0]);
  });

  it("answers what outlives a process with nothing, at once, and keeps no answer that was given", async () => {
    const simulation = new Simulation({ seed: "1" });
    const power = new Power("n0#1");
    const [answered, never] = [power.whileOn(Promise.resolve("answer")), power.whileOn(new Promise<string>(() => undefined))];
    await assert.rejects(power.whileOn(Promise.reject(new Error("planted"))), /planted/);
    const clock = new VirtualClock(simulation, new WallClock(simulation, 0), power);
    clock.after(86_400_000, () => undefined);
    power.off();
    assert.deepEqual([await answered, await never], ["answer", undefined]);
    assert.equal(await power.whileOn(Promise.resolve("late")), undefined);
    // Not even its timers keep the dead process in memory until they are due.
    await assert.rejects(
      simulation.run(() => new Promise(() => undefined), LIMIT_MS),
      { code: "deadlock" },
    );
  });

  it("runs turns in the order in which they were scheduled", async () => {
    const simulation = new Simulation({ seed: "1" });
    const scheduler = new VirtualScheduler(simulation, new Power("n0#1"), simulation.random.fork("turns"));
    const order: number[] = [];
    await simulation.run(async () => {
      for (let i = 0; i < 100; i++) scheduler.schedule(() => order.push(i));
      await simulation.sleep(10);
    }, LIMIT_MS);
    assert.deepEqual(
      order,
      Array.from({ length: 100 }, (_, i) => i),
    );
  });
});
