import { AbortAfter } from "../ports/abort-after.ts";
import { NetworkError, type DialTarget } from "../ports/network.ts";
import { MembershipPart } from "./part.ts";
import { REDIAL_MS_MAX, REDIAL_MS_MIN, type Member } from "./table.ts";

export const DIAL_TICK_MS = 500;
/** Dials under way at the same time: of members that the operator named, and as many of the others, who keep those not waiting. */
export const DIALS_MAX = 8;
export const DIAL_TIMEOUT_MS = 10_000;

/** Connects to the members that are not: the operator's first, then those that failed least; failures are retried later and later. */
export class Dialler extends MembershipPart {
  #isForbiddenSaid = false;

  /** Dials who is due, as many as there is room for. */
  dial(): void {
    if (!this.options.isListening()) return;
    const nowMs = this.options.clock.monotonic();
    const all = this.members.all();
    let room = this.options.connectionsMax - all.filter(({ connected }) => connected).length;
    const under = (configured: boolean): number => all.filter((one) => one.dialling && one.configured === configured).length;
    const lanes = { named: DIALS_MAX - under(true), others: DIALS_MAX - under(false) };
    const due = all.filter(
      (member) => !member.connected && !member.dialling && member.dialAtMs <= nowMs && addressesOf(member).length > 0,
    );
    this.#retry(
      all.filter(({ connected, dialling }) => connected && !dialling),
      lanes.named,
    );
    due.sort((a, b) => Number(b.configured) - Number(a.configured) || a.dialFailures - b.dialFailures);
    for (const member of due) {
      const lane = member.configured ? "named" : "others";
      if (room <= 0) return;
      if (lanes[lane] <= 0) continue;
      lanes[lane] -= 1;
      room -= 1;
      this.#dial(member);
    }
  }

  /** Tries the addresses of connected members again that led nowhere, one of each member at a time. */
  #retry(connected: readonly Member[], lanes: number): void {
    const nowMs = this.options.clock.monotonic();
    const due = connected.flatMap((member) => {
      const found = [...member.failedTrials].find(([, { dueMs }]) => dueMs <= nowMs);
      return found === undefined ? [] : [{ member, address: found[0] }];
    });
    for (const { member, address } of due.slice(0, lanes)) this.tryAddress(member, address, DIAL_TIMEOUT_MS, () => undefined);
  }

  /**
   * Dials this address of the member alone, also while it is connected by another, and tells what came of it; `undefined` says
   * that the member is there.
   */
  tryAddress(member: Member, address: string, timeoutMs: number, done: (error: Error | undefined) => void): void {
    const { network, clock } = this.options;
    const wasDialling = member.dialling;
    member.dialling = true;
    this.tasks.task(
      async (signal) => {
        using deadline = new AbortAfter(clock, timeoutMs, signal);
        const target = { peerId: member.peerId, addresses: [address], whileConnected: true };
        await network.connect(target, { signal: deadline.signal });
      },
      (outcome) => {
        // A dial of all its addresses may have been under way, and says itself when it is over.
        if (!wasDialling) member.dialling = false;
        member.failedTrials.delete(address);
        if (!outcome.ok) {
          const { error } = outcome;
          const atMs = clock.now();
          member.failedTrials.set(address, { error, atMs, dueMs: clock.monotonic() + REDIAL_MS_MAX });
          if (!member.connected) member.dialProblem = { error, atMs };
        }
        done(outcome.ok ? undefined : outcome.error);
      },
    );
  }

  /** Somebody who was connected is dialled again soon, not all at the same moment. */
  redial(member: Member): void {
    const { clock, random } = this.options;
    member.dialAtMs = clock.monotonic() + waitMs(member) * random.unit();
  }

  /** Said once: whoever is in one network with others wants to know, and strangers must not fill the log. */
  #forbidden({ did }: Member, { message }: NetworkError): void {
    if (this.#isForbiddenSaid) return;
    this.#isForbiddenSaid = true;
    const fix =
      "in a federation inside one network set FEDERATION_ALLOW_PRIVATE_ADDRESSES=true, or name it with `registry peer add`";
    this.options.log.info("a registry is at a private address and is not dialled", { did, reason: message, fix });
  }

  #dial(member: Member): void {
    member.dialling = true;
    const { network, clock, random, log } = this.options;
    const target = targetOf(member);
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
        const { error } = outcome;
        log.debug("a registry could not be reached", { did: member.did, error });
        if (error instanceof NetworkError && error.code === "forbidden_address") this.#forbidden(member, error);
      },
    );
  }
}

function waitMs(member: Member): number {
  return Math.min(REDIAL_MS_MAX, REDIAL_MS_MIN * 2 ** member.dialFailures);
}

/** Where libp2p can dial it. */
export function addressesOf(member: Member): string[] {
  const { addresses, said } = targetOf(member);
  return [...said, ...addresses];
}

/** What the operator named is told from what a registry says of itself, which strangers do, too. */
function targetOf({ peerId, addresses, descriptor, configured }: Member): Required<Omit<DialTarget, "whileConnected">> {
  const withPeer = (texts: readonly string[]): string[] => [
    ...new Set(texts.map((address) => (address.includes("/p2p/") ? address : `${address}/p2p/${peerId}`))),
  ];
  const named = withPeer(addresses);
  const said = withPeer(descriptor?.multiaddrs ?? []).filter((address) => !named.includes(address));
  return { peerId, addresses: named, said, trusted: configured };
}
