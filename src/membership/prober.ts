import { AbortAfter } from "../ports/abort-after.ts";
import { MembershipPart } from "./part.ts";
import { noteRtt, type Member } from "./table.ts";

export const PROBE_MS = 10_000;
export const PROBE_TIMEOUT_MS = 5_000;
/** Probes in a row that fail before the connection is given up. */
const PROBE_FAILURES_MAX = 2;
/** Finds out who is alive and how near: a frozen peer keeps its sockets open, so only an echo tells. */
export class Prober extends MembershipPart {
  tick(): void {
    for (const member of this.members.all()) if (member.connected) this.probe(member);
    this.tasks.later(PROBE_MS, () => this.tick());
  }

  probe(member: Member): void {
    const { network, clock } = this.options;
    this.tasks.task(
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
          noteRtt(member, outcome.value);
          return;
        }
        member.probeFailures += 1;
        if (member.probeFailures < PROBE_FAILURES_MAX) return;
        this.tasks.task(
          () => network.disconnect(member.peerId),
          () => undefined,
        );
      },
    );
  }
}
