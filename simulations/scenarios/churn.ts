import type { Scenario } from "./scenario.ts";

export const churn: Scenario = {
  name: "churn",
  summary: "machines crash at any write, restart, join late; disks are slow and refuse writes; clocks jump",
  families: ["network", "crashes", "clocks", "disks"],
  safetyMs: [15_000, 45_000],
  joinShare: 0.3,
  lateJoiner: true,
};
