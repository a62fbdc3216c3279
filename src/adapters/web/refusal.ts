import { decodeProblem, type Problem } from "../../../protocols/http/problem.ts";
import { ProtocolError } from "../../../protocols/lib/errors.ts";
import { WebError } from "../../ports/web.ts";
import type { ExchangeAnswer } from "./exchange.ts";

/** Whoever asks for patience without saying how long is asked again after this time, and after an hour at the latest. */
export const RETRY_AFTER_MS_DEFAULT = 5_000;
export const RETRY_AFTER_MS_MAX = 3_600_000;

export interface Refusal {
  /** Absent where the answer is not in our form, as a server on the way may give it. */
  readonly problem: Problem | undefined;
  /** WebError `throttled` or `refused`. */
  error(url: string): WebError;
}

/** What an answer refuses; `undefined` for a success. */
export function refusalOf({ status, headers, body }: ExchangeAnswer): Refusal | undefined {
  if (status >= 200 && status < 300) return undefined;
  const problem = problemIn(body);
  return {
    problem,
    error: (url) => {
      const message = `${url} answers ${status}${problem === undefined ? "" : ` ${problem.code}: ${problem.detail}`}`;
      if (status !== 429 && status !== 503) return new WebError("refused", message);
      return new WebError("throttled", message, { retryAfterMs: retryAfterMs(headers["retry-after"]) });
    },
  };
}

function problemIn(body: Uint8Array): Problem | undefined {
  try {
    return decodeProblem(body);
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

/** Seconds (RFC 9110 §10.2.3); a date is as good as nothing, since clocks differ. */
function retryAfterMs(header: string | string[] | undefined): number {
  if (typeof header !== "string" || !/^\d{1,9}$/.test(header)) return RETRY_AFTER_MS_DEFAULT;
  return Math.min(RETRY_AFTER_MS_MAX, Number(header) * 1_000);
}
