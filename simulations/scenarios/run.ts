import { shownOtherwise } from "../checkers/admission.ts";
import { accusationsBy, ContradictionChecker } from "../checkers/contradiction.ts";
import { outgrown } from "../checkers/bounds.ts";
import { COMPLAINTS_MAX, type Violation } from "../checkers/checker.ts";
import { differences } from "../checkers/convergence.ts";
import { lostBy } from "../checkers/durability.ts";
import { forgedAt } from "../checkers/forgery.ts";
import { unreadable } from "../checkers/repair.ts";
import { Simulation } from "../engine/simulation.ts";
import { Nemesis } from "../faults/nemesis.ts";
import type { FaultCounts } from "../faults/counts.ts";
import { Federation } from "../federation/federation.ts";
import type { Machine } from "../federation/machine.ts";
import type { StartNode } from "../federation/start-node.ts";
import { Workload } from "../federation/workload.ts";
import { drawPlan, type RunPlan, type Scenario } from "./scenario.ts";

/** The checkers that ask nodes look at the federation this often while faults are at work, in milliseconds. */
const INSPECTION_MS = 5_000;
/** Nodes whose whole listing is compared with the truth at each such look; at the end it is all of them. */
const READERS_INSPECTED = 3;
/** How often a healed federation is asked whether it has converged, in milliseconds. */
const CONVERGENCE_POLL_MS = 250;
/** A follower that holds the whole map shows all of it within this time, in milliseconds. */
const ADMISSION_MS = 30_000;
/** Rot of which somebody has a copy is found and repaired within this time: the background check goes round, and asks again. */
const REPAIR_MS = 180_000;
/** The time between two such looks grows up to this, in milliseconds. */
const ADMISSION_POLL_MS_MAX = 60_000;
/** Virtual time beyond the planned phases before a run is given up: start-up and the last checks. */
const MARGIN_MS = 1_800_000;

export interface RunOptions {
  readonly scenario: Scenario;
  readonly nodes: number;
  readonly seed: number;
  readonly startNode: StartNode;
  readonly onLogLine?: (line: string) => void;
  readonly onTraceLine?: (line: string) => void;
}

export interface RunReport {
  readonly plan: RunPlan;
  readonly traceHash: string;
  readonly faults: FaultCounts;
  readonly simulatedMs: number;
  /** Virtual time from the end of the faults until all had converged; `undefined` when they did not. */
  readonly convergedAfterMs: number | undefined;
  readonly events: number;
  readonly acknowledgements: number;
  readonly checkpoints: number;
  readonly violations: readonly Violation[];
}

export function seedName(options: Pick<RunOptions, "scenario" | "nodes" | "seed">): string {
  return `${options.scenario.name}/${options.nodes}/${options.seed}`;
}

/** One run of one seed: a safety phase under faults, then everything heals, then a liveness phase that must converge. */
export async function runSeed(options: RunOptions): Promise<RunReport> {
  const { scenario, nodes, seed, startNode, onLogLine, onTraceLine } = options;
  const simulation = new Simulation({ seed: seedName(options), ...(onTraceLine === undefined ? {} : { onTraceLine }) });
  const plan = drawPlan(scenario, nodes, seed, simulation.random.fork("plan"));
  const didOf = (peerId: string): string | undefined => run.federation.machines.find((each) => each.peerId === peerId)?.did;
  const contradictions = new ContradictionChecker(didOf);
  const federation = new Federation({
    simulation,
    faults: plan.faults,
    startNode,
    observe: (event) => contradictions.observe(event),
    ...(onLogLine === undefined ? {} : { onLogLine }),
  });
  const run = new Run(federation, plan, contradictions, onLogLine);
  await run.toTheEnd();
  return {
    plan,
    traceHash: simulation.trace.digest(),
    faults: federation.counter.totals(),
    simulatedMs: simulation.nowMs,
    convergedAfterMs: run.convergedAfterMs,
    events: simulation.events,
    acknowledgements: federation.machines.reduce((sum, machine) => sum + machine.ledger.acknowledgements, 0),
    checkpoints: contradictions.checkpoints,
    violations: run.violations,
  };
}

class Run {
  readonly federation: Federation;
  readonly violations: Violation[] = [];
  convergedAfterMs: number | undefined;
  readonly #plan: RunPlan;
  readonly #contradictions: ContradictionChecker;
  readonly #workload: Workload;
  readonly #nemesis: Nemesis;
  readonly #owners: Promise<void>[] = [];
  readonly #onLogLine: ((line: string) => void) | undefined;

  constructor(
    federation: Federation,
    plan: RunPlan,
    contradictions: ContradictionChecker,
    onLogLine: ((line: string) => void) | undefined,
  ) {
    this.#onLogLine = onLogLine;
    this.federation = federation;
    this.#plan = plan;
    this.#contradictions = contradictions;
    this.#workload = new Workload(federation, plan.workload);
    this.#nemesis = new Nemesis(federation);
  }

