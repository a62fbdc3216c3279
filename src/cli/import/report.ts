import type { MutationResult } from "../../api.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { count, duration, plain, plural } from "../text.ts";

/** What became of every line; field names are stable. */
export interface ImportReport {
  readonly lines: number;
  readonly imported: number;
  readonly updated: number;
  /** humanReadableIds of the agents that were updated, each once, in the order of the lines; only the first UPDATES_LISTED_MAX. */
  readonly updatedIds: readonly string[];
  readonly unchanged: number;
  /** In the order of the lines; only the first REFUSALS_LISTED_MAX, all are in `refusedCount`. */
  readonly refused: readonly Refusal[];
  readonly refusedCount: number;
  /** Most frequent first; kinds beyond WARNING_KINDS_MAX count as "other". */
  readonly warnings: readonly { readonly warning: string; readonly count: number }[];
  readonly warningsCount: number;
}

export interface Refusal {
  readonly line: number;
  readonly code: string;
  readonly reason: string;
}

export const UPDATES_LISTED_MAX = 5;
export const REFUSALS_LISTED_MAX = 10_000;
export const WARNING_KINDS_MAX = 100;
const OTHER_WARNINGS = "other";

export class ImportTally {
  readonly #refused: Refusal[] = [];
  readonly #warnings = new Map<string, number>();
  readonly #updatedIds = new Set<string>();
  #refusedCount = 0;
  readonly #outcomes = { created: 0, updated: 0, unchanged: 0, deleted: 0 };

  get lines(): number {
    const { created, updated, unchanged } = this.#outcomes;
    return created + updated + unchanged + this.#refusedCount;
  }

  /** @param id humanReadableId of the line's agent */
  addResult(line: number, id: string, result: MutationResult): void {
    if (result.outcome === "refused") return this.addRefusal(line, result.code, result.reason);
    this.#outcomes[result.outcome]++;
    if (result.outcome === "updated" && this.#updatedIds.size < UPDATES_LISTED_MAX) this.#updatedIds.add(id);
  }

  addRefusal(line: number, code: string, reason: string): void {
    this.#refusedCount++;
    if (this.#refused.length < REFUSALS_LISTED_MAX) this.#refused.push({ line, code, reason });
  }

  addWarnings(warnings: readonly string[]): void {
    for (const warning of warnings) {
      const isListed = this.#warnings.has(warning) || this.#warnings.size < WARNING_KINDS_MAX;
      const kind = isListed ? warning : OTHER_WARNINGS;
      this.#warnings.set(kind, (this.#warnings.get(kind) ?? 0) + 1);
    }
  }

  report(): ImportReport {
    const warnings = [...this.#warnings].map(([warning, times]) => ({ warning, count: times })).sort((a, b) => b.count - a.count);
    return {
      lines: this.lines,
      imported: this.#outcomes.created,
      updated: this.#outcomes.updated,
      updatedIds: [...this.#updatedIds],
      unchanged: this.#outcomes.unchanged,
      refused: this.#refused.toSorted((a, b) => a.line - b.line),
      refusedCount: this.#refusedCount,
      warnings,
      warningsCount: warnings.reduce((sum, { count: times }) => sum + times, 0),
    };
  }
}

/** 5 when some were refused, 4 when all were. */
export function importExitCode(report: ImportReport): ExitCode {
  if (report.refusedCount === 0) return EXIT.ok;
  return report.refusedCount === report.lines ? EXIT.refused : EXIT.partial;
}

/** Entries of a list that a person is shown; --json has more. */
const SHOWN_MAX = 20;

export function describeReport(report: ImportReport, seconds: number): string {
  const { imported, updated, updatedIds, unchanged, refusedCount } = report;
  const inAll = updated > updatedIds.length ? ` (${plural(updated, "update")} in all)` : "";
  const parts = { imported, updated, unchanged, refused: refusedCount };
  const totals = Object.entries(parts).map(([name, number]) => `${count(number)} ${name}`);
  return [
    `${totals.join(", ")}, in ${duration(seconds)}`,
    ...(updated === 0 ? [] : [`updated: ${updatedIds.map(plain).join(", ")}${inAll}`]),
    ...section(
      "refused",
      report.refused.map(({ line, code, reason }) => `line ${line}  ${code}: ${plain(reason)}`),
      refusedCount,
    ),
    ...section(
      "warnings",
      report.warnings.map((entry) => `${count(entry.count)} × ${plain(entry.warning)}`),
      report.warnings.length,
    ),
  ].join("\n");
}

function section(title: string, entries: readonly string[], total: number): string[] {
  if (entries.length === 0) return [];
  const more = total > SHOWN_MAX ? [`  … and ${count(total - SHOWN_MAX)} more (--json lists them)`] : [];
  return [`${title}:`, ...entries.slice(0, SHOWN_MAX).map((entry) => `  ${entry}`), ...more];
}
