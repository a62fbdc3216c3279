import { churn } from "./churn.ts";
import { converge } from "./converge.ts";
import { partitionHeal } from "./partition-heal.ts";
import type { Scenario } from "./scenario.ts";

export const SCENARIOS: readonly Scenario[] = [converge, churn, partitionHeal];

export function scenarioNamed(name: string): Scenario | undefined {
  return SCENARIOS.find((scenario) => scenario.name === name);
}
