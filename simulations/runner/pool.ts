import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { RunReport } from "../scenarios/run.ts";
import type { RunRequest } from "./options.ts";
import type { WorkerAnswer, WorkerSettings } from "./worker.ts";

/**
 * A process does this many runs, then another takes its place: of what runs free the allocator gives little back, in a thread
 * not even when the thread ends.
 */
const RUNS_PER_PROCESS = 8;

const WORKER = fileURLToPath(new URL("./worker.ts", import.meta.url));

/** A run's report, or why it has none: something in it threw where nobody could catch it. */
export type RunOutcome = { readonly request: RunRequest } & ({ readonly report: RunReport } | { readonly failure: string });

/** Does all runs in `workers` processes and calls `onOutcome` as they end, which is in no particular order. */
export async function runAll(
  requests: readonly RunRequest[],
  options: { readonly workers: number; readonly settings: WorkerSettings; readonly onOutcome: (outcome: RunOutcome) => void },
): Promise<void> {
  const waiting = [...requests].reverse();
  const serve = async (): Promise<void> => {
    let worker: ChildProcess | undefined;
    const fresh = (): ChildProcess => {
      const made = fork(WORKER, [JSON.stringify(options.settings)]);
      // What a run left behind may end the process between two runs: the next run gets another.
      made.on("error", () => undefined);
      made.on("exit", () => {
        if (worker === made) worker = undefined;
      });
      return made;
    };
    let runs = 0;
    for (let request = waiting.pop(); request !== undefined; request = waiting.pop()) {
      worker ??= fresh();
      const outcome = await runIn(worker, request);
      runs += 1;
      if (worker !== undefined && ("failure" in outcome || runs % RUNS_PER_PROCESS === 0)) await end(worker);
      options.onOutcome(outcome);
    }
    if (worker !== undefined) await end(worker);
  };
  await Promise.all(Array.from({ length: Math.min(options.workers, requests.length) }, serve));
}

function runIn(worker: ChildProcess, request: RunRequest): Promise<RunOutcome> {
  return new Promise((resolve) => {
    const settle = (answer: WorkerAnswer): void => {
      worker.off("message", settle);
      worker.off("error", onError);
      worker.off("exit", onExit);
      resolve({ request, ...answer });
    };
    const onError = (error: Error): void => settle({ failure: error.stack ?? String(error) });
    const onExit = (code: number | null, signal: string | null): void =>
      settle({ failure: `the process ended with ${signal ?? `code ${code}`}` });
    worker.on("message", settle);
    worker.on("error", onError);
    worker.on("exit", onExit);
    worker.send(request);
  });
}

function end(worker: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (worker.exitCode !== null || worker.signalCode !== null) return resolve();
    worker.once("exit", () => resolve());
    worker.kill("SIGKILL");
  });
}
