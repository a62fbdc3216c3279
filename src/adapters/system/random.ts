import { randomBytes } from "node:crypto";
import type { Random } from "../../ports/random.ts";

/** The most bytes that one call gives. */
export const RANDOM_BYTES_MAX = 65_536;

/** The operating system's generator for bytes, the engine's for jitter. `bytes` throws a RangeError beyond RANDOM_BYTES_MAX. */
export function systemRandom(): Random {
  return {
    bytes: (length) => {
      if (length > RANDOM_BYTES_MAX) throw new RangeError(`at most ${RANDOM_BYTES_MAX} random bytes at a time, not ${length}`);
      return randomBytes(length);
    },
    unit: () => Math.random(),
  };
}
