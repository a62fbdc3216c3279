import type { Scenario } from "./scenario.ts";

export const restore: Scenario = {
  name: "restore",
  summary: "machines are lost and come back with an old copy of their disk, or with their key alone",
  families: ["network", "crashes", "restores"],
  safetyMs: [15_000, 40_000],
  joinShare: 0,
  lateJoiner: false,
};
