/** Without SIGHUP: a handler for it would undo what nohup asks for. */
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** 128 + SIGINT, as shells report a process that was interrupted. */
const FORCED_EXIT_CODE = 130;

/**
 * The first signal drains, the second forces.
 * @returns what stops listening
 */
export function onInterrupt(drain: () => void): () => void {
  let isDraining = false;
  const listener = (): void => {
    // Nothing may be waited for any more: this is the way out when draining hangs.
    if (isDraining) process.exit(FORCED_EXIT_CODE);
    isDraining = true;
    drain();
  };
  for (const signal of SIGNALS) process.on(signal, listener);
  return () => {
    for (const signal of SIGNALS) process.off(signal, listener);
  };
}
