import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Scheduler } from "../ports/scheduler.ts";
import type { Actor, ActorRef, Context } from "./actor.ts";
import { Cell } from "./cell.ts";

/** Messages an actor may take before others have their turn. */
export const TURN_MESSAGES_MAX = 64;
/** Messages in one slice of the event loop; then sockets and timers have their turn. */
export const SLICE_MESSAGES_MAX = 1_024;
/** A mailbox's bound where its actor names none. */
export const MAILBOX_MESSAGES_MAX = 4_096;

export interface SpawnOptions<M> {
  readonly name: string;
  readonly create: (context: Context<M>) => Actor<M>;
  readonly mailboxMax?: number;
}

/** All actors of one node: spawns them, gives them turns in the order in which they became ready, stops them. */
export class ActorSystem {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #scheduler: Scheduler;
  readonly #cells = new Map<ActorRef<never>, Cell<never>>();
  #ready: Cell<never>[] = [];
  #scheduled = false;
  #stopped = false;

  constructor(ports: { readonly clock: Clock; readonly log: Log; readonly scheduler: Scheduler }) {
    this.#clock = ports.clock;
    this.#log = ports.log;
    this.#scheduler = ports.scheduler;
  }

  spawn<M>(options: SpawnOptions<M>): ActorRef<M> {
    if (this.#stopped) throw new Error("the actor system has stopped");
    const cell = new Cell<M>({
      name: options.name,
      create: options.create,
      mailboxMax: options.mailboxMax ?? MAILBOX_MESSAGES_MAX,
      clock: this.#clock,
      log: this.#log,
      ready: (which) => this.#enqueue(which),
    });
    this.#cells.set(cell as ActorRef<never>, cell as unknown as Cell<never>);
    cell.start();
    return cell;
  }

  /** Stops one actor: its tasks are aborted, those who wait for its answer are told `stopped`. */
  stop<M>(ref: ActorRef<M>): void {
    this.#cells.get(ref as ActorRef<never>)?.stop();
    this.#cells.delete(ref as ActorRef<never>);
  }

  /** Stops all actors, the youngest first. */
  stopAll(): void {
    this.#stopped = true;
    for (const cell of [...this.#cells.values()].reverse()) cell.stop();
    this.#cells.clear();
  }

  #enqueue(cell: Cell<never>): void {
    this.#ready.push(cell);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#scheduler.schedule(() => this.#slice());
  }

  #slice(): void {
    this.#scheduled = false;
    let taken = 0;
    while (this.#ready.length > 0 && taken < SLICE_MESSAGES_MAX) {
      const round = this.#ready;
      this.#ready = [];
      let next = 0;
      while (next < round.length && taken < SLICE_MESSAGES_MAX) {
        taken += (round[next] as Cell<never>).turn(TURN_MESSAGES_MAX);
        next += 1;
      }
      if (next < round.length) this.#ready = [...round.slice(next), ...this.#ready];
    }
    if (this.#ready.length > 0) this.#schedule();
  }
}
