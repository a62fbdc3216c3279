import type { MutationResult } from "../../api.ts";
import type { Clock } from "../../ports/clock.ts";
import { Rate } from "../rate.ts";
import { throttledProblem } from "../refusals.ts";

/** Writes of one agent on the authority of its own key in a minute, and how many of them at once. */
export const OWN_WRITES_PER_MINUTE = 30;
export const OWN_WRITES_BURST = 10;
/** Agents whose rate is remembered; who was quiet for longest is forgotten. */
const AGENTS_MAX = 16_384;

/**
 * The writes that agents make of themselves: each is a commit that the whole federation copies, and keys cost nothing (T25, T56).
 * Only what changed something counts, because only that proves that the agent made it: else a stranger's forged or repeated
 * records would use up the agent's budget.
 */
export class OwnWrites {
  readonly #clock: Clock;
  readonly #rate = new Rate(OWN_WRITES_PER_MINUTE, OWN_WRITES_BURST, AGENTS_MAX);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws ProblemError `too_many_requests` (429), and whatever `write` throws */
  async once(did: string, write: () => Promise<MutationResult>): Promise<MutationResult> {
    const waitMs = this.#rate.waitMs(did, this.#clock.monotonic());
    if (waitMs > 0) throw throttledProblem(`${did} was changed too often by its own key; wait before the next change`, waitMs);
    const result = await write();
    const isChanged = result.outcome !== "refused" && result.outcome !== "unchanged";
    if (isChanged) this.#rate.charge(did, this.#clock.monotonic());
    return result;
  }
}
