import type { Clock } from "../../ports/clock.ts";

/** The longest delay that one of Node's timers takes, in milliseconds (2³¹ − 1); a longer one would fire at once. */
const TIMER_DELAY_MS_MAX = 2_147_483_647;

/** The machine's clock. Its timers do not keep the process alive. */
export function systemClock(): Clock {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    after: (delayMs, fire) => startTimer(delayMs, fire),
  };
}

function startTimer(delayMs: number, fire: () => void): () => void {
  let timer: NodeJS.Timeout;
  const wait = (leftMs: number): void => {
    const stepMs = Math.min(leftMs, TIMER_DELAY_MS_MAX);
    timer = setTimeout(() => (leftMs > stepMs ? wait(leftMs - stepMs) : fire()), stepMs).unref();
  };
  wait(delayMs);
  return () => clearTimeout(timer);
}
