import type { Scenario } from "./scenario.ts";

export const converge: Scenario = {
  name: "converge",
  summary: "registries write while messages are lost, doubled, late and out of order; no machine fails",
  families: ["network"],
  safetyMs: [5_000, 20_000],
  joinShare: 0,
  lateJoiner: false,
};
