import { z } from "zod";

/**
 * Waiting for news: the query of `GET /federation/checkpoint` names the version that the asker knows, and how long it would wait
 * for another one (rest.md, "Waiting for news"). It stands in the query since the signature of a request covers that.
 */
export interface HeadWait {
  /** Epoch of the newest version that the asker knows. */
  readonly epoch: number;
  /** Leaves of its log. */
  readonly size: number;
  /** At least 1; a server waits for WAIT_SECONDS_MAX at most. */
  readonly seconds: number;
}

/** Longest wait, in seconds: below the time after which servers and what stands between close a quiet connection. */
export const WAIT_SECONDS_MAX = 25;

/** Decimal digits of a number in a query: all such numbers are exact. */
const DIGITS_MAX = 15;

const decimal = z
  .string()
  .max(DIGITS_MAX)
  .regex(/^(?:0|[1-9]\d*)$/, "expected a decimal number without leading zeros");

/** The members as a query has them; others are passed over. */
export const headWaitSchema: z.ZodType<HeadWaitQuery> = z.looseObject({
  wait: decimal
    .meta({ description: `seconds to wait for another version than the one named; ${WAIT_SECONDS_MAX} at most are waited` })
    .optional(),
  epoch: decimal.meta({ description: "with wait: epoch of the version that the asker knows" }).optional(),
  size: decimal.meta({ description: "with wait: log size of that version" }).optional(),
});

export interface HeadWaitQuery {
  readonly wait?: string | undefined;
  readonly epoch?: string | undefined;
  readonly size?: string | undefined;
}

/** The query, with its question mark. */
export function encodeHeadWait({ epoch, size, seconds }: HeadWait): string {
  return `?epoch=${epoch}&size=${size}&wait=${seconds}`;
}

/** What a query that fits the schema asks for; `undefined` for an answer at once. */
export function readHeadWait({ wait, epoch, size }: HeadWaitQuery): HeadWait | undefined {
  if (wait === undefined || epoch === undefined || size === undefined) return undefined;
  const seconds = Math.min(WAIT_SECONDS_MAX, Number(wait));
  return seconds === 0 ? undefined : { epoch: Number(epoch), size: Number(size), seconds };
}
