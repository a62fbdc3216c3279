import type { Clock } from "./clock.ts";

/**
 * Waits for `delayMs`.
 * @throws the signal's reason, at once, when it is aborted before
 */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      cancel();
      reject(signal.reason instanceof Error ? signal.reason : new Error("the wait was called off"));
    };
    const cancel = clock.after(delayMs, () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}
