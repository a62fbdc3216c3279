import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Pressure } from "../../ports/pressure.ts";

/** Above these a process answers late: how long what comes at any moment waits for its turn, and the share of one core in use. */
const WAIT_NS_MAX = 50_000_000;
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
  let loop = performance.eventLoopUtilization();
  let readAtMs = performance.now();
  let newest = { current: 0, eventLoop: 0 };
  const read = (): typeof newest => {
    const nowMs = performance.now();
    // Shares of a shorter time are chance, and several readers would each see a part of it alone.
    if (nowMs - readAtMs < PERIOD_MS_MIN) return newest;
    const used = process.cpuUsage(cpu);
    const usedMs = (used.user + used.system) / MICROSECONDS_PER_MS;
    const cpuShare = usedMs / (nowMs - readAtMs);
    const { active: activeMs } = performance.eventLoopUtilization(loop);
    // While the machine runs others in our place we are late, too, but to do less ourselves would hardly help.
    const ownShare = activeMs > usedMs ? usedMs / activeMs : 1;
    const eventLoop = delayShare(delay) * ownShare;
    newest = { eventLoop, current: Math.max(eventLoop, cpuShare / CPU_SHARE_MAX) };
    [cpu, loop, readAtMs] = [process.cpuUsage(), performance.eventLoopUtilization(), nowMs];
    delay.reset();
    return newest;
  };
  return {
    current: () => read().current,
    eventLoop: () => read().eventLoop,
    close: () => void delay.disable(),
  };
}

const PERIOD_MS_MIN = 900;
const MICROSECONDS_PER_MS = 1_000;

/**
 * The histogram holds the intervals between two turns of a timer. Who comes at any moment meets a long one more probably than a
 * short one, so that the mean wait is E[d²] / 2E[d]: one long turn among many short ones makes few wait, and is no overload.
 * The sampling period itself is no delay.
 */
function delayShare({ count, mean, stddev }: ReturnType<typeof monitorEventLoopDelay>): number {
  if (count === 0) return 0;
  const waitNs = (mean ** 2 + stddev ** 2) / (2 * mean) - (RESOLUTION_MS * NS_PER_MS) / 2;
  return Math.max(0, waitNs) / WAIT_NS_MAX;
}

const NS_PER_MS = 1_000_000;
