import type { Scenario } from "./scenario.ts";

export const bitRot: Scenario = {
  name: "bit-rot",
  summary:
    "stored bytes rot below their checksum, in records of which a copy exists or anywhere in replicas; processes restart on them",
  families: ["network", "disks", "rot"],
  safetyMs: [15_000, 40_000],
  joinShare: 0,
  lateJoiner: false,
};
