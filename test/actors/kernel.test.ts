import assert from "node:assert/strict";
import {
  AskError,
  TASKS_MAX,
  type Actor,
  type ActorRef,
  type AskErrorCode,
  type Context,
  type Outcome,
  type Reply,
} from "../../src/actors/actor.ts";
import { RESTART_DELAY_MS_MAX, RESTART_DELAY_MS_MIN, RESTART_FORGIVEN_AFTER_MS } from "../../src/actors/cell.ts";
import { ActorSystem, SLICE_MESSAGES_MAX, TURN_MESSAGES_MAX } from "../../src/actors/system.ts";
import { ManualScheduler, memoryLog, settled, VirtualClock } from "./virtual-time.ts";

type Message =
  | { readonly do: (context: Context<Message>) => void }
  | { readonly note: string }
  | { readonly ended: Outcome<string> }
  | { readonly asked: Reply<string>; readonly answer?: string };

/** An actor that runs what it is handed and remembers what it was told. */
class Probe implements Actor<Message> {
  readonly context: Context<Message>;
  readonly notes: string[];
  readonly onStop: () => void;

  constructor(context: Context<Message>, notes: string[], onStop: () => void) {
    this.context = context;
    this.notes = notes;
    this.onStop = onStop;
  }

  receive(message: Message): void {
    if ("do" in message) message.do(this.context);
    else if ("note" in message) this.notes.push(message.note);
    else if ("ended" in message)
      this.notes.push(message.ended.ok ? message.ended.value : `failed: ${message.ended.error.message}`);
    else if (message.answer !== undefined) message.asked.resolve(message.answer);
  }

  stopped(): void {
    this.onStop();
  }
}

interface Bench {
  readonly clock: VirtualClock;
  readonly scheduler: ManualScheduler;
  readonly log: ReturnType<typeof memoryLog>;
  readonly system: ActorSystem;
  readonly notes: string[];
  created: number;
  spawn(options?: { mailboxMax?: number; name?: string; create?: () => void; stopped?: () => void }): ActorRef<Message>;
}

function bench(): Bench {
  const [clock, scheduler, log] = [new VirtualClock(), new ManualScheduler(), memoryLog()];
  const system = new ActorSystem({ clock, scheduler, log });
  const made: Bench = {
    ...{ clock, scheduler, log, system },
    notes: [],
    created: 0,
    spawn: ({ mailboxMax, name = "probe", create, stopped = () => undefined } = {}) =>
      system.spawn<Message>({
        name,
        ...(mailboxMax !== undefined && { mailboxMax }),
        create: (context) => {
          made.created += 1;
          create?.();
          return new Probe(context, made.notes, stopped);
        },
      }),
  };
  return made;
}

const crash: Message = {
  do: () => {
    throw new Error("planted");
  },
};

async function asksFailWith(code: AskErrorCode, ask: Promise<unknown>): Promise<void> {
  await assert.rejects(ask, (error) => error instanceof AskError && error.code === code && error.message.startsWith("probe: "));
}

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
