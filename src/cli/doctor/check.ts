import { setTimeout as pause } from "node:timers/promises";
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

/** The longest that one look may take, in milliseconds: those that wait for others have shorter bounds of their own. */
export const CHECK_MS_MAX = 15_000;

/** What a look at something of another user comes to. */
export const AS_OWNER = "run this as the user that runs the registry, who may look at its files";

/** Runs one look and notes its time; one that throws, or does not come to an end, has failed. */
export async function check(
  name: string,
  look: () => Finding | Promise<Finding>,
  timeoutMs: number = CHECK_MS_MAX,
): Promise<Check> {
  const startedMs = performance.now();
  const giveUp = new AbortController();
  const late = pause(timeoutMs, failed(`not known after ${timeoutMs / 1_000} s`, STUCK_FIX), { signal: giveUp.signal });
  // Cancelled when the look is over.
  late.catch(() => undefined);
  let finding: Finding;
  try {
    finding = await Promise.race([look(), late]);
  } catch (error) {
    finding = failed(error instanceof Error ? error.message : String(error), fixOf(error));
  } finally {
    giveUp.abort();
  }
  return { name, ...finding, tookMs: performance.now() - startedMs };
}

const STUCK_FIX = "see whether the registry hangs, by its log; end it by its process id where it does";

function fixOf(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  return code === "EACCES" || code === "EPERM" ? AS_OWNER : "this should not happen; run again with --log-level debug";
}
