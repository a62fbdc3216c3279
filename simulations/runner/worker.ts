import type { StartNode } from "../federation/start-node.ts";
import { scenarioNamed } from "../scenarios/index.ts";
import { runSeed, type RunReport } from "../scenarios/run.ts";
import type { RunRequest } from "./options.ts";

/** What a worker is given when it starts. */
export interface WorkerSettings {
  /** URL of a module that exports `startNode: StartNode`. */
  readonly nodeModule: string;
  readonly log: boolean;
  readonly trace: boolean;
}

export type WorkerAnswer = { readonly report: RunReport } | { readonly failure: string };

const settings = JSON.parse(process.argv[2] as string) as WorkerSettings;
const answer = (message: WorkerAnswer, sent?: () => void): void => void process.send?.(message, undefined, {}, sent);
const { startNode } = (await import(settings.nodeModule)) as { readonly startNode: StartNode };
const print = (line: string): void => void process.stderr.write(line.endsWith("\n") ? line : `${line}\n`);

// Whatever a run let loose counts against it; what else it would do is not worth waiting for.
process.on("uncaughtException", (error: unknown) => {
  answer({ failure: error instanceof Error ? (error.stack ?? error.message) : String(error) }, () => process.exit(1));
});
process.on("message", (request: RunRequest) => {
  void runOne(request).then((report) => answer({ report }));
});

async function runOne({ scenario: name, nodes, seed }: RunRequest): Promise<RunReport> {
  const scenario = scenarioNamed(name);
  if (scenario === undefined) throw new Error(`there is no scenario "${name}"`);
  const report = await runSeed({
    scenario,
    nodes,
    seed,
    startNode,
    ...(settings.log ? { onLogLine: print } : {}),
    ...(settings.trace ? { onTraceLine: print } : {}),
  });
  // Node reports a rejection that nobody handled after the microtasks: it must count against this run.
  await new Promise((resolve) => setImmediate(resolve));
  return report;
}
