import type { Hello } from "../protocols/announce/hello.ts";
import type { SignedHead } from "../protocols/checkpoint/head.ts";
import type { CatalogPage, PageRefusal, PageRequest } from "../protocols/http/catalog-page.ts";
import type { AgentReader, RegistryNode } from "./api.ts";
import type { Introduction } from "../protocols/http/introduction-documents.ts";

/** What a running registry offers to other registries that come over HTTP; libp2p has its own way in. */
export interface FederationNode {
  /** Who we are and our newest head. @throws NodeError `paused` before our descriptor is known */
  introduction(): Promise<Introduction>;
  /** The newest version of our own catalogue; `undefined` before the first commit. */
  version(): OwnVersion | undefined;
  /** Calls `listener` with each version from now on, from inside the catalogue's turn: it must not block and not throw. */
  onVersion(listener: (version: OwnVersion) => void): void;
  /**
   * Another registry told us who it is; its descriptor was opened by the caller. Answers as a hello would.
   * @throws NodeError `paused`; `refused` for one that the operator removed
   */
  announced(theirs: Introduction): Promise<Hello>;
  /** A page of our own catalogue's changes. @param asker DID of the registry that asks: its cursors are good for itself alone */
  catalogPage(request: PageRequest, asker: string): Promise<CatalogPage | PageRefusal>;
  /** Whether the request names a cursor that this process gave to `asker` for the same base. */
  isContinuation(request: PageRequest, asker: string): boolean;
  /** What we hold of a registry; `undefined` when it never introduced itself. */
  knownRegistry(did: string): Promise<KnownRegistry | undefined>;
  /**
   * Takes one request of `did` from its budget, which counts over all transports. A `continuation`, a later page of a sync whose
   * first page was paid for, has a budget of its own: a whole sync counts as one request.
   */
  takeRequest(did: string, kind?: "request" | "continuation"): RequestBudget;
  /** Our URLs or trust bundle changed: our descriptor is made anew. */
  facadeChanged(): void;
}

/** A version of our own catalogue, durable and ready to be told. */
export interface OwnVersion {
  readonly head: SignedHead;
  readonly epoch: number;
  /** Leaves of the log. */
  readonly size: number;
}

export interface KnownRegistry {
  /** Trust bundle of its newest descriptor. */
  readonly bundle: string | undefined;
  /** Nothing of it is taken any more. */
  readonly isolated: boolean;
  /** The operator named it, as a contact or as one to follow: strangers that are followed because all are do not count. */
  readonly isWanted: boolean;
  /** Of its web face, the best one; absent where it has none. */
  readonly url?: string;
}

export interface RequestBudget {
  /** 0 when the request may be served. */
  readonly retryAfterMs: number;
  /** Requests in one minute. */
  readonly limit: number;
  /** Requests that may come at once now. */
  readonly remaining: number;
  /** Until all of the budget is there again. */
  readonly resetMs: number;
}

/** What `createNode` gives back. */
export type RunningNode = RegistryNode & AgentReader & FederationNode;
