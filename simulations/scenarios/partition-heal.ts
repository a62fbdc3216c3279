import type { Scenario } from "./scenario.ts";

export const partitionHeal: Scenario = {
  name: "partition-heal",
  summary: "the network falls apart in both directions or one, machines crash meanwhile; then all heals",
  families: ["network", "partitions", "crashes", "disks"],
  safetyMs: [12_000, 25_000],
  joinShare: 0,
  lateJoiner: false,
};
