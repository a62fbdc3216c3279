import type { AgentFields, AgentRecord } from "../protocols/record/record.ts";

/**
 * What a running registry offers to those who operate it: the command line (through the admin socket), the programmatic
 * `Registry`, tests and the simulator. All of it is plain data, so that it crosses a socket unchanged.
 */
export interface RegistryNode {
  status(): Promise<Status>;
  identity(): Identity;

  /** Writes to our own catalogue, in order. Resolves once all that was accepted is durable and signed. */
  mutate(mutations: readonly Mutation[]): Promise<MutationResult[]>;
  /**
   * The agent by DID, as the best claim of all homes that we hold; or by `humanReadableId`: ours, else that of the only home that
   * holds one. @throws NodeError `invalid` for a name that is not ours and that several others have
   */
  getAgent(didOrName: string): Promise<AgentView | undefined>;
  /** Record with its proof as one JSON document for `verifyProofDocument`. @throws NodeError `not_found`, `not_provable` */
  proveAgent(didOrName: string): Promise<Record<string, unknown>>;
  /**
   * A page in a stable order: by registry (ours first), then by map key. It may be shorter than `limit`, even empty, before the
   * end: what one call looks at is bounded; the cursor says whether there is more.
   * @throws NodeError `invalid` for a foreign cursor or an impossible condition, `not_found` for a registry that is not held
   */
  listAgents(query: ListQuery): Promise<AgentPage>;

  /**
   * Names a registry to meet, now and after every start. It is tried at once, for a few seconds: an address at which nobody answers
   * is kept all the same, one at which somebody else answers is not.
   * @throws NodeError `invalid`; `refused` where the answer is not of the registry that is wanted, or of none; `overloaded`
   */
  addPeer(address: string): Promise<PeerAddition>;
  /** Forgets a configured peer (its address or DID) and stops following it. @throws NodeError `not_found` */
  removePeer(addressOrDid: string): Promise<void>;
  listPeers(): Promise<PeerStatus[]>;
  /** Syncs with the named registry, or with all that are followed, now. Resolves when each is up to date or has failed. */
  syncNow(did?: string): Promise<SyncStatus[]>;
  syncStatus(): Promise<SyncStatus[]>;

  /** Looks at what only a running node can see. What is wrong is in the answer, never thrown. */
  diagnose(): Promise<Diagnosis>;

  /** Drains: refuses new work, finishes commits under way, closes streams and stores. Safe to call twice. */
  stop(): Promise<void>;
}

/** The read path of those who serve agents to many. */
export interface AgentReader {
  /**
   * The record of `getAgent` as bytes, without its other claims; from memory while nothing that we hold has changed.
   * @throws NodeError `invalid` for a name that is not ours and that several others have, `damaged` while a record of it cannot be read
   */
  readAgent(didOrName: string): Promise<AgentDocument | undefined>;
  /** The record of the agent in our own catalogue, whoever's claim is shown. @throws NodeError `damaged` */
  readOwnAgent(did: string): Promise<AgentDocument | undefined>;
  /** Whether our own catalogue has the agent. */
  publishes(did: string): Promise<boolean>;
}

export interface AgentDocument {
  readonly did: string;
  /** DID of the home whose claim is shown. */
  readonly home: string;
  readonly own: boolean;
  readonly revision: number;
  /** When its home wrote it (protocols/record/hlc.ts). */
  readonly hlc: string;
  /** Exact record bytes: what the home's tree commits to. */
  readonly bytes: Uint8Array;
  /** Value hash of the bytes, hex. */
  readonly hash: string;
}

export interface Identity {
  readonly name: string;
  readonly did: string;
  readonly peerId: string;
  readonly spiffeId: string;
  readonly trustDomain: string;
  readonly epoch: number;
}

export interface Status {
  readonly name: string;
  readonly did: string;
  readonly peerId: string;
  readonly spiffeId: string;
  /** The first can be dialled as it is (`/p2p/…`). */
  readonly multiaddrs: readonly string[];
  readonly listening: readonly string[];
  readonly catalog: CatalogStatus;
  readonly peers: readonly PeerStatus[];
  /** What came of the addresses at which the operator named peers. */
  readonly contacts: readonly PeerContact[];
  readonly uptimeSeconds: number;
  readonly evidence: number;
  /** The HTTPS interface: `url` for programs on this machine, `urls` as others are told, best first; `null` when it is switched off. */
  readonly http: { readonly url: string; readonly urls: readonly string[] } | null;
}

