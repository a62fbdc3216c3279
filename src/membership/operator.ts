import { didOfPeerId, peerIdOfDid } from "../../protocols/lib/did.ts";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import type { Reply } from "../actors/actor.ts";
import { NodeError } from "../api.ts";
import type { StoreOperation } from "../ports/store.ts";
import type { MembershipOptions } from "./options.ts";
import type { Introductions, NamedUrl } from "./introductions.ts";
import { MembershipPart } from "./part.ts";
import { isPeerUrl, parsePeerUrl } from "./peer-url.ts";
import { addressKey, descriptorKey, removedKey } from "./rows.ts";
import type { Member, MemberTable } from "./table.ts";
import type { Tasks } from "./tasks.ts";

/** Registries that the operator removed and that are remembered as such. */
export const REMOVED_MAX = 4_096;
/** Registries of one name that a refusal tells apart. */
const NAMESAKES_SHOWN_MAX = 8;

export interface OperatorParts {
  readonly introductions: () => Introductions;
  readonly added: () => void;
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

  add(address: string, reply: Reply<void>): void {
    const keep = (did: string): void => {
      this.#parts.added();
      const operations: StoreOperation[] = [
        { type: "put", key: addressKey(address), value: Buffer.of(1) },
        { type: "del", key: removedKey(did) },
      ];
      this.tasks.task(
        () => this.options.store.batch(operations, { durable: true }),
        (outcome) => (outcome.ok ? reply.resolve() : reply.reject(outcome.error)),
      );
    };
    if (isPeerUrl(address)) {
      const done = (outcome: string | NodeError): void => (typeof outcome === "string" ? keep(outcome) : reply.reject(outcome));
      return this.#parts.introductions().add(address, done);
    }
    const member = this.#tryConfigure(address, (error) => reply.reject(error));
    if (member !== undefined) keep(member.did);
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
      const peerId = address.slice(address.lastIndexOf("/p2p/") + "/p2p/".length);
      const did = didOfPeerId(peerId);
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
