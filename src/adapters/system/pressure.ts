import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Pressure } from "../../ports/pressure.ts";

/** Above these a process answers late: the 99th percentile of the event loop's delay, and the share of one core that it uses. */
const DELAY_NS_MAX = 50_000_000;
const CPU_SHARE_MAX = 0.85;
const RESOLUTION_MS = 10;

export interface SystemPressure extends Pressure {
  /** Ends the measurement. */
  close(): void;
}

/** Event-loop delay and CPU of this process since the last reading. */
export function systemPressure(): SystemPressure {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  let cpu = process.cpuUsage();
  let readAtMs = performance.now();
  let newest = { current: 0, eventLoop: 0 };
  const read = (): typeof newest => {
    const nowMs = performance.now();
    // Shares of a shorter time are chance.
    if (nowMs - readAtMs < PERIOD_MS_MIN) return newest;
    const used = process.cpuUsage(cpu);
    const cpuShare = (used.user + used.system) / MICROSECONDS_PER_MS / (nowMs - readAtMs);
    const eventLoop = delayShare(delay);
    newest = { eventLoop, current: Math.max(eventLoop, cpuShare / CPU_SHARE_MAX) };
    [cpu, readAtMs] = [process.cpuUsage(), nowMs];
    delay.reset();
    return newest;
  };
  return {
    current: () => read().current,
    eventLoop: () => read().eventLoop,
    close: () => void delay.disable(),
  };
}

const PERIOD_MS_MIN = 500;
const MICROSECONDS_PER_MS = 1_000;

/** The histogram counts the sampling period itself, which is no delay. */
function delayShare(delay: ReturnType<typeof monitorEventLoopDelay>): number {
  if (delay.count === 0) return 0;
  return Math.max(0, delay.percentile(99) - RESOLUTION_MS * 1_000_000) / DELAY_NS_MAX;
}