export interface CatalogStatus {
  readonly agents: number;
  /** Commits in the log of this epoch. */
  readonly logSize: number;
  /** Hex, 64 digits. */
  readonly mapRoot: string;
  /** ISO 8601 time of the newest commit; `null` before the first. */
  readonly checkpointTime: string | null;
  readonly epoch: number;
  /** Why nothing is signed at the moment; `null` when all is well. */
  readonly paused: string | null;
}

export interface PeerStatus {
  readonly did: string;
  readonly name: string;
  /** `new` known but never met · `alive` · `suspect` silent for a while · `gone` silent for long */
  readonly state: "new" | "alive" | "suspect" | "gone";
  /** Agents replicated here (0 when not followed). */
  readonly agents: number;
  /** The newest map root that it signed and we have seen, hex; `null` when unknown. */
  readonly mapRoot: string | null;
  /** The map root up to which our replica is complete, hex; `null` before the first full sync. */
  readonly syncedRoot: string | null;
  readonly lastSync: string | null;
  /** Smoothed round trip in milliseconds, to the microsecond; `null` before the first. */
  readonly rttMs: number | null;
  readonly connected: boolean;
  readonly followed: boolean;
  readonly configured: boolean;
  /** Records that are replicated but fail the check, so they are never shown. */
  readonly refusedRecords: number;
  /** The alias that it claims; `null` for none. */
  readonly domain: string | null;
  /** Whether the DID document of `domain` points back to it. */
  readonly domainVerified: boolean;
  /** How it is followed; `null` while it cannot be reached, or is not followed. */
  readonly transport: "libp2p" | "http" | null;
}

/** An address at which the operator named a peer (settings, `peer add`), and what came of trying it. */
export interface PeerContact {
  /** A URL without its pin, or a multiaddr. */
  readonly address: string;
  /** DID that a registry must have there; `null` for any. */
  readonly pin: string | null;
  /** The registry that answered there last; the pin before that, `null` without one. */
  readonly did: string | null;
  /** `waiting` not tried yet · `met` · `unreachable` nobody answers · `refused` whoever answers is not taken */
  readonly state: "waiting" | "met" | "unreachable" | "refused";
  /** Why the newest attempt failed; `null` when it did not. */
  readonly problem: ContactProblem | null;
  /** ISO 8601; `null` before the first, and for a multiaddr that never failed. */
  readonly lastAttempt: string | null;
  /** ISO 8601; `null` while it is under way, and where there is none to come. */
  readonly nextAttempt: string | null;
}

export type ContactProblemCode =
  | "unreachable"
  | "timeout"
  | "throttled"
  /** No TLS, or none that is taken here. */
  | "no_tls"
  /** The certificate proves neither the registry that answers nor the host. */
  | "untrusted"
  | "redirected"
  | "no_registry"
  /** The descriptor is of another time: the clocks differ. */
  | "clock"
  | "wrong_pin"
  /** It says who it is, and does not take this registry: its operator removed it there, or it takes no more. */
  | "refused_by_peer"
  | "own_address"
  /** The operator removed the registry that answers. */
  | "removed"
  /** As many registries are known and wanted as are remembered. */
  | "full"
  /** This registry runs without the HTTPS interface that it would ask over. */
  | "no_https";

export interface ContactProblem {
  readonly code: ContactProblemCode;
  /** What was wrong, in one line; it may quote whoever answered. */
  readonly reason: string;
  /** What to do about it. */
  readonly fix: string;
}

/** What came of naming a peer. */
export type PeerAddition =
  | { readonly outcome: "met"; readonly did: string; readonly name: string }
  /** It is tried again until it answers, also after a restart. */
  | {
      readonly outcome: "kept";
      /** `null` for a URL without a pin. */
      readonly did: string | null;
      readonly problem: ContactProblem;
      /** Longest time between two attempts, in milliseconds. */
      readonly retryMsMax: number;
    };

export interface SyncStatus {
  readonly did: string;
  readonly name: string;
  readonly state: "idle" | "syncing" | "waiting" | "failed";
  readonly agents: number;
  /** Changes of the session under way: received of announced; 0 of 0 when idle. */
  readonly received: number;
  readonly total: number;
  readonly syncedRoot: string | null;
  readonly targetRoot: string | null;
  readonly lastSync: string | null;
  readonly lastError: string | null;
}

/** What a node finds when it looks at itself. */
export interface Diagnosis {
  /** Its wall clock, ISO 8601. */
  readonly time: string;
  readonly checks: readonly Check[];
}

