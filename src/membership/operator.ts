import { didOfPeerId, peerIdOfDid } from "../../protocols/lib/did.ts";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import type { Reply } from "../actors/actor.ts";
import { NodeError, type ContactProblem, type PeerAddition } from "../api.ts";
import type { StoreOperation } from "../ports/store.ts";
import { contactProblem } from "./contact-problem.ts";
import { dialProblemOf, problemOfDial } from "./dialled-contacts.ts";
import { ADD_TIMEOUT_MS, type Introductions, type NamedUrl } from "./introductions.ts";
import type { MembershipOptions } from "./options.ts";
import { MembershipPart } from "./part.ts";
import { isPeerUrl, parsePeerUrl } from "./peer-url.ts";
import { addressKey, descriptorKey, removedKey } from "./rows.ts";
import { isMet, REDIAL_MS_MAX, type Member, type MemberTable } from "./table.ts";
import type { Tasks } from "./tasks.ts";

/** Registries that the operator removed and that are remembered as such. */
export const REMOVED_MAX = 4_096;
/** Longest time between two attempts to meet a registry, of introductions as of dials. */
const RETRY_MS_MAX = 1.5 * REDIAL_MS_MAX;
/** How often it is looked whether a registry that is being added was met. */
const ADD_LOOK_MS = 50;
/** Registries of one name that a refusal tells apart. */
const NAMESAKES_SHOWN_MAX = 8;

export interface OperatorParts {
  readonly introductions: () => Introductions;
  readonly added: () => void;
  /** Dials one address of a member by itself; `undefined` says that the member is there. */
  readonly tryAddress: (member: Member, address: string, done: (error: Error | undefined) => void) => void;
  readonly removed: () => void;
}

/** What the operator says about peers: who is met first, and who is not wanted. */
export class Operator extends MembershipPart {
  readonly #parts: OperatorParts;
  /** By DID: those who are neither met nor followed, whoever speaks of them, until they are added again. */
  readonly #removed = new Map<string, { readonly peerId: string; readonly atMs: number }>();

  constructor(options: MembershipOptions, tasks: Tasks, members: MemberTable, parts: OperatorParts) {
    super(options, tasks, members);
    this.#parts = parts;
  }

  /** @param addresses added in an earlier run @param removed DIDs removed in an earlier run */
  start(addresses: readonly string[], removed: readonly string[]): void {
    const { peers, network, log } = this.options;
    // Whom the settings name, or what was added since, counts more than a removal in an earlier run.
    for (const did of removed) this.#removed.set(did, { peerId: peerIdOfDid(did), atMs: Number.NEGATIVE_INFINITY });
    for (const address of peers) this.#name(address, (error) => log.warn("a configured peer is left out", { address, error }));
    for (const address of addresses) this.#name(address, (error) => log.warn("an added peer is left out", { address, error }));
    network.setGater((peerId) => this.#mayConnect(peerId));
  }

  isRemoved(did: string): boolean {
    return this.#removed.has(did);
  }

  add(address: string, reply: Reply<PeerAddition>): void {
    const keep = (did: string | undefined, replaced: string | undefined, addition: PeerAddition): void => {
      this.#parts.added();
      const operations: StoreOperation[] = [{ type: "put", key: addressKey(address), value: Buffer.of(1) }];
      if (replaced !== undefined) operations.push({ type: "del", key: addressKey(replaced) });
      if (did !== undefined) operations.push({ type: "del", key: removedKey(did) });
      this.tasks.task(
        () => this.options.store.batch(operations, { durable: true }),
        (outcome) => (outcome.ok ? reply.resolve(addition) : reply.reject(outcome.error)),
      );
    };
    if (isPeerUrl(address)) {
      return this.#parts.introductions().add(address, (outcome) => {
        if (outcome instanceof NodeError) return reply.reject(outcome);
        const { named, replaced } = outcome;
        keep(named.did, replaced, this.#addition(named.did, named.problem, address));
      });
    }
    this.#addDialled(address, reply, (did, problem) => keep(did, undefined, this.#addition(did, problem, address)));
  }

