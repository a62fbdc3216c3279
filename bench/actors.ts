import { pinoLog } from "../src/adapters/system/log.ts";
import { systemClock } from "../src/adapters/system/clock.ts";
import { systemScheduler } from "../src/adapters/system/scheduler.ts";
import type { ActorRef, Reply } from "../src/actors/actor.ts";
import { ActorSystem } from "../src/actors/system.ts";

/** Messages a second through the actor kernel on the real event loop: `node bench/actors.ts [--json]`. */
const TELLS = 4_000_000;
const ASKS = 200_000;
/** Messages on their way between two actors at a time, and questions open at a time. */
const TELLS_IN_FLIGHT = 1_024;
const ASKS_IN_FLIGHT = 64;
const ASK_TIMEOUT_MS = 10_000;
const ROUNDS = 3;

const system = new ActorSystem({ clock: systemClock(), scheduler: systemScheduler(), log: pinoLog({ level: "error" }) });

/** Two actors hand the same messages to and fro. */
function tells(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const start = performance.now();
  let left = TELLS;
  const peers: ActorRef<number>[] = [];
  for (const other of [1, 0]) {
    const create = (): { receive(message: number): void } => ({
      receive: (message) => {
        left -= 1;
        if (left === 0) resolve(performance.now() - start);
        if (left >= TELLS_IN_FLIGHT) (peers[other] as ActorRef<number>).tell(message + 1);
      },
    });
    peers.push(system.spawn<number>({ name: `teller ${other}`, create }));
  }
  for (let i = 0; i < TELLS_IN_FLIGHT; i++) (peers[0] as ActorRef<number>).tell(0);
  return promise;
}

/** Round trips: question, answer, and the promise that carries it. */
async function asks(inFlight: number, count: number): Promise<number> {
  const create = (): { receive(message: Reply<number>): void } => ({ receive: (reply) => reply.resolve(1) });
  const actor = system.spawn<Reply<number>>({ name: "answerer", create });
  const start = performance.now();
  const asker = async (): Promise<void> => {
    for (let i = 0; i < count / inFlight; i++) await actor.ask<number>((reply) => reply, ASK_TIMEOUT_MS);
  };
  await Promise.all(Array.from({ length: inFlight }, asker));
  const elapsedMs = performance.now() - start;
  system.stop(actor);
  return elapsedMs;
}

async function fastest(run: () => Promise<number>, count: number): Promise<number> {
  let bestMs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) bestMs = Math.min(bestMs, await run());
  return Math.round((count / bestMs) * 1_000);
}

const results = [
  { name: "tell, between two actors", perSecond: await fastest(tells, TELLS) },
  { name: `ask, ${ASKS_IN_FLIGHT} at a time`, perSecond: await fastest(() => asks(ASKS_IN_FLIGHT, ASKS), ASKS) },
  { name: "ask, one after another", perSecond: await fastest(() => asks(1, ASKS / 10), ASKS / 10) },
];
system.stopAll();
if (process.argv.includes("--json")) console.log(JSON.stringify({ tells: TELLS, asks: ASKS, results }));
else console.table(results);
