import type { Answer, Comparison } from "../../protocols/catalog-sync/handler.ts";
import type { CompareRequest, FetchRequest, RefusalCode, SyncRequest } from "../../protocols/catalog-sync/messages.ts";
import type { SignedHead } from "../../protocols/checkpoint/head.ts";
import type { CatalogPage, PageRefusal, PageRequest } from "../../protocols/http/catalog-page.ts";
import type { AgentRecord } from "../../protocols/record/record.ts";
import type { Outcome, Reply } from "../actors/actor.ts";
import type { CatalogStatus, Mutation, MutationResult } from "../api.ts";
import type { AgentFilter } from "./filter.ts";

/** What may be asked of any catalogue that we hold, our own or a replica's. */
export type CatalogueQuery =
  | { readonly type: "get"; readonly key: Uint8Array; readonly reply: Reply<StoredRecord | "withheld" | undefined> }
  | { readonly type: "prove"; readonly key: Uint8Array; readonly reply: Reply<RecordProof | "absent" | "not_provable"> }
  | {
      readonly type: "list";
      /** Keys above this one, ascending. */
      readonly after: Uint8Array;
      /** At most so many records, … */
      readonly limit: number;
      /** … looking at so many rows, … */
      readonly rowsMax: number;
      /** … ending with the record that brings their bytes to this, or with so many that cannot be read. */
      readonly bytesMax: number;
      readonly unavailableMax: number;
      readonly filter?: AgentFilter;
      readonly reply: Reply<ListedRecords>;
    }
  | { readonly type: "page"; readonly request: PageRequest; readonly reply: Reply<CatalogPage | PageRefusal> }
  | { readonly type: "serve"; readonly request: SyncRequest; readonly reply: Reply<Answer | RefusalCode> }
  | { readonly type: "compare"; readonly request: CompareRequest; readonly reply: Reply<Comparison | RefusalCode> }
  | {
      readonly type: "fetch";
      readonly request: FetchRequest;
      readonly since: number;
      readonly reply: Reply<Answer | RefusalCode>;
    };

/** The answer to `get`; `withheld` instead of a record that is there, may not be shown now, and perhaps may later. */
export interface StoredRecord {
  readonly key: Uint8Array;
  readonly record: AgentRecord;
  /** Exact record bytes. */
  readonly bytes: Uint8Array;
}

export interface ListedRecords {
  readonly records: readonly AgentRecord[];
  /** Keys of records that belong here and cannot be read now; whether they pass the filter is not known. */
  readonly unavailable: readonly Uint8Array[];
  /** Rows that were looked at, and the bytes of `records`. */
  readonly rows: number;
  readonly bytes: number;
  /** The key up to which was looked; absent when there are no more. */
  readonly next?: Uint8Array;
}

/** The parts of a proof document, all of one version. */
export interface RecordProof {
  readonly record: Uint8Array;
  readonly key: Uint8Array;
  readonly siblings: readonly Uint8Array[];
  readonly head: SignedHead;
}

/** What may be sent to the actor of our own catalogue: the only writer. */
export type CatalogMessage =
  | CatalogueQuery
  | { readonly type: "mutate"; readonly mutations: readonly Mutation[]; readonly reply: Reply<MutationResult[]> }
  | { readonly type: "status"; readonly reply: Reply<CatalogStatus> }
  /** The stored bytes of this record fail their checksum. */
  | { readonly type: "damaged"; readonly key: Uint8Array }
  /** A head that carries our own signature, shown by a peer. */
  | { readonly type: "own_head"; readonly head: SignedHead }
  /** The wait for peers that know our newest head is over (rule 7 of the architecture); whether every known registry was heard. */
  | { readonly type: "head_settled"; readonly allHeard: boolean }
  /** Writes what is queued now and refuses what comes later. */
  | { readonly type: "drain"; readonly reply: Reply<void> }
  /** Of the actor to itself. */
  | { readonly type: "step"; readonly run: (outcome: Outcome<unknown>) => void; readonly outcome: Outcome<unknown> }
  | { readonly type: "tick"; readonly what: "commit" | "heartbeat" | "repair" };

/** What the catalogue tells the node: sent after the version is durable, so it may be published. */
export interface Published {
  readonly head: SignedHead;
  readonly epoch: number;
  readonly size: number;
  readonly mapRoot: string;
  readonly agents: number;
  /** The last checkpoint of the epoch before. */
  readonly previous: string | undefined;
}
