import type { AgentInput, Mutation } from "../../src/api.ts";
import type { SeededRandom } from "../engine/random.ts";
import type { Federation } from "./federation.ts";
import type { SimulatedMutation } from "./ledger.ts";
import type { Machine } from "./machine.ts";

/** What owners write: plain data, drawn from the seed and printed. */
export interface WorkloadPlan {
  /** Mean time between two calls of one owner, in milliseconds. */
  readonly everyMs: number;
  /** Mutations in a call, at most. */
  readonly batchMax: number;
  /** Share of calls that bring BURST_FACTOR times as many. */
  readonly burstRate: number;
  readonly deleteRate: number;
  /** Agents of one home, at most. */
  readonly agentsMax: number;
}

const BURST_FACTOR = 20;
/** An owner stops waiting for an answer after this, in milliseconds of virtual time. */
const ANSWER_MS_MAX = 60_000;
const CAPABILITIES = ["translation", "translation/en-fr", "search", "search/web", "code", "code/review", "vision", "speech"];

export function drawWorkload(random: SeededRandom): WorkloadPlan {
  return {
    everyMs: random.integer(500, 6_000),
    batchMax: random.integer(1, 8),
    burstRate: random.chance(0.3) ? 0.02 : 0,
    deleteRate: Math.round(random.between(0, 0.3) * 1_000) / 1_000,
    agentsMax: random.integer(5, 60),
  };
}

/** One owner for each machine: writes, waits for the answer, and keeps the books. */
export class Workload {
  readonly #federation: Federation;
  readonly #plan: WorkloadPlan;
  #stopped = false;

  constructor(federation: Federation, plan: WorkloadPlan) {
    this.#federation = federation;
    this.#plan = plan;
  }

  /** Resolves when `stop` was called and the owner's last call is answered or given up. */
  async own(machine: Machine): Promise<void> {
    const { simulation } = this.#federation;
    const random = simulation.random.fork(`workload/${machine.name}`);
    for (let call = 0; !this.#stopped; call++) {
      await simulation.sleep(random.exponential(this.#plan.everyMs));
      if (this.#stopped || machine.node === undefined) continue;
      await this.#call(machine, this.#draw(machine, random, call));
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  async #call(machine: Machine, mutations: readonly SimulatedMutation[]): Promise<void> {
    const { simulation } = this.#federation;
    for (const mutation of mutations) machine.ledger.attempt(mutation);
    // A node that rejects has said nothing about what became of the writes: they stay uncertain.
    const asked = machine.ask((node) => node.mutate(mutations.map(({ mutation }) => mutation))).catch(() => undefined);
    const results = await simulation.within(asked, ANSWER_MS_MAX);
    if (results === undefined) return;
    for (const [i, result] of results.entries()) machine.ledger.settle(mutations[i] as SimulatedMutation, result);
    simulation.trace.record(simulation.nowMs, "commit", machine.name, `${results.length} acknowledged`);
  }

  #draw(machine: Machine, random: SeededRandom, call: number): SimulatedMutation[] {
    const factor = random.chance(this.#plan.burstRate) ? BURST_FACTOR : 1;
    const count = random.integer(1, this.#plan.batchMax) * factor;
    const names = new Set(
      Array.from({ length: count }, () => `${machine.name}/agent-${random.integer(1, this.#plan.agentsMax)}`),
    );
    return [...names].map((name) => ({ name, mutation: this.#mutation(machine, random, name, call) }));
  }

  #mutation(machine: Machine, random: SeededRandom, name: string, call: number): Mutation {
    const did = machine.mintedDid(name);
    if (random.chance(this.#plan.deleteRate)) return { op: "delete", did };
    return { op: "put", agent: agent(random, name, call) };
  }
}

/** Each call writes another version, so that every state of an agent can be told from every other. */
function agent(random: SeededRandom, humanReadableId: string, call: number): AgentInput {
  return {
    humanReadableId,
    name: humanReadableId.slice(humanReadableId.indexOf("/") + 1),
    description: "words ".repeat(random.integer(0, 30)).trim(),
    capabilities: [...new Set([random.pick(CAPABILITIES), random.pick(CAPABILITIES)])].sort(),
    tags: [],
    endpoints: [{ url: `https://${humanReadableId.replace("/", ".")}.example/`, protocol: "https" }],
    version: `1.0.${call}`,
    status: "active",
  };
}
