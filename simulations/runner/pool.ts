import { Worker } from "node:worker_threads";
import type { RunReport } from "../scenarios/run.ts";
import type { RunRequest } from "./options.ts";
import type { WorkerSettings } from "./worker.ts";

/** A thread does this many runs, then another takes its place: what an allocator keeps of freed memory grows from run to run. */
const RUNS_PER_THREAD = 8;

/** A run's report, or why it has none: something in it threw where nobody could catch it. */
export type RunOutcome = { readonly request: RunRequest } & ({ readonly report: RunReport } | { readonly failure: string });

/** Does all runs on `workers` threads and calls `onOutcome` as they end, which is in no particular order. */
export async function runAll(
  requests: readonly RunRequest[],
  options: { readonly workers: number; readonly settings: WorkerSettings; readonly onOutcome: (outcome: RunOutcome) => void },
): Promise<void> {
  const waiting = [...requests].reverse();
  const serve = async (): Promise<void> => {
    let worker: Worker | undefined;
    const fresh = (): Worker => {
      const made = new Worker(new URL("./worker.ts", import.meta.url), { workerData: options.settings });
      // What a run left behind may kill the thread between two runs: the next run gets another.
      made.on("error", () => undefined);
      made.on("exit", () => {
        if (worker === made) worker = undefined;
      });
      return made;
    };
    let runs = 0;
    for (let request = waiting.pop(); request !== undefined; request = waiting.pop()) {
      worker ??= fresh();
      const outcome = await runOn(worker, request);
      runs += 1;
      if ("failure" in outcome || runs % RUNS_PER_THREAD === 0) await worker?.terminate();
      options.onOutcome(outcome);
    }
    await worker?.terminate();
  };
  await Promise.all(Array.from({ length: Math.min(options.workers, requests.length) }, serve));
}

function runOn(worker: Worker, request: RunRequest): Promise<RunOutcome> {
  return new Promise((resolve) => {
    const end = (outcome: RunOutcome): void => {
      worker.off("message", onReport);
      worker.off("error", onError);
      worker.off("exit", onExit);
      resolve(outcome);
    };
    const onReport = (report: RunReport): void => end({ request, report });
    const onError = (error: Error): void => end({ request, failure: error.stack ?? String(error) });
    const onExit = (code: number): void => end({ request, failure: `the thread ended with code ${code}` });
    worker.on("message", onReport);
    worker.on("error", onError);
    worker.on("exit", onExit);
    worker.postMessage(request);
  });
}