  /** A failure of the run itself, such as a deadlock or a node that does not start, is a violation too. */
  async toTheEnd(): Promise<void> {
    const limitMs = this.#plan.safetyMs + this.#plan.livenessMs + MARGIN_MS;
    try {
      await this.federation.simulation.run(() => this.#script(), limitMs);
    } catch (error) {
      this.#report("run", [error instanceof Error ? (error.stack ?? error.message) : String(error)]);
    }
  }

  async #script(): Promise<void> {
    await this.#safety();
    await this.#nemesis.heal();
    this.#workload.stop();
    await Promise.all(this.#owners);
    if (this.#plan.lateJoiner) await this.federation.add().start();
    await this.#liveness();
    await this.#inspect(this.convergedAfterMs === undefined ? this.federation.running : []);
    await this.#finalChecks();
  }

  async #safety(): Promise<void> {
    const { federation } = this;
    const { simulation } = federation;
    const founders = this.#plan.nodes - this.#plan.joiners;
    for (let i = 0; i < founders; i++) this.#join();
    const joining = simulation.random.fork("joining");
    for (let i = 0; i < this.#plan.joiners; i++) {
      simulation.after(joining.between(0, this.#plan.safetyMs), () => this.#join());
    }
    this.#nemesis.start();
    const inspection = simulation.random.fork("inspection");
    while (simulation.nowMs < this.#plan.safetyMs) {
      await simulation.sleep(Math.min(INSPECTION_MS, this.#plan.safetyMs - simulation.nowMs));
      await this.#inspect(inspection.shuffle(federation.running).slice(0, READERS_INSPECTED));
    }
  }

  #join(): void {
    const machine = this.federation.add();
    // A node that refuses to start is reported when all is healed, where every machine is started again.
    machine.start().catch(() => undefined);
    this.#owners.push(this.#workload.own(machine));
  }

  /** What must hold at any time. */
  async #inspect(readers: readonly Machine[]): Promise<void> {
    const { federation } = this;
    for (const machine of federation.running) {
      this.#report("bounds", await outgrown(federation, machine));
      this.#report("contradiction", await accusationsBy(machine));
    }
    for (const reader of readers) this.#report("forgery", await forgedAt(federation, reader));
  }

  async #liveness(): Promise<void> {
    const { simulation } = this.federation;
    const healedMs = simulation.nowMs;
    for (;;) {
      const complaints = await differences(this.federation);
      if (complaints.length === 0) {
        this.convergedAfterMs = simulation.nowMs - healedMs;
        return;
      }
      if (simulation.nowMs - healedMs >= this.#plan.livenessMs) {
        this.#report("convergence", complaints);
        return;
      }
      this.#onLogLine?.(`${simulation.nowMs.toFixed(3)} differences ${complaints.length}, such as ${complaints[0]}`);
      await simulation.sleep(CONVERGENCE_POLL_MS);
    }
  }

  async #finalChecks(): Promise<void> {
    const { federation } = this;
    this.#report("contradiction", this.#contradictions.complaints);
    if (federation.faults.rot.everyMs > 0 && !(await this.#repaired())) return;
    for (const home of federation.running) this.#report("durability", (await lostBy(home)) ?? []);
    if (this.convergedAfterMs !== undefined) await this.#admission();
  }

  async #repaired(): Promise<boolean> {
    const { simulation } = this.federation;
    const limitMs = simulation.nowMs + REPAIR_MS;
    for (;;) {
      const complaints = await unreadable(this.federation);
      if (complaints.length === 0) return true;
      if (simulation.nowMs >= limitMs) {
        this.#report("repair", complaints);
        return false;
      }
      await simulation.sleep(INSPECTION_MS);
    }
  }

  /** Records that were written while a clock was ahead are admitted when the others' clocks have caught up (T34, T47). */
  async #admission(): Promise<void> {
    const { faults, simulation, counter } = this.federation;
    const aheadMs = counter.totals().clockJump > 0 ? faults.clocks.jumpMsMax : 0;
    const limitMs = simulation.nowMs + ADMISSION_MS + aheadMs;
    for (let waitMs = CONVERGENCE_POLL_MS; ; waitMs = Math.min(2 * waitMs, ADMISSION_POLL_MS_MAX)) {
      const complaints = await shownOtherwise(this.federation);
      if (complaints.length === 0) return;
      if (simulation.nowMs >= limitMs) {
        this.#report("admission", complaints);
        return;
      }
      await simulation.sleep(waitMs);
    }
  }

  #report(checker: string, complaints: readonly string[]): void {
    const before = this.violations.filter((violation) => violation.checker === checker).length;
    const atMs = this.federation.simulation.nowMs;
    for (const message of complaints.slice(0, Math.max(0, COMPLAINTS_MAX - before))) {
      this.violations.push({ checker, message, atMs });
    }
  }
}
