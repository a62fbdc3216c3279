import type { Scheduler } from "../../ports/scheduler.ts";

/** Actor turns on the event loop, after the sockets and timers that are due. */
export function systemScheduler(): Scheduler {
  return { schedule: (turn) => void setImmediate(turn) };
}
