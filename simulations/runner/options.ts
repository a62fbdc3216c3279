import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { SCENARIOS, scenarioNamed } from "../scenarios/index.ts";

export const NODES_MAX = 200;
export const SEEDS_MAX = 100_000;
/** Below this the numbers of a seed and its successors stay exact. */
export const SEED_MAX = 1_000_000_000_000;
export const WORKERS_MAX = 32;

/** One run to do. */
export interface RunRequest {
  readonly scenario: string;
  readonly nodes: number;
  readonly seed: number;
}

export interface SimulateOptions {
  /** `undefined` when the list of regressions is to be run. */
  readonly scenario: string | undefined;
  readonly nodes: number;
  readonly seeds: number;
  readonly seed: number;
  readonly workers: number;
  readonly json: boolean;
  /** Print every log line of every machine to stderr. */
  readonly log: boolean;
  /** Print every line of the trace to stderr. */
  readonly trace: boolean;
}

export const USAGE: string = `Usage: npm run simulate -- --scenario NAME [--nodes N] [--seeds K] [--seed S] [--json]
       npm run simulate -- --regressions [--json]

Runs real registries on virtual time, over a network that fails as a seed says, and checks what they promise.

  --scenario NAME   ${SCENARIOS.map(({ name, summary }) => `${name}: ${summary}`).join("\n                    ")}
  --nodes N         registries in a federation, 2 to ${NODES_MAX} (5)
  --seeds K         runs, each with the next seed (10)
  --seed S          the first seed (1)
  --regressions     runs every seed of simulations/regressions.json instead
  --workers W       processes (one for each core); the result does not depend on it
  --log, --trace    print what the machines log, or the trace itself, to stderr
  --json            the last line of stdout is one object; progress goes to stderr

Exit codes: 0 no violation, 1 violations, 2 usage.`;

export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** @throws UsageError for what is unknown, missing or out of bounds */
export function parseOptions(argv: readonly string[]): SimulateOptions | "help" {
  const { values } = parse(argv);
  if (values.help === true) return "help";
  const regressions = values.regressions === true;
  if (regressions === (values.scenario !== undefined)) throw new UsageError("name either --scenario or --regressions");
  if (values.scenario !== undefined && scenarioNamed(values.scenario) === undefined) {
    throw new UsageError(`there is no scenario "${values.scenario}": take ${SCENARIOS.map(({ name }) => name).join(", ")}`);
  }
  return {
    scenario: values.scenario,
    nodes: whole("nodes", values.nodes, 5, 2, NODES_MAX),
    seeds: whole("seeds", values.seeds, 10, 1, SEEDS_MAX),
    seed: whole("seed", values.seed, 1, 0, SEED_MAX),
    workers: whole("workers", values.workers, Math.min(availableParallelism(), WORKERS_MAX), 1, WORKERS_MAX),
    json: values.json === true,
    log: values.log === true,
    trace: values.trace === true,
  };
}

/** The command that repeats one run. */
export function replayCommand({ scenario, nodes, seed }: RunRequest): string {
  return `npm run simulate -- --scenario ${scenario} --nodes ${nodes} --seeds 1 --seed ${seed} --log`;
}

function parse(argv: readonly string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  const options = {
    scenario: text,
    nodes: text,
    seeds: text,
    seed: text,
    workers: text,
    regressions: flag,
    json: flag,
    log: flag,
    trace: flag,
    help: flag,
  };
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: false });
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

function whole(name: string, text: string | undefined, preset: number, min: number, max: number): number {
  if (text === undefined) return preset;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new UsageError(`--${name} takes a whole number from ${min} to ${max}, not "${text}"`);
  }
  return value;
}
