import { pipe } from "it-pipe";
import type { AdminClient } from "../../admin/client.ts";
import { MUTATIONS_MAX, type Mutation, type MutationResult } from "../../api.ts";
import type { ImportedLine } from "../../catalog/import/documents.ts";
import { ImportTally, type ImportReport } from "./report.ts";

/** Agents in one batch: large enough to share a commit, small enough that the progress moves. */
export const BATCH_AGENTS_MAX: number = Math.min(512, MUTATIONS_MAX);
/** Source bytes in one batch; a batch also crosses the socket as one bounded line. */
export const BATCH_BYTES_MAX = 2_097_152;

export interface ImportProgress {
  /** Source bytes that are dealt with. */
  readonly bytes: number;
  readonly lines: number;
}

/**
 * Sends what was read to the node in the order of its lines, so that of two lines for one agent the later wins. Lines that could
 * not be read, and agents that the node refuses, are reported and stop nothing.
 */
export async function importAgents(
  client: Pick<AdminClient, "mutateAll">,
  lines: AsyncIterable<ImportedLine>,
  onProgress: (progress: ImportProgress) => void,
): Promise<ImportReport> {
  const tally = new ImportTally();
  /** Batches that were sent and are not answered yet. */
  const sent: Batch[] = [];
  let done = 0;

  async function* mutations(batches: AsyncIterable<Batch>): AsyncGenerator<readonly Mutation[]> {
    for await (const batch of batches) {
      sent.push(batch);
      yield batch.mutations;
    }
  }

  const record = async (answers: AsyncIterable<readonly MutationResult[]>): Promise<void> => {
    for await (const results of answers) {
      const batch = sent.shift();
      if (batch === undefined) throw new Error("the node answered a batch that was not sent");
      for (const [index, { line, id }] of batch.lines.entries()) {
        const result = results[index];
        if (result === undefined) throw new Error(`the node did not answer for line ${line}`);
        tally.addResult(line, id, result);
      }
      done += batch.bytes;
      onProgress({ bytes: done, lines: tally.lines });
    }
  };

  await pipe(
    lines,
    (source) => inBatches(source, tally),
    mutations,
    (batches) => client.mutateAll(batches),
    record,
  );
  return tally.report();
}

interface Batch {
  readonly mutations: readonly Mutation[];
  /** Line number of each mutation, and its agent's humanReadableId. */
  readonly lines: readonly BatchLine[];
  readonly bytes: number;
}

interface BatchLine {
  readonly line: number;
  readonly id: string;
}

async function* inBatches(source: AsyncIterable<ImportedLine>, tally: ImportTally): AsyncGenerator<Batch> {
  let mutations: Mutation[] = [];
  let lines: BatchLine[] = [];
  let bytes = 0;
  for await (const item of source) {
    bytes += item.bytes;
    if ("error" in item) {
      tally.addRefusal(item.line, item.error.code, item.error.reason);
    } else {
      tally.addWarnings(item.warnings);
      mutations.push({ op: "put", agent: item.agent });
      lines.push({ line: item.line, id: item.agent.humanReadableId });
    }
    if (mutations.length >= BATCH_AGENTS_MAX || (bytes >= BATCH_BYTES_MAX && mutations.length > 0)) {
      yield { mutations, lines, bytes };
      [mutations, lines, bytes] = [[], [], 0];
    }
  }
  if (mutations.length > 0) yield { mutations, lines, bytes };
}
