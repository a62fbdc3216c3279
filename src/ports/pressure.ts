/** How close this process is to its limits. */
export interface Pressure {
  /** The worst of event-loop delay, CPU and queues, each as a share of its limit; above 1 is too much. Read it once a second. */
  current(): number;
  /**
   * Event-loop delay alone, as far as this process causes it, as a share of its limit: answers are late. A process that only
   * works hard, as in an import, still answers in time, so that nobody needs to be sent away; nor does it help to send anybody
   * away while other processes have the CPU.
   */
  eventLoop(): number;
}
