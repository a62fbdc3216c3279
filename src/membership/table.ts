import type { SignedHead } from "../../protocols/checkpoint/head.ts";
import { openCheckpoint, type Checkpoint } from "../../protocols/checkpoint/note.ts";
import { supersedes, type Descriptor } from "../../protocols/descriptor/descriptor.ts";
import { sameSequenceConflict } from "../../protocols/descriptor/evidence.ts";
import { peerIdOfDid } from "../../protocols/lib/did.ts";
import type { WebPeer } from "../ports/web.ts";

/** A member that was silent this long is suspect, and later gone; both are only about reaching it. */
export const SUSPECT_AFTER_MS = 45_000;
export const GONE_AFTER_MS = 300_000;
/** Failed dials wait this long, doubling up to the bound. */
export const REDIAL_MS_MIN = 500;
export const REDIAL_MS_MAX = 60_000;
/** Weight of the newest round trip in the running mean. */
const RTT_WEIGHT = 0.3;

/** One known registry. */
export interface Member {
  readonly did: string;
  readonly peerId: string;
  descriptor: Descriptor | undefined;
  /** Exact bytes of the descriptor, as they are passed on. */
  bytes: Uint8Array | undefined;
  head: SignedHead | undefined;
  checkpoint: Checkpoint | undefined;
  /** Addresses given by the operator, which stand also while there is no descriptor. */
  addresses: readonly string[];
  /** URLs of its web face that the operator named and that led to it. */
  urls: readonly string[];
  configured: boolean;
  connected: boolean;
  rttMs: number | null;
  /** Our monotonic time of the last sign of life; −∞ before the first. */
  seenAtMs: number;
  /** A newest head of an epoch that its descriptor does not name yet. */
  early: SignedHead | undefined;
  dialling: boolean;
  dialFailures: number;
  dialAtMs: number;
  /** Why the newest dial failed, and when, by the wall clock; `undefined` when it did not. */
  dialProblem: { readonly error: Error; readonly atMs: number } | undefined;
  /** By address of the operator: why it failed when it was tried by itself. It is tried again while the registry is connected. */
  readonly failedTrials: Map<string, FailedTrial>;
  /** Probes in a row that had no answer. */
  probeFailures: number;
  /** Whether hellos were exchanged on this connection, or are about to be. */
  greeted: boolean;
  /** Whether it said hello since we started, over whichever transport. */
  heard: boolean;
  helloFailures: number;
  readonly web: WebContact;
}

export interface FailedTrial {
  readonly error: Error;
  /** When, by the wall clock. */
  readonly atMs: number;
  /** When it is due again, by our monotonic time. */
  readonly dueMs: number;
}

/** How a registry is met whose libp2p addresses lead nowhere. */
export interface WebContact {
  /** Where its last announcement succeeded; `undefined` while it is not met so. */
  peer: WebPeer | undefined;
  /** Whether a request is under way. */
  busy: boolean;
  failures: number;
  /** Why the newest announcement failed; `undefined` when it did not. */
  problem: Error | undefined;
  announceAtMs: number;
  pollAtMs: number;
}

/**
 * All known registries, bounded. Who is configured, connected or followed stays; of the others the one that was silent for
 * longest leaves first. When all stay, a newcomer is not taken.
 */
export class MemberTable {
  readonly #members = new Map<string, Member>();
  readonly #byPeer = new Map<string, Member>();
  readonly #max: number;
  readonly #isFollowed: (did: string) => boolean;
  readonly #forgotten: (did: string) => void;

  constructor(max: number, isFollowed: (did: string) => boolean, forgotten: (did: string) => void) {
    this.#max = max;
    this.#isFollowed = isFollowed;
    this.#forgotten = forgotten;
  }

  get size(): number {
    return this.#members.size;
  }

  get(did: string): Member | undefined {
    return this.#members.get(did);
  }

  byPeer(peerId: string): Member | undefined {
    return this.#byPeer.get(peerId);
  }

