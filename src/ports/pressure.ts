/** How close this process is to its limits. */
export interface Pressure {
  /** The worst of event-loop delay, CPU and queues, each as a share of its limit; above 1 is too much. Read it once a second. */
  current(): number;
}
