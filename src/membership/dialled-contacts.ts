import type { ContactProblem, PeerContact } from "../api.ts";
import type { Clock } from "../ports/clock.ts";
import { NetworkError } from "../ports/network.ts";
import { contactProblem, isPassing } from "./contact-problem.ts";
import { isMet, type Member } from "./table.ts";

/** Why the newest dial of a member failed, and what the operator can do; `undefined` when it did not. */
export function dialProblemOf({ dialProblem }: Member): ContactProblem | undefined {
  if (dialProblem === undefined) return undefined;
  const { error } = dialProblem;
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
    return addresses.map((address) => ({ address, ...common }));
  });
}
