import { parentPort, workerData } from "node:worker_threads";
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

const settings = workerData as WorkerSettings;
const { startNode } = (await import(settings.nodeModule)) as { readonly startNode: StartNode };
const print = (line: string): void => void process.stderr.write(line.endsWith("\n") ? line : `${line}\n`);

parentPort?.on("message", (request: RunRequest) => {
  void runOne(request).then((report) => parentPort?.postMessage(report));
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
