/**
 * Hybrid logical clock (Kulkarni et al., 2014): 12 hex digits of Unix milliseconds, then 4 of a counter. As text it sorts as
 * it counts, so last-write-wins is a string comparison.
 */
export const HLC_LENGTH = 16;
export const HLC_PATTERN: RegExp = /^[0-9a-f]{16}$/;

/** How far ahead of our clock a record may be, in milliseconds; further ahead it is not admitted and never moves our clock. */
export const HLC_AHEAD_MS_MAX = 60_000;

const COUNTER_MAX = 0xffff;

export function hlcTime(hlc: string): number {
  return Number.parseInt(hlc.slice(0, 12), 16);
}

/** The next reading after `last` at wall time `nowMs`: later than both, whatever the wall clock does. */
export function nextHlc(last: string | undefined, nowMs: number): string {
  if (last === undefined || hlcTime(last) < nowMs) return format(nowMs, 0);
  const counter = Number.parseInt(last.slice(12), 16);
  return counter < COUNTER_MAX ? format(hlcTime(last), counter + 1) : format(hlcTime(last) + 1, 0);
}

function format(timeMs: number, counter: number): string {
  return timeMs.toString(16).padStart(12, "0") + counter.toString(16).padStart(4, "0");
}
