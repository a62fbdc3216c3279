import type { RequestBudget } from "../federation-api.ts";

const POLICY = "registry";
const WINDOW_SECONDS = 60;

/** `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers): what a registry's budget is and what is left of it. */
export function rateFields({ limit, remaining, resetMs }: RequestBudget): Record<string, string> {
  return {
    "ratelimit-policy": `"${POLICY}";q=${limit};w=${WINDOW_SECONDS}`,
    ratelimit: `"${POLICY}";r=${remaining};t=${Math.ceil(resetMs / 1_000)}`,
  };
}
