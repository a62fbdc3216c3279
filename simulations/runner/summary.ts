import { createHash } from "node:crypto";
import { sumCounts, type FaultCounts } from "../faults/counts.ts";
import { replayCommand, type RunRequest } from "./options.ts";
import type { RunOutcome } from "./pool.ts";

/** The result of all runs: the last line of `--json`. */
export interface Summary {
  /** SHA-256, hex, over the trace hash of every run in the order of its scenario, nodes and seed. */
  readonly traceHash: string;
  /** `null` for a list of several. */
  readonly scenario: string | null;
  readonly nodes: number | null;
  readonly seeds: number;
  /** `null` for a list. */
  readonly firstSeed: number | null;
  readonly faults: FaultCounts;
  readonly simulatedSeconds: number;
  /** Writes that a home acknowledged. */
  readonly acknowledgedWrites: number;
  /** From the end of the faults to convergence, over all runs. */
  readonly convergedSeconds: { readonly median: number | null; readonly max: number | null };
  readonly violations: readonly SummaryViolation[];
}

export interface SummaryViolation extends RunRequest {
  readonly checker: string;
  readonly message: string;
  readonly atSeconds: number | null;
  readonly replay: string;
}

export function summarise(outcomes: readonly RunOutcome[]): Summary {
  const ordered = [...outcomes].sort(byRequest);
  const reports = ordered.flatMap((outcome) => ("report" in outcome ? [outcome.report] : []));
  const hash = createHash("sha256");
  for (const outcome of ordered) {
    const { scenario, nodes, seed } = outcome.request;
    hash.update(`${scenario} ${nodes} ${seed} ${"report" in outcome ? outcome.report.traceHash : "failed"}\n`);
  }
  const converged = reports.flatMap(({ convergedAfterMs }) => (convergedAfterMs === undefined ? [] : [convergedAfterMs]));
  const times = converged.map(seconds).sort((a, b) => a - b);
  return {
    traceHash: hash.digest("hex"),
    scenario: only(ordered.map(({ request }) => request.scenario)),
    nodes: only(ordered.map(({ request }) => request.nodes)),
    seeds: ordered.length,
    firstSeed: ordered[0]?.request.seed ?? null,
    faults: sumCounts(reports.map(({ faults }) => faults)),
    simulatedSeconds: seconds(reports.reduce((sum, { simulatedMs }) => sum + simulatedMs, 0)),
    acknowledgedWrites: reports.reduce((sum, { acknowledgements }) => sum + acknowledgements, 0),
    convergedSeconds: { median: times[times.length >> 1] ?? null, max: times.at(-1) ?? null },
    violations: ordered.flatMap(violationsOf),
  };
}

export function violationsOf(outcome: RunOutcome): SummaryViolation[] {
  const { request } = outcome;
  const replay = replayCommand(request);
  if ("failure" in outcome) return [{ ...request, checker: "run", message: outcome.failure, atSeconds: null, replay }];
  return outcome.report.violations.map(({ checker, message, atMs }) => ({
    ...request,
    checker,
    message,
    atSeconds: seconds(atMs),
    replay,
  }));
}

function byRequest({ request: a }: RunOutcome, { request: b }: RunOutcome): number {
  if (a.scenario !== b.scenario) return a.scenario < b.scenario ? -1 : 1;
  return a.nodes - b.nodes || a.seed - b.seed;
}

function only<T>(values: readonly T[]): T | null {
  const distinct = new Set(values);
  return distinct.size === 1 ? (values[0] as T) : null;
}

/** Rounded to a millisecond. */
export function seconds(ms: number): number {
  return Math.round(ms) / 1_000;
}
