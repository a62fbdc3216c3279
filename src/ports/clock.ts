/**
 * Time as the node sees it. The system adapter reads the machine's clock, the simulator owns a virtual one; nothing else in the
 * node may ask what time it is (architecture, rule 2).
 */
export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch, whole. It may jump in either direction. */
  now(): number;
  /** Milliseconds since an arbitrary start, fractional. It never goes back; use it for durations. */
  monotonic(): number;
  /**
   * Calls `fire` once after `delayMs` (≥ 0) and returns what cancels it. Cancelling after it fired does nothing.
   * A pending timer must not keep the process alive.
   */
  after(delayMs: number, fire: () => void): CancelTimer;
}

export type CancelTimer = () => void;
