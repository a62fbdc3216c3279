import type { SeededRandom } from "../engine/random.ts";
import { drawFaults, type FaultFamily, type FaultPlan } from "../faults/plan.ts";
import { drawWorkload, type WorkloadPlan } from "../federation/workload.ts";

/** A kind of run. What differs between its seeds is drawn into a `RunPlan`. */
export interface Scenario {
  readonly name: string;
  /** One sentence for the help. */
  readonly summary: string;
  readonly families: readonly FaultFamily[];
  /** Length of the phase with faults, in milliseconds of virtual time: from, to. */
  readonly safetyMs: readonly [number, number];
  /** Share of the machines that join while faults are at work. */
  readonly joinShare: number;
  /** Whether one more machine joins after all is healed. */
  readonly lateJoiner: boolean;
}

/** Everything about a run that is not code: plain data, a function of scenario, number of nodes and seed. */
export interface RunPlan {
  readonly scenario: string;
  readonly nodes: number;
  readonly seed: number;
  readonly safetyMs: number;
  /** After the faults end, all must have converged within this time. */
  readonly livenessMs: number;
  /** Machines that join during the first phase. */
  readonly joiners: number;
  readonly lateJoiner: boolean;
  readonly workload: WorkloadPlan;
  readonly faults: FaultPlan;
}

/**
 * Virtual time in which a healed federation must converge, in milliseconds: news that was lost is announced again within 36 s, a
 * session that hangs is given up within 10 s, and a restored registry waits 10 s for its peers.
 */
export const LIVENESS_MS = 60_000;

export function drawPlan(scenario: Scenario, nodes: number, seed: number, random: SeededRandom): RunPlan {
  const [from, to] = scenario.safetyMs;
  return {
    scenario: scenario.name,
    nodes,
    seed,
    safetyMs: random.fork("safety").integer(from, to),
    livenessMs: LIVENESS_MS,
    joiners: Math.min(nodes - 1, Math.floor(nodes * scenario.joinShare)),
    lateJoiner: scenario.lateJoiner,
    workload: drawWorkload(random.fork("workload")),
    faults: drawFaults(random.fork("faults"), scenario.families),
  };
}