  #addition(did: string | undefined, problem: ContactProblem | undefined, address: string): PeerAddition {
    if (did !== undefined && problem === undefined)
      return { outcome: "met", did, name: this.members.get(did)?.descriptor?.name ?? "" };
    return { outcome: "kept", did: did ?? null, problem: problem ?? noAnswer(address), retryMsMax: RETRY_MS_MAX };
  }

  /** Dials a multiaddr, and waits a while for what comes of it. */
  #addDialled(
    address: string,
    reply: Reply<PeerAddition>,
    done: (did: string, problem: ContactProblem | undefined) => void,
  ): void {
    const { clock, isListening } = this.options;
    const untilMs = clock.monotonic() + ADD_TIMEOUT_MS;
    const undo = this.#undo(address);
    const member = this.#tryConfigure(address, (error) => reply.reject(error));
    if (member === undefined) return;
    member.dialProblem = undefined;
    const isGone = (): boolean => this.members.get(member.did) !== member;
    const gone = (): void => reply.reject(new NodeError("refused", `${member.did} was removed while it was dialled`));
    const look = (): void => {
      if (isGone()) return gone();
      if (isMet(member) && member.descriptor !== undefined) return done(member.did, undefined);
      const problem = member.dialling ? undefined : dialProblemOf(member);
      if (problem !== undefined) return done(member.did, problem);
      if (clock.monotonic() >= untilMs) return done(member.did, noAnswer(address));
      this.tasks.later(ADD_LOOK_MS, look);
    };
    const tried = (error: Error | undefined): void => {
      if (isGone()) return gone();
      if (error === undefined) return look();
      const problem = problemOfDial(error);
      if (problem.code !== "wrong_pin") return done(member.did, isMet(member) ? metElsewhere(problem) : problem);
      undo(member);
      reply.reject(new NodeError("refused", `${problem.reason}; ${problem.fix}`));
    };
    const start = (): void => {
      if (isGone()) return gone();
      if (isListening()) return this.#parts.tryAddress(member, address, tried);
      if (clock.monotonic() >= untilMs) return done(member.did, noAnswer(address));
      this.tasks.later(ADD_LOOK_MS, start);
    };
    start();
  }

  /** What takes back that a registry is named at this address now. */
  #undo(address: string): (member: Member) => void {
    const before = this.members.byPeer(peerIdIn(address));
    const wasConfigured = before?.configured === true;
    const wasNamed = before?.addresses.includes(address) === true;
    const removed = [...this.#removed].find(([, { peerId }]) => peerId === peerIdIn(address));
    return (member) => {
      if (!wasNamed) member.addresses = member.addresses.filter((one) => one !== address);
      if (!wasNamed) member.failedTrials.delete(address);
      member.configured = wasConfigured;
      if (before === undefined && !isMet(member)) this.members.remove(member.did);
      if (removed !== undefined) this.#removed.set(...removed);
    };
  }

  /** A registry that was named by URL. @throws NodeError `overloaded`; `refused` for one that was removed after it was named */
  configureNamed(did: string, named: NamedUrl): void {
    if ((this.#removed.get(did)?.atMs ?? Number.NEGATIVE_INFINITY) > named.namedAtMs)
      throw new NodeError("refused", `${named.url} is ${did}, which was removed: add it again to take it back`);
    const member = this.#configure(did);
    member.urls = [...new Set([...member.urls, named.url])];
    if (named.did !== undefined && named.did !== did) {
      const before = this.members.get(named.did);
      if (before !== undefined) before.urls = before.urls.filter((url) => url !== named.url);
    }
  }

  /**
   * Answers with the DID, or with the URL of a peer that never said who it is; `undefined` when no such peer is known. Rejected
   * with NodeError `invalid` for a name of several.
   * @param which DID, peer id, address, or name
   */
  remove(which: string, reply: Reply<string | undefined>): void {
    const url = urlOf(which);
    const [member, ...others] = this.#find(which, url);
    if (member !== undefined && others.length > 0) return reply.reject(ambiguous(which, [member, ...others]));
    const named = this.#parts
      .introductions()
      .forget((one) => one.url === url || (member !== undefined && one.did === member.did))
      .map(({ address }) => address);
    if (member === undefined) return this.#removeUnknown(url, named, reply);
    const { did, peerId, addresses } = member;
    const operations: StoreOperation[] = [descriptorKey(did), ...[...addresses, ...named].map(addressKey)].map((key) => ({
      type: "del",
      key,
    }));
    for (const oldest of this.#removed.keys()) {
      if (this.#removed.size < REMOVED_MAX) break;
      this.#removed.delete(oldest);
      operations.push({ type: "del", key: removedKey(oldest) });
    }
    this.#removed.set(did, { peerId, atMs: this.options.clock.monotonic() });
    operations.push({ type: "put", key: removedKey(did), value: Buffer.of(1) });
    this.members.remove(did);
    this.#parts.removed();
    this.#warnOfReturn([...addresses, ...named]);
    const { store, network } = this.options;
    this.tasks.task(
      async () => {
        await store.batch(operations, { durable: true });
        await network.disconnect(peerId);
      },
      (outcome) => (outcome.ok ? reply.resolve(did) : reply.reject(outcome.error)),
    );
  }

  /** Several only by name. A name is what a registry says of itself, so that it counts least. */
  #find(which: string, url: string | undefined): readonly Member[] {
    const members = this.members.all();
    const exact = members.find(
      ({ did, addresses, peerId, urls }) =>
        did === which || peerId === which || addresses.includes(which) || (url !== undefined && urls.includes(url)),
    );
    return exact === undefined ? members.filter(({ descriptor }) => descriptor?.name === which) : [exact];
  }

  #warnOfReturn(removed: readonly string[]): void {
    const addresses = this.options.peers.filter((address) => removed.includes(address));
    if (addresses.length > 0)
      this.options.log.warn("a removed peer comes back at the next start, unless the settings no longer name it", { addresses });
  }

  #removeUnknown(url: string | undefined, named: readonly string[], reply: Reply<string | undefined>): void {
    if (named.length === 0) return reply.resolve(undefined);
    this.#warnOfReturn(named);
    const operations = named.map((address): StoreOperation => ({ type: "del", key: addressKey(address) }));
    this.tasks.task(
      () => this.options.store.batch(operations, { durable: true }),
      (outcome) => (outcome.ok ? reply.resolve(url) : reply.reject(outcome.error)),
    );
  }

  #name(address: string, refuse: (error: NodeError) => void): void {
    if (!isPeerUrl(address)) return void this.#tryConfigure(address, refuse);
    try {
      this.#parts.introductions().name(address);
    } catch (error) {
      if (!(error instanceof NodeError)) throw error;
      refuse(error);
    }
  }

  /** @throws NodeError `overloaded` */
  #configure(did: string): Member {
    const member = this.members.ensure(did);
    if (member === undefined)
      throw new NodeError("overloaded", `${this.options.registriesMax} registries are known and wanted already`);
    this.#removed.delete(did);
    member.configured = true;
    member.dialAtMs = Number.NEGATIVE_INFINITY;
    return member;
  }

  #tryConfigure(address: string, refuse: (error: NodeError) => void): Member | undefined {
    try {
      const did = didOfPeerId(peerIdIn(address));
      if (did === this.options.identity.did)
        throw new NodeError("invalid", `"${address}" is our own address: name another registry`);
      const member = this.#configure(did);
      member.addresses = [...new Set([...member.addresses, address])];
      return member;
    } catch (error) {
      if (error instanceof NodeError) refuse(error);
      else if (error instanceof ProtocolError)
        refuse(
          new NodeError("invalid", `"${address}" is not a peer's address: it must end in /p2p/<peer id>, or be an https URL`),
        );
      else throw error;
      return undefined;
    }
  }

  /** The operator's peers always, others while there is room. */
  #mayConnect(peerId: string): boolean {
    const { network, connectionsMax } = this.options;
    const known = this.members.byPeer(peerId);
    if (known?.configured === true) return true;
    for (const unwanted of this.#removed.values()) if (unwanted.peerId === peerId) return false;
    const connected = network.connected();
    return connected.length < connectionsMax || connected.includes(peerId);
  }
}

