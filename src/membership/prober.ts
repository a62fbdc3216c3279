import { AbortAfter } from "../ports/abort-after.ts";
import type { MembershipOptions } from "./options.ts";
import type { Member, MemberTable } from "./table.ts";
import type { Tasks } from "./tasks.ts";

export const PROBE_MS = 10_000;
export const PROBE_TIMEOUT_MS = 5_000;
/** Probes in a row that fail before the connection is given up. */
const PROBE_FAILURES_MAX = 2;
/** Weight of the newest round trip in the running mean. */
const RTT_WEIGHT = 0.3;

/** Finds out who is alive and how near: a frozen peer keeps its sockets open, so only an echo tells. */
export class Prober {
  readonly #options: MembershipOptions;
  readonly #tasks: Tasks;
  readonly #members: MemberTable;

  constructor(options: MembershipOptions, tasks: Tasks, members: MemberTable) {
    this.#options = options;
    this.#tasks = tasks;
    this.#members = members;
  }

  tick(): void {
    for (const member of this.#members.all()) if (member.connected) this.probe(member);
    this.#tasks.later(PROBE_MS, () => this.tick());
  }

  probe(member: Member): void {
    const { network, clock } = this.#options;
    this.#tasks.task(
      async (signal) => {
        using deadline = new AbortAfter(clock, PROBE_TIMEOUT_MS, signal);
        // Awaited here: the deadline ends with this block.
        return await network.ping(member.peerId, { signal: deadline.signal });
      },
      (outcome) => {
        if (!member.connected) return;
        if (outcome.ok) {
          member.probeFailures = 0;
          member.seenAtMs = clock.monotonic();
          member.rttMs = member.rttMs === null ? outcome.value : member.rttMs * (1 - RTT_WEIGHT) + outcome.value * RTT_WEIGHT;
          return;
        }
        member.probeFailures += 1;
        if (member.probeFailures < PROBE_FAILURES_MAX) return;
        this.#tasks.task(
          () => network.disconnect(member.peerId),
          () => undefined,
        );
      },
    );
  }
}
