/** Where actor turns run: the event loop in production, the event queue of virtual time in the simulator. */
export interface Scheduler {
  /** Runs `turn` once, later, after what is running now; turns run in the order in which they were scheduled. */
  schedule(turn: () => void): void;
}
