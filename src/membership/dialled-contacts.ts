import type { ContactProblem, PeerContact } from "../api.ts";
import type { Clock } from "../ports/clock.ts";
import { NetworkError } from "../ports/network.ts";
import { contactProblem, isPassing } from "./contact-problem.ts";
import { isMet, type FailedTrial, type Member } from "./table.ts";

/** Why the newest dial of a member failed, and what the operator can do; `undefined` when it did not. */
export function dialProblemOf({ dialProblem }: Member): ContactProblem | undefined {
  return dialProblem === undefined ? undefined : problemOfDial(dialProblem.error);
}

/** Why a dial failed, and what the operator can do. */
export function problemOfDial(error: Error): ContactProblem {
  const code = error instanceof NetworkError ? error.code : undefined;
  if (code === "wrong_peer")
    return contactProblem("wrong_pin", error.message, "correct the peer id, or find out who answers there");
  if (code === "refused")
    return contactProblem(
      "throttled",
      error.message,
      "see whether that registry removed this one (`registry peer list` there), or has all the connections it takes",
    );
  const fix = "check its address and port, that it runs, and that no firewall stands between";
  return contactProblem(code === "timeout" ? "timeout" : "unreachable", error.message, fix);
}

/** What came of every multiaddr that the operator named. */
export function dialledContacts(members: readonly Member[], clock: Clock): PeerContact[] {
  return members.flatMap((member) => {
    const { did, addresses, dialProblem, dialling, dialAtMs } = member;
    const met = isMet(member);
    const problem = met ? undefined : dialProblemOf(member);
    const state = met ? "met" : problem === undefined ? "waiting" : isPassing(problem) ? "unreachable" : "refused";
    const nextMs = clock.now() + Math.max(0, dialAtMs - clock.monotonic());
    const common = {
      ...({ pin: did, did, state, problem: problem ?? null } as const),
      lastAttempt: dialProblem === undefined ? null : new Date(dialProblem.atMs).toISOString(),
      nextAttempt: met || dialling ? null : new Date(nextMs).toISOString(),
    };
    return addresses.map((address) => {
      const trial = met ? member.failedTrials.get(address) : undefined;
      return trial === undefined ? { address, ...common } : { address, ...common, ...strayed(trial, clock) };
    });
  });
}

/** A registry that is met by another way was not found at this address. */
function strayed({ error, atMs, dueMs }: FailedTrial, clock: Clock): Omit<PeerContact, "address" | "pin" | "did"> {
  const problem = problemOfDial(error);
  return {
    ...{ state: isPassing(problem) ? "unreachable" : "refused", problem, lastAttempt: new Date(atMs).toISOString() },
    nextAttempt: new Date(clock.now() + Math.max(0, dueMs - clock.monotonic())).toISOString(),
  };
}