  all(): Member[] {
    return [...this.#members.values()];
  }

  /** The member, made if need be; `undefined` when the table is full of members that may not leave. */
  ensure(did: string): Member | undefined {
    const known = this.#members.get(did);
    if (known !== undefined) return known;
    if (this.#members.size >= this.#max && !this.#evict()) return undefined;
    const member: Member = {
      ...{ did, peerId: peerIdOfDid(did), descriptor: undefined, bytes: undefined, head: undefined, checkpoint: undefined },
      ...{ addresses: [], urls: [], configured: false, connected: false, rttMs: null, seenAtMs: Number.NEGATIVE_INFINITY },
      ...{ early: undefined, dialling: false, dialFailures: 0, dialAtMs: Number.NEGATIVE_INFINITY },
      dialProblem: undefined,
      failedTrials: new Map(),
      ...{ probeFailures: 0, greeted: false, heard: false, helloFailures: 0 },
      web: {
        ...{ peer: undefined, busy: false, failures: 0, problem: undefined },
        ...{ announceAtMs: Number.NEGATIVE_INFINITY, pollAtMs: Number.NEGATIVE_INFINITY },
      },
    };
    this.#members.set(did, member);
    this.#byPeer.set(member.peerId, member);
    return member;
  }

  remove(did: string): void {
    const member = this.#members.get(did);
    if (member === undefined) return;
    this.#members.delete(did);
    this.#byPeer.delete(member.peerId);
    this.#forgotten(did);
  }

  #evict(): boolean {
    let oldest: Member | undefined;
    for (const member of this.#members.values()) {
      if (member.configured || isMet(member) || this.#isFollowed(member.did)) continue;
      if (oldest === undefined || member.seenAtMs < oldest.seenAtMs) oldest = member;
    }
    if (oldest !== undefined) this.remove(oldest.did);
    return oldest !== undefined;
  }
}

export type DescriptorVerdict = "newer" | "known" | { readonly evidence: Uint8Array };

/** Takes an opened descriptor: only a higher sequence replaces (T8), the same one with other content is evidence (T9). */
export function takeDescriptor(member: Member, descriptor: Descriptor, bytes: Uint8Array): DescriptorVerdict {
  const current = member.descriptor;
  const evidence = current && sameSequenceConflict(current, descriptor);
  if (evidence !== undefined) return { evidence };
  if (current !== undefined && !supersedes(descriptor, current)) return "known";
  member.descriptor = descriptor;
  member.bytes = Uint8Array.from(bytes);
  // A new descriptor may bring addresses that can be reached: the wait after failed dials is over.
  member.dialFailures = 0;
  member.dialAtMs = Number.NEGATIVE_INFINITY;
  return "newer";
}

/**
 * Takes a head whose signature was checked. True if it is newer than what we knew. Which epoch counts is said by the
 * descriptor: a head of a later one waits in `early` for it.
 */
export function takeHead(member: Member, head: SignedHead): boolean {
  const checkpoint = openCheckpoint(head.note);
  const epoch = member.descriptor?.catalog.epoch;
  if (epoch !== undefined && checkpoint.epoch > epoch) {
    if (member.early === undefined || isNewer(checkpoint, openCheckpoint(member.early.note))) member.early = head;
    return false;
  }
  const newer = member.checkpoint === undefined || isNewer(checkpoint, member.checkpoint);
  if (newer) {
    member.head = head;
    member.checkpoint = checkpoint;
  }
  return newer;
}

/** After a new descriptor: `head` becomes the newest of the epochs that it covers. */
export function confirmHead(member: Member): void {
  const { head, early, descriptor } = member;
  member.early = undefined;
  const epoch = descriptor?.catalog.epoch ?? 0;
  if (head !== undefined && (member.checkpoint?.epoch ?? 0) > epoch) {
    member.head = undefined;
    member.checkpoint = undefined;
    takeHead(member, head);
  }
  if (early !== undefined) takeHead(member, early);
}

function isNewer(one: Checkpoint, other: Checkpoint): boolean {
  return one.epoch > other.epoch || (one.epoch === other.epoch && one.size > other.size);
}

export function stateOf(member: Member, nowMs: number): "new" | "alive" | "suspect" | "gone" {
  if (isMet(member)) return nowMs - member.seenAtMs > SUSPECT_AFTER_MS ? "suspect" : "alive";
  if (member.seenAtMs === Number.NEGATIVE_INFINITY) return "new";
  const silentMs = nowMs - member.seenAtMs;
  return silentMs > GONE_AFTER_MS ? "gone" : silentMs > SUSPECT_AFTER_MS ? "suspect" : "alive";
}

/** Whether we are in contact with it, over whichever transport. */
export function isMet(member: Member): boolean {
  return member.connected || member.web.peer !== undefined;
}

/** @param rttMs one round trip, over whichever transport */
export function noteRtt(member: Member, rttMs: number): void {
  member.rttMs = member.rttMs === null ? rttMs : member.rttMs * (1 - RTT_WEIGHT) + rttMs * RTT_WEIGHT;
}
