import type { CancelTimer, Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import { AskError, TASKS_MAX, type Actor, type ActorRef, type Context, type Outcome, type Reply } from "./actor.ts";
import { Mailbox } from "./mailbox.ts";

/** After a crash an actor waits this long before it is made anew, doubled with each crash up to the bound. */
export const RESTART_DELAY_MS_MIN = 50;
export const RESTART_DELAY_MS_MAX = 30_000;
/** Crashes further apart than this start the back-off over. */
export const RESTART_FORGIVEN_AFTER_MS = 60_000;

export interface CellOptions<M> {
  readonly name: string;
  readonly mailboxMax: number;
  readonly create: (context: Context<M>) => Actor<M>;
  readonly clock: Clock;
  readonly log: Log;
  /** Called when the cell has messages to work on. */
  readonly ready: (cell: Cell<never>) => void;
}

/** One actor with its mailbox, tasks, timers and restarts. The system gives it turns; others see it as an `ActorRef`. */
export class Cell<M> implements ActorRef<M> {
  readonly name: string;
  readonly #options: CellOptions<M>;
  readonly #mailbox: Mailbox<M>;
  readonly #asks = new Set<(code: "crashed" | "stopped") => void>();
  #generation = 0;
  #scope = new Scope();
  #actor: Actor<M> | undefined;
  #state: "running" | "restarting" | "stopped" = "running";
  #queued = false;
  #crashes = 0;
  #crashedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: CellOptions<M>) {
    this.name = options.name;
    this.#options = options;
    this.#mailbox = new Mailbox<M>(options.mailboxMax);
  }

  /** Makes the actor. A throw here counts as a crash. */
  start(): void {
    this.#guard(() => {
      this.#actor = this.#options.create(this.#context(this.#generation));
    });
  }

  tell(message: M): boolean {
    if (this.#state === "stopped" || !this.#mailbox.push(message)) return false;
    this.#wake();
    return true;
  }

  ask<R>(make: (reply: Reply<R>) => M, timeoutMs: number): Promise<R> {
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    const settle = (): void => {
      cancel();
      this.#asks.delete(abandon);
    };
    const abandon = (code: "crashed" | "stopped" | "timeout" | "mailbox_full"): void => {
      settle();
      reject(new AskError(code, this.name));
    };
    const cancel = this.#options.clock.after(timeoutMs, () => abandon("timeout"));
    this.#asks.add(abandon);
    const reply: Reply<R> = {
      resolve: (value) => {
        settle();
        resolve(value);
      },
      reject: (error) => {
        settle();
        reject(error);
      },
    };
    if (this.#state === "stopped") abandon("stopped");
    else if (!this.tell(make(reply))) abandon("mailbox_full");
    return promise;
  }

  /** Works on up to `messagesMax` messages and says how many it took. */
  turn(messagesMax: number): number {
    this.#queued = false;
    let taken = 0;
    while (taken < messagesMax && this.#state === "running" && this.#mailbox.size > 0) {
      const message = this.#mailbox.shift() as M;
      taken += 1;
      this.#guard(() => this.#actor?.receive(message));
    }
    if (this.#mailbox.size > 0) this.#wake();
    return taken;
  }

  stop(): void {
    if (this.#state === "stopped") return;
    this.#state = "stopped";
    this.#generation += 1;
    this.#scope.end();
    this.#mailbox.clear();
    this.#abandonAsks("stopped");
    try {
      this.#actor?.stopped?.();
    } catch (error) {
      // It is over either way; the others still have to be stopped.
      this.#options.log.error("an actor failed while it stopped", { actor: this.name, error });
    }
    this.#actor = undefined;
  }

  #wake(): void {
    if (this.#queued || this.#state !== "running") return;
    this.#queued = true;
    this.#options.ready(this as unknown as Cell<never>);
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#crash(error);
    }
  }

  #crash(error: unknown): void {
    const { clock, log } = this.#options;
    if (this.#state === "stopped") {
      // It stopped itself and failed afterwards: it must not come back.
      log.error("an actor failed while it stopped", { actor: this.name, error });
      return;
    }
    if (clock.monotonic() - this.#crashedAtMs > RESTART_FORGIVEN_AFTER_MS) this.#crashes = 0;
    this.#crashedAtMs = clock.monotonic();
    const delayMs = Math.min(RESTART_DELAY_MS_MAX, RESTART_DELAY_MS_MIN * 2 ** this.#crashes);
    this.#crashes += 1;
    this.#state = "restarting";
    this.#generation += 1;
    this.#scope.end();
    this.#scope = new Scope();
    this.#actor = undefined;
    this.#abandonAsks("crashed");
    log.error("actor crashed and is being restarted", { actor: this.name, error, delayMs });
    this.#scope.timers.add(
      clock.after(delayMs, () => {
        this.#state = "running";
        this.start();
        if (this.#mailbox.size > 0) this.#wake();
      }),
    );
  }

  // Those still waiting in the mailbox are abandoned too: whoever asked asks again, and the reply of a late answer goes nowhere.
  #abandonAsks(code: "crashed" | "stopped"): void {
    for (const abandon of [...this.#asks]) abandon(code);
  }

  #post(generation: number, message: M): void {
    if (generation !== this.#generation || this.#state === "stopped") return;
    this.#mailbox.force(message);
    this.#wake();
  }

  #context(generation: number): Context<M> {
    const scope = this.#scope;
    return {
      self: this,
      after: (delayMs, message) => {
        const cancel = this.#options.clock.after(delayMs, () => {
          scope.timers.delete(cancel);
          this.#post(generation, message);
        });
        scope.timers.add(cancel);
        return () => {
          scope.timers.delete(cancel);
          cancel();
        };
      },
      task: (run, done) => {
        if (scope.tasks.size >= TASKS_MAX) throw new Error(`${this.name}: more than ${TASKS_MAX} tasks`);
        const controller = new AbortController();
        scope.tasks.add(controller);
        const end = <T>(outcome: Outcome<T>, message: (outcome: Outcome<T>) => M): void => {
          scope.tasks.delete(controller);
          if (generation === this.#generation) this.#post(generation, message(outcome));
        };
        run(controller.signal).then(
          (value) => end({ ok: true, value }, done),
          (error: unknown) => end({ ok: false, error: error instanceof Error ? error : new Error(String(error)) }, done),
        );
        return () => controller.abort();
      },
    };
  }
}

/** The tasks and timers of one generation of an actor. */
class Scope {
  readonly timers = new Set<CancelTimer>();
  readonly tasks = new Set<AbortController>();

  end(): void {
    for (const cancel of this.timers) cancel();
    for (const task of this.tasks) task.abort();
    this.timers.clear();
    this.tasks.clear();
  }
}
