import type { Check } from "../../api.ts";

/** What a look found. */
export type Finding = Pick<Check, "state" | "found" | "fix">;

export function ok(found: string): Finding {
  return { state: "ok", found, fix: null };
}

export function warning(found: string, fix: string): Finding {
  return { state: "warning", found, fix };
}

export function failed(found: string, fix: string): Finding {
  return { state: "failed", found, fix };
}

export function skipped(found: string): Finding {
  return { state: "skipped", found, fix: null };
}

/** Runs one look and notes its time; one that throws has failed. */
export async function check(name: string, look: () => Finding | Promise<Finding>): Promise<Check> {
  const startedMs = performance.now();
  let finding: Finding;
  try {
    finding = await look();
  } catch (error) {
    finding = failed(
      error instanceof Error ? error.message : String(error),
      "this should not happen; run again with --log-level debug",
    );
  }
  return { name, ...finding, tookMs: performance.now() - startedMs };
}