/** What stands where a multiaddr has its peer id. */
function peerIdIn(address: string): string {
  return address.slice(address.lastIndexOf("/p2p/") + "/p2p/".length);
}

function metElsewhere(problem: ContactProblem): ContactProblem {
  return { ...problem, reason: `${problem.reason}; it is met already, by another way` };
}

function noAnswer(address: string): ContactProblem {
  const reason = `${address} has not said who it is after ${ADD_TIMEOUT_MS} ms`;
  return contactProblem("timeout", reason, "nothing yet: it is tried on; `registry peer list` shows what comes of it");
}

function ambiguous(name: string, namesakes: readonly Member[]): NodeError {
  const shown = namesakes.slice(0, NAMESAKES_SHOWN_MAX).map(({ did }) => did);
  const more = namesakes.length > shown.length ? ` and ${namesakes.length - shown.length} more` : "";
  return new NodeError("invalid", `${namesakes.length} peers have the name "${name}": ${shown.join(", ")}${more}; give a DID`);
}

/** The URL in the form in which it is kept; `undefined` for what is none. */
function urlOf(which: string): string | undefined {
  try {
    return isPeerUrl(which) ? parsePeerUrl(which).url : undefined;
  } catch (error) {
    // A DID looks like a URL, too.
    if (error instanceof NodeError) return undefined;
    throw error;
  }
}
