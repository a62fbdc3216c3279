import type { SignedHead } from "../../protocols/checkpoint/head.ts";
import type { Announcement, OpenAnnouncement } from "../../protocols/announce/announcement.ts";
import type { Hello } from "../../protocols/announce/hello.ts";
import type { Descriptor } from "../../protocols/descriptor/descriptor.ts";
import type { Outcome, Reply } from "../actors/actor.ts";
import type { Published } from "../catalog/messages.ts";
import type { PeerAddition, PeerContact } from "../api.ts";
import type { KnownRegistry } from "../federation-api.ts";
import type { PeerEvent } from "../ports/network.ts";
import type { Introduction } from "../../protocols/http/introduction-documents.ts";
import type { WebPeer } from "../ports/web.ts";

/** What may be sent to the actor that knows who is out there. */
export type MembershipMessage =
  /** The network has been started. */
  | { readonly type: "listening" }
  /** Our own catalogue has a new version, durable and ready to be told. */
  | { readonly type: "published"; readonly version: Published }
  /** An announcement by gossip that verified. */
  | { readonly type: "announcement"; readonly opened: OpenAnnouncement; readonly raw: Announcement }
  | { readonly type: "peer"; readonly event: PeerEvent }
  /** What we would say to this peer now. */
  | { readonly type: "hello"; readonly peerId: string; readonly reply: Reply<Hello> }
  | { readonly type: "hello_received"; readonly peerId: string; readonly hello: Hello }
  /** The newest head of a replica, for handshakes. */
  | { readonly type: "replicated"; readonly did: string; readonly head: SignedHead }
  | { readonly type: "evidence"; readonly did: string; readonly evidence: Uint8Array }
  | { readonly type: "add_peer"; readonly address: string; readonly reply: Reply<PeerAddition> }
  | { readonly type: "remove_peer"; readonly which: string; readonly reply: Reply<string | undefined> }
  | { readonly type: "status"; readonly reply: Reply<MembershipStatus> }
  /** Whether every registry that we know has said hello since we started, and so has shown what it holds of us. */
  | { readonly type: "all_heard"; readonly reply: Reply<boolean> }
  /** What anybody may know of us; `undefined` before our descriptor is current. */
  | { readonly type: "introduction"; readonly reply: Reply<Introduction | undefined> }
  /**
   * Another registry told us over HTTP who it is, and has proved it. Answered as a hello, `undefined` before our descriptor is
   * current; rejected with NodeError `refused` for a registry that the operator removed, `invalid`, `overloaded`.
   */
  | { readonly type: "announced"; readonly introduction: Introduction; readonly reply: Reply<Hello | undefined> }
  | { readonly type: "known"; readonly did: string; readonly reply: Reply<KnownRegistry | undefined> }
  /** Our URLs or trust bundle are others by now. */
  | { readonly type: "facade_changed" }
  /** Of the actor to itself. */
  | { readonly type: "step"; readonly run: (outcome: Outcome<unknown>) => void; readonly outcome: Outcome<unknown> };

export interface MembershipStatus {
  readonly members: readonly MemberView[];
  readonly contacts: readonly PeerContact[];
  readonly evidence: number;
  readonly descriptor: Uint8Array | undefined;
  /** Our own claim. */
  readonly domain: AliasView | undefined;
}

export interface MemberView {
  readonly did: string;
  readonly peerId: string;
  readonly name: string;
  readonly state: "new" | "alive" | "suspect" | "gone";
  /** Over whichever transport. */
  readonly connected: boolean;
  /** How it is met; `null` while it is not. */
  readonly transport: "libp2p" | "http" | null;
  readonly domain: AliasView | undefined;
  readonly configured: boolean;
  readonly rttMs: number | null;
  readonly head: SignedHead | undefined;
  readonly epoch: number;
}

/** A registry's claim to a domain. */
export interface AliasView {
  readonly name: string;
  /** Whether the domain's DID document points back to the registry. */
  readonly verified: boolean;
}

/** What membership tells the node, from inside its own turn: handlers must not block and not throw. */
export type MembershipEvent =
  | { readonly type: "member"; readonly descriptor: Descriptor; readonly configured: boolean }
  | { readonly type: "head"; readonly did: string; readonly head: SignedHead }
  /** Who is connected has changed: connected members, nearest first. */
  | { readonly type: "connected"; readonly dids: readonly string[] }
  /** All who are met over the web, after each change. */
  | { readonly type: "web"; readonly peers: ReadonlyMap<string, WebPeer> }
  /** A head with our own signature, shown by a peer. */
  | { readonly type: "own_head"; readonly head: SignedHead }
  | { readonly type: "forgotten"; readonly did: string };