export interface Check {
  /** Stable for scripts: an area such as `store`, and the DID or address after a blank where it is one of many. */
  readonly name: string;
  /** `warning` limits what works, `failed` keeps the registry from its work, `skipped` could not be looked at. */
  readonly state: "ok" | "warning" | "failed" | "skipped";
  /** What was found, in one line. */
  readonly found: string;
  /** What to do about it; `null` when there is nothing to do. */
  readonly fix: string | null;
  /** Milliseconds that the look took. */
  readonly tookMs: number;
}

/** What an owner or importer hands in: without a DID one is minted from `humanReadableId`. */
export type AgentInput = Omit<AgentFields, "did"> & { readonly did?: string; readonly reputation_score?: number };

export type Mutation =
  | {
      readonly op: "put";
      readonly agent: AgentInput;
      /** `create` refuses an existing agent, `update` a missing one; `upsert` (default) takes either. */
      readonly mode?: "create" | "update" | "upsert";
      /** Refused unless the stored revision is this one (optimistic concurrency). Required of self-certified agents: the signature covers it + 1. */
      readonly ifRevision?: number;
    }
  | { readonly op: "delete"; readonly did: string; readonly ifRevision?: number };

export type MutationResult =
  | { readonly outcome: "created" | "updated" | "unchanged" | "deleted"; readonly did: string; readonly revision: number }
  | {
      readonly outcome: "refused";
      readonly did: string | null;
      readonly code: string;
      readonly reason: string;
      /** The revision that the agent's signature has to cover, where it is missing or does not hold. */
      readonly nextRevision?: number;
    };

export interface AgentView {
  readonly agent: AgentRecord;
  readonly home: { readonly did: string; readonly name: string; readonly own: boolean };
  /** Other homes that claim the same DID, each with the record it holds: the trail. */
  readonly claims: readonly { readonly home: string; readonly agent: AgentRecord }[];
}

export interface ListQuery {
  /** 1 to LIST_LIMIT_MAX. */
  readonly limit: number;
  readonly cursor?: string;
  /** Only this registry's catalogue; all that we hold by default. */
  readonly registry?: string;
  /** A path of the taxonomy: `translation` finds `translation/en-fr`, too. */
  readonly capability?: string;
  /**
   * Words separated by white space, each found somewhere in the name, the description, the humanReadableId or a tag, whatever
   * its case (NFKC). Up to LIST_TEXT_LENGTH_MAX characters.
   */
  readonly text?: string;
  /** 0 to 1, compared with the score that the home claims; an agent without one counts as 0. */
  readonly minReputation?: number;
}

export interface AgentPage {
  readonly agents: readonly AgentRecord[];
  /** Agents that belong here and cannot be shown now, whether the conditions fit them or not: the page is complete without any. */
  readonly unavailable: readonly UnavailableAgent[];
  /** Hand it back for the next page; `null` at the end. */
  readonly cursor: string | null;
}

/** An agent whose stored record cannot be read, so that only its place is known. */
export interface UnavailableAgent {
  /** DID of the home. */
  readonly registry: string;
  /** Map key of the agent's DID, hex (`keyOf` in protocols/lib/hash.ts). */
  readonly key: string;
  /** `damaged`: its bytes fail their checksum; peers are asked for their copy. */
  readonly reason: "damaged";
}

export const LIST_LIMIT_MAX = 1_000;
/** A page ends where so many agents of it are unavailable. */
export const LIST_UNAVAILABLE_MAX = 100;
/** UTF-16 code units of the words that a listing looks for. */
export const LIST_TEXT_LENGTH_MAX = 256;
/** Mutations in one call of `mutate`. */
export const MUTATIONS_MAX = 2_000;

export type NodeErrorCode =
  | "not_found"
  | "not_provable"
  | "invalid"
  | "refused"
  | "paused"
  | "overloaded"
  | "storage"
  /** A stored record fails its checksum; peers are asked for their copy. */
  | "damaged"
  | "stopped"
  | "unreachable";

/** An answer that is not a bug: `code` decides the exit code and the status, `message` says what to do. */
export class NodeError extends Error {
  override readonly name = "NodeError";
  readonly code: NodeErrorCode;
  /** Milliseconds after which trying again may help; 0 where nothing is known of it. */
  readonly retryAfterMs: number;

  constructor(code: NodeErrorCode, message: string, options: { cause?: unknown; retryAfterMs?: number } = {}) {
    super(message, options);
    this.code = code;
    this.retryAfterMs = options.retryAfterMs ?? 0;
  }
}
