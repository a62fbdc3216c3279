import { bitRot } from "./bit-rot.ts";
import { churn } from "./churn.ts";
import { converge } from "./converge.ts";
import { partitionHeal } from "./partition-heal.ts";
import { restore } from "./restore.ts";
import type { Scenario } from "./scenario.ts";

export const SCENARIOS: readonly Scenario[] = [converge, churn, partitionHeal, bitRot, restore];

export function scenarioNamed(name: string): Scenario | undefined {
  return SCENARIOS.find((scenario) => scenario.name === name);
}
