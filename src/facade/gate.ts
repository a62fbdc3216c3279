import { busyProblem, throttledProblem } from "./refusals.ts";
import type { RequestCaller } from "./request-caller.ts";
import type { PendingAnswers } from "./pending-answers.ts";
import type { Route } from "./route.ts";
import type { Services } from "./services.ts";
import type { Shedding } from "./shedding.ts";

export interface GateParts {
  readonly pending: PendingAnswers;
  readonly shedding: Shedding;
  readonly services: Services;
}

/**
 * What is decided before a body is read: load and limits by address first, as they cost next to nothing, then who calls.
 * @throws ProblemError, ProtocolError
 */
export async function gate(
  { pending, shedding, services }: GateParts,
  route: Route | undefined,
  caller: RequestCaller,
): Promise<void> {
  if (route?.unlimited === true) return;
  if (!pending.admits(caller.addressKey))
    throw busyProblem("earlier answers to your address were not taken yet; read them first");
  const standing = await caller.takeStanding(route?.access);
  const nowMs = services.context.clock.monotonic();
  if (!shedding.admits(standing, nowMs)) throw busyProblem("the registry has too much to do; try again later");
  const waitMs = services.rates.requests.take(caller.addressKey, nowMs);
  if (waitMs > 0) throw throttledProblem("too many requests from your address; send fewer", waitMs);
  switch (route?.access) {
    case "registry":
      await caller.admitRegistry();
      return route.isContinuation === undefined ? caller.count("request") : undefined;
    case "stranger":
      return caller.limitStranger();
    case "operator":
      return caller.requireOperator();
  }
}
