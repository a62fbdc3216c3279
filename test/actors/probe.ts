import assert from "node:assert/strict";
import {
  AskError,
  type Actor,
  type ActorRef,
  type AskErrorCode,
  type Context,
  type Outcome,
  type Reply,
} from "../../src/actors/actor.ts";
import { ActorSystem } from "../../src/actors/system.ts";
import { ManualScheduler, memoryLog, VirtualClock } from "./virtual-time.ts";

/** What a probe may be told. */
export type Message =
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

export interface Bench {
  readonly clock: VirtualClock;
  readonly scheduler: ManualScheduler;
  readonly log: ReturnType<typeof memoryLog>;
  readonly system: ActorSystem;
  readonly notes: string[];
  created: number;
  spawn(options?: { mailboxMax?: number; name?: string; create?: () => void; stopped?: () => void }): ActorRef<Message>;
}

/** An actor system on virtual time, and probes on demand. */
export function bench(): Bench {
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

/** Makes a probe throw. */
export const crash: Message = {
  do: () => {
    throw new Error("planted");
  },
};

export async function asksFailWith(code: AskErrorCode, ask: Promise<unknown>): Promise<void> {
  await assert.rejects(ask, (error) => error instanceof AskError && error.code === code && error.message.startsWith("probe: "));
}
