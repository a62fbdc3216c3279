import type { RequestBudget } from "../federation-api.ts";

/** A registry's budget of one kind, as it stands once a request was taken from it. */
export interface CountedBudget extends RequestBudget {
  readonly kind: "request" | "continuation";
}

/** Names of the two policies in the fields. */
const POLICIES: Readonly<Record<CountedBudget["kind"], string>> = { request: "registry", continuation: "continuation" };
const WINDOW_SECONDS = 60;

/** `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers): what a registry's budget is and what is left of it. */
export function rateFields({ kind, limit, remaining, resetMs }: CountedBudget): Record<string, string> {
  const policy = POLICIES[kind];
  return {
    "ratelimit-policy": `"${policy}";q=${limit};w=${WINDOW_SECONDS}`,
    ratelimit: `"${policy}";r=${remaining};t=${Math.ceil(resetMs / 1_000)}`,
  };
}
