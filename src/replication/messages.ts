import type { SignedHead } from "../../protocols/checkpoint/head.ts";
import type { Outcome, Reply } from "../actors/actor.ts";
import type { SyncStatus } from "../api.ts";
import type { CatalogueQuery } from "../catalog/messages.ts";
import type { WebPeer } from "../ports/web.ts";

/** What is known of a followed registry, newest first: it is kept beside its actor and changed by `Replicas` alone. */
export interface Followed {
  readonly name: string;
  /** The epoch that its descriptor names, and the final checkpoint of one before. */
  readonly epoch: number;
  readonly previous: string | undefined;
  /** The newest head that was heard of. */
  readonly head: SignedHead | undefined;
  /** Who may be asked, best first: the home by its peer id or the URL of `web`, then peers that may replicate it. */
  readonly sources: readonly string[];
  /** The home's web face, while it is reached only there. */
  readonly web: WebPeer | undefined;
}

/** What may be sent to a replica: the actor that follows one registry. */
export type ReplicaMessage =
  | CatalogueQuery
  /** A head of the followed registry, from gossip or a peer; it is verified here. */
  | { readonly type: "head"; readonly head: SignedHead }
  | { readonly type: "sources"; readonly sources: readonly string[] }
  /** The followed registry's descriptor is new, and maybe its epoch. */
  | { readonly type: "epoch" }
  /** The stored bytes of this record fail their checksum. */
  | { readonly type: "damaged"; readonly key: Uint8Array }
  /** Syncs now; resolves when up to date or failed. */
  | { readonly type: "sync"; readonly reply: Reply<SyncStatus> }
  | { readonly type: "status"; readonly reply: Reply<ReplicaStatus> }
  /** Of the actor to itself. */
  | { readonly type: "step"; readonly run: (outcome: Outcome<unknown>) => void; readonly outcome: Outcome<unknown> }
  | { readonly type: "turn"; readonly run: () => void }
  | { readonly type: "retry" };

export interface ReplicaStatus extends SyncStatus {
  readonly refusedRecords: number;
  readonly epoch: number;
  readonly logSize: number;
  /** The newest head that is complete here, for handshakes: it lets a restored registry learn its own newest version. */
  readonly head: SignedHead | undefined;
}
