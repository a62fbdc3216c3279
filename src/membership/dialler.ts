import { AbortAfter } from "../ports/abort-after.ts";
import { MembershipPart } from "./part.ts";
import { REDIAL_MS_MAX, REDIAL_MS_MIN, type Member } from "./table.ts";

export const DIAL_TICK_MS = 500;
/** Dials under way at the same time. */
export const DIALS_MAX = 8;
export const DIAL_TIMEOUT_MS = 10_000;

/** Connects to the members that are not: the operator's first, then those that failed least; failures are retried later and later. */
export class Dialler extends MembershipPart {
  /** Dials who is due, as many as there is room for. */
  dial(): void {
    if (!this.options.isListening()) return;
    const nowMs = this.options.clock.monotonic();
    const all = this.members.all();
    let room = Math.min(
      DIALS_MAX - all.filter(({ dialling }) => dialling).length,
      this.options.connectionsMax - all.filter(({ connected }) => connected).length,
    );
    const due = all.filter(
      (member) => !member.connected && !member.dialling && member.dialAtMs <= nowMs && addressesOf(member).length > 0,
    );
    due.sort((a, b) => Number(b.configured) - Number(a.configured) || a.dialFailures - b.dialFailures);
    for (const member of due) {
      if (room <= 0) return;
      room -= 1;
      this.#dial(member);
    }
  }

  /** Somebody who was connected is dialled again soon, not all at the same moment. */
  redial(member: Member): void {
    const { clock, random } = this.options;
    member.dialAtMs = clock.monotonic() + waitMs(member) * random.unit();
  }

  #dial(member: Member): void {
    member.dialling = true;
    const { network, clock, random, log } = this.options;
    const target = { peerId: member.peerId, addresses: addressesOf(member) };
    this.tasks.task(
      async (signal) => {
        using deadline = new AbortAfter(clock, DIAL_TIMEOUT_MS, signal);
        await network.connect(target, { signal: deadline.signal });
      },
      (outcome) => {
        member.dialling = false;
        member.dialAtMs = clock.monotonic() + waitMs(member) * (0.5 + random.unit());
        // Only a hello makes up for it: a peer that takes connections and drops them was not reached.
        member.dialFailures += 1;
        member.dialProblem = outcome.ok ? undefined : { error: outcome.error, atMs: clock.now() };
        if (outcome.ok) return;
        log.debug("a registry could not be reached", { did: member.did, error: outcome.error });
      },
    );
  }
}

function waitMs(member: Member): number {
  return Math.min(REDIAL_MS_MAX, REDIAL_MS_MIN * 2 ** member.dialFailures);
}

/** Where libp2p can dial it. */
export function addressesOf(member: Member): string[] {
  const { peerId } = member;
  const named = [...(member.descriptor?.multiaddrs ?? []), ...member.addresses];
  return [...new Set(named.map((address) => (address.includes("/p2p/") ? address : `${address}/p2p/${peerId}`)))];
}
