import { didOfPeerId, peerIdOfDid } from "../../protocols/lib/did.ts";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import type { Reply } from "../actors/actor.ts";
import { NodeError } from "../api.ts";
import type { StoreOperation } from "../ports/store.ts";
import type { MembershipOptions } from "./options.ts";
import { addressKey, descriptorKey, removedKey } from "./rows.ts";
import type { Member, MemberTable } from "./table.ts";
import type { Tasks } from "./tasks.ts";

/** Registries that the operator removed and that are remembered as such. */
export const REMOVED_MAX = 4_096;

/** What the operator says about peers: who is met first, and who is not wanted. */
export class Operator {
  readonly #options: MembershipOptions;
  readonly #tasks: Tasks;
  readonly #members: MemberTable;
  readonly #added: () => void;
  readonly #removedOne: () => void;
  /** DID → peer id of those who are neither met nor followed, whoever speaks of them, until they are added again. */
  readonly #removed = new Map<string, string>();

  constructor(
    options: MembershipOptions,
    tasks: Tasks,
    parts: { readonly members: MemberTable; readonly added: () => void; readonly removed: () => void },
  ) {
    this.#options = options;
    this.#tasks = tasks;
    this.#members = parts.members;
    this.#added = parts.added;
    this.#removedOne = parts.removed;
  }

  /** @param addresses added in an earlier run @param removed DIDs removed in an earlier run */
  start(addresses: readonly string[], removed: readonly string[]): void {
    const { peers, network, log } = this.#options;
    for (const did of removed) this.#removed.set(did, peerIdOfDid(did));
    for (const address of peers)
      this.#tryConfigure(address, (error) => log.warn("a configured peer is left out", { address, error }));
    for (const address of addresses)
      this.#tryConfigure(address, (error) => log.warn("an added peer is left out", { address, error }));
    network.setGater((peerId) => this.#mayConnect(peerId));
  }

  isRemoved(did: string): boolean {
    return this.#removed.has(did);
  }

  add(address: string, reply: Reply<void>): void {
    const member = this.#tryConfigure(address, (error) => reply.reject(error));
    if (member === undefined) return;
    this.#added();
    const operations: StoreOperation[] = [
      { type: "put", key: addressKey(address), value: Buffer.of(1) },
      { type: "del", key: removedKey(member.did) },
    ];
    this.#tasks.task(
      () => this.#options.store.batch(operations, { durable: true }),
      (outcome) => (outcome.ok ? reply.resolve() : reply.reject(outcome.error)),
    );
  }

  /** Answers with the DID, or `undefined` when no such peer is known. */
  remove(which: string, reply: Reply<string | undefined>): void {
    const member = this.#members
      .all()
      .find(({ did, addresses, peerId }) => did === which || peerId === which || addresses.includes(which));
    if (member === undefined) return reply.resolve(undefined);
    const { did, peerId, addresses } = member;
    const operations: StoreOperation[] = [descriptorKey(did), ...addresses.map(addressKey)].map((key) => ({ type: "del", key }));
    for (const oldest of this.#removed.keys()) {
      if (this.#removed.size < REMOVED_MAX) break;
      this.#removed.delete(oldest);
      operations.push({ type: "del", key: removedKey(oldest) });
    }
    this.#removed.set(did, peerId);
    operations.push({ type: "put", key: removedKey(did), value: Buffer.of(1) });
    this.#members.remove(did);
    this.#removedOne();
    const { store, network } = this.#options;
    this.#tasks.task(
      async () => {
        await store.batch(operations, { durable: true });
        await network.disconnect(peerId);
      },
      (outcome) => (outcome.ok ? reply.resolve(did) : reply.reject(outcome.error)),
    );
  }

  #tryConfigure(address: string, refuse: (error: NodeError) => void): Member | undefined {
    const { identity, registriesMax } = this.#options;
    try {
      const peerId = address.slice(address.lastIndexOf("/p2p/") + "/p2p/".length);
      const did = didOfPeerId(peerId);
      if (did === identity.did) throw new NodeError("invalid", `"${address}" is our own address: name another registry`);
      const member = this.#members.ensure(did);
      if (member === undefined) throw new NodeError("overloaded", `${registriesMax} registries are known and wanted already`);
      this.#removed.delete(did);
      member.configured = true;
      member.addresses = [...new Set([...member.addresses, address])];
      member.dialAtMs = Number.NEGATIVE_INFINITY;
      return member;
    } catch (error) {
      if (error instanceof NodeError) refuse(error);
      else if (error instanceof ProtocolError)
        refuse(new NodeError("invalid", `"${address}" is not a peer's address: it must end in /p2p/<peer id>`));
      else throw error;
      return undefined;
    }
  }

  /** The operator's peers always, others while there is room. */
  #mayConnect(peerId: string): boolean {
    const { network, connectionsMax } = this.#options;
    const known = this.#members.byPeer(peerId);
    if (known?.configured === true) return true;
    for (const unwanted of this.#removed.values()) if (unwanted === peerId) return false;
    const connected = network.connected();
    return connected.length < connectionsMax || connected.includes(peerId);
  }
}
