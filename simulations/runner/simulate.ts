import { readFileSync } from "node:fs";
import { scenarioNamed } from "../scenarios/index.ts";
import { parseOptions, USAGE, UsageError, type RunRequest, type SimulateOptions } from "./options.ts";
import { runAll, type RunOutcome } from "./pool.ts";
import { seconds, summarise, violationsOf, type Summary } from "./summary.ts";

/** Violations printed of one run; `--json` has them all. */
const PRINTED_VIOLATIONS_MAX = 5;
const REGRESSIONS = new URL("../regressions.json", import.meta.url);

/**
 * The runner behind `npm run simulate`.
 * @param nodeModule URL of a module that exports `startNode: StartNode`
 * @returns the exit code: 0 no violation, 1 violations, 2 usage
 */
export async function simulate(argv: readonly string[], nodeModule: URL): Promise<number> {
  let options: SimulateOptions | "help";
  try {
    options = parseOptions(argv);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\n\n${USAGE}`);
    return 2;
  }
  if (options === "help") {
    console.log(USAGE);
    return 0;
  }
  return run(options, requestsOf(options), nodeModule);
}

/** The runs that CI repeats because they once found something. */
export function readRegressions(): RunRequest[] {
  const list = JSON.parse(readFileSync(REGRESSIONS, "utf8")) as readonly RunRequest[];
  for (const { scenario, nodes, seed } of list) {
    if (scenarioNamed(scenario) === undefined || !Number.isSafeInteger(nodes) || !Number.isSafeInteger(seed)) {
      throw new Error(`regressions.json: ${JSON.stringify({ scenario, nodes, seed })} is not a known scenario with numbers`);
    }
  }
  return list.map(({ scenario, nodes, seed }) => ({ scenario, nodes, seed }));
}

function requestsOf({ scenario, nodes, seeds, seed }: SimulateOptions): RunRequest[] {
  if (scenario === undefined) return readRegressions();
  return Array.from({ length: seeds }, (_, i) => ({ scenario, nodes, seed: seed + i }));
}

async function run(options: SimulateOptions, requests: readonly RunRequest[], nodeModule: URL): Promise<number> {
  const progress = options.json ? console.error : console.log;
  const outcomes: RunOutcome[] = [];
  await runAll(requests, {
    workers: options.workers,
    settings: { nodeModule: nodeModule.href, log: options.log, trace: options.trace },
    onOutcome: (outcome) => {
      outcomes.push(outcome);
      for (const line of describeOutcome(outcome, outcomes.length, requests.length)) progress(line);
    },
  });
  const summary = summarise(outcomes);
  console.log(options.json ? JSON.stringify(summary) : describe(summary));
  return summary.violations.length === 0 ? 0 : 1;
}

function describeOutcome(outcome: RunOutcome, done: number, total: number): string[] {
  const { scenario, nodes, seed } = outcome.request;
  const lines = [`[${done}/${total}] ${scenario}, ${nodes} nodes, seed ${seed}`];
  if ("report" in outcome) {
    const { plan, events, simulatedMs, convergedAfterMs, acknowledgements, traceHash } = outcome.report;
    const { safetyMs, workload, faults } = plan;
    const converged =
      convergedAfterMs === undefined ? "not converged" : `converged ${seconds(convergedAfterMs)} s after the faults`;
    lines[0] += `: ${Math.round(simulatedMs / 1_000)} s simulated, ${events} events, ${acknowledgements} writes, ${converged}, ${traceHash.slice(0, 16)}`;
    lines.push(`  drawn: ${JSON.stringify({ safetyMs, workload, ...faults })}`);
  }
  const violations = violationsOf(outcome);
  for (const { checker, atSeconds, message } of violations.slice(0, PRINTED_VIOLATIONS_MAX)) {
    lines.push(`  VIOLATION ${checker}${atSeconds === null ? "" : ` at ${atSeconds} s`}: ${message}`);
  }
  if (violations.length > PRINTED_VIOLATIONS_MAX) lines.push(`  and ${violations.length - PRINTED_VIOLATIONS_MAX} more`);
  if (violations[0] !== undefined) lines.push(`  replay: ${violations[0].replay}`);
  return lines;
}

function describe(summary: Summary): string {
  const { seeds, simulatedSeconds, acknowledgedWrites, convergedSeconds, faults, violations, traceHash } = summary;
  return [
    `${seeds} runs, ${simulatedSeconds} s simulated, ${acknowledgedWrites} acknowledged writes`,
    `converged after ${convergedSeconds.median ?? "—"} s median, ${convergedSeconds.max ?? "—"} s at most`,
    `faults ${JSON.stringify(faults)}`,
    `trace ${traceHash}`,
    violations.length === 0 ? "no violations" : `${violations.length} violations`,
  ].join("\n");
}
