import type { Catalogue } from "../catalog/catalogue.ts";
import type { ReplicaStatus } from "./messages.ts";

export type StoredPart = Pick<ReplicaStatus, "agents" | "syncedRoot" | "targetRoot" | "lastSync" | "epoch" | "logSize" | "head">;

/** What a replica's rows hold; taken only while no session is under way. */
export function storedPart({ head, map, state, epoch, log, syncedAtMs }: Catalogue): StoredPart {
  return {
    agents: map.size,
    syncedRoot: head === undefined || state !== "complete" ? null : head.commit.roots.map,
    targetRoot: head?.commit.roots.map ?? null,
    lastSync: syncedAtMs === 0 ? null : new Date(syncedAtMs).toISOString(),
    ...{ epoch, logSize: log.size, head: head?.signed },
  };
}
