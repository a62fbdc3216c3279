import type { ActorRef } from "../actors/actor.ts";
import type { ActorSystem } from "../actors/system.ts";
import type { FollowPolicy } from "../config.ts";
import { CATALOGUE_NUMBER_MAX, catalogueRange, deleteRange } from "../catalog/rows.ts";
import { fromUtf8, utf8 } from "../../protocols/lib/bytes.ts";
import { peerIdOfDid } from "../../protocols/lib/did.ts";
import type { Descriptor } from "../../protocols/descriptor/descriptor.ts";
import type { SignedHead } from "../../protocols/checkpoint/head.ts";
import type { Store } from "../ports/store.ts";
import type { WebPeer } from "../ports/web.ts";
import { ReplicaActor } from "./actor.ts";
import type { ReplicaOptions } from "./options.ts";
import type { Followed, ReplicaMessage } from "./messages.ts";
import { KeptStream } from "./stream.ts";

/** Other peers than the home that a replica may ask. */
export const OTHER_SOURCES_MAX = 8;

const NUMBERS = Buffer.of(0x03);

export interface ReplicasOptions extends Omit<ReplicaOptions, "home" | "number" | "followed" | "kept"> {
  readonly system: ActorSystem;
  readonly follow: FollowPolicy;
  readonly replicasMax: number;
  /** Numbers of the catalogues in the store, as `loadReplicaNumbers` read them. */
  readonly numbers: Map<string, number>;
}

/** The replicas of this node: which registries are followed, and what their actors are told. */
export class Replicas {
  readonly #options: ReplicasOptions;
  readonly #actors = new Map<string, ActorRef<ReplicaMessage>>();
  /** The newest facts of each followed registry, for an actor that is made anew. */
  readonly #followed = new Map<string, { -readonly [K in keyof Followed]: Followed[K] }>();
  /** Numbers whose rows are being deleted. */
  readonly #deleting = new Set<number>();
  #connected: readonly string[] = [];
  #webPeers: ReadonlyMap<string, WebPeer> = new Map();

  constructor(options: ReplicasOptions) {
    this.#options = options;
  }

  get(did: string): ActorRef<ReplicaMessage> | undefined {
    return this.#actors.get(did);
  }

  /** The replica whose rows carry this number. */
  byNumber(number: number): ActorRef<ReplicaMessage> | undefined {
    for (const [did, own] of this.#options.numbers) if (own === number) return this.#actors.get(did);
    return undefined;
  }

  /** Followed registries in the order of their DIDs. */
  all(): readonly (readonly [string, ActorRef<ReplicaMessage>])[] {
    return [...this.#actors].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  member(descriptor: Descriptor): void {
    const { did, name, catalog } = descriptor;
    const actor = this.#actors.get(did) ?? this.#follow(did);
    const followed = this.#followed.get(did);
    if (actor === undefined || followed === undefined) return;
    Object.assign(followed, { name, epoch: catalog.epoch, previous: catalog.previous });
    actor.tell({ type: "epoch" });
  }

  head(did: string, head: SignedHead): void {
    const followed = this.#followed.get(did);
    if (followed === undefined) return;
    followed.head = head;
    this.#actors.get(did)?.tell({ type: "head", head });
  }

  /** @param dids connected members, nearest first */
  connected(dids: readonly string[]): void {
    this.#connected = dids;
    this.#setSources();
  }

  /** @param peers those whose web face is reached, by DID: a followed home that is not connected is asked there */
  reachable(peers: ReadonlyMap<string, WebPeer>): void {
    this.#webPeers = peers;
    this.#setSources();
  }

  #setSources(): void {
    for (const [did, actor] of this.#actors) {
      const followed = this.#followed.get(did);
      if (followed === undefined) continue;
      const before = followed.sources;
      const { sources } = Object.assign(followed, this.#sources(did));
      if (before.join() !== sources.join()) actor.tell({ type: "sources", sources });
    }
  }

  /** Stops following and forgets what was replicated. */
  async forget(did: string): Promise<void> {
    const { system, numbers, store } = this.#options;
    const actor = this.#actors.get(did);
    if (actor !== undefined) system.stop(actor);
    this.#actors.delete(did);
    this.#followed.delete(did);
    const number = numbers.get(did);
    if (number === undefined) return;
    // Followed again meanwhile, it gets another number.
    numbers.delete(did);
    this.#deleting.add(number);
    try {
      await store.batch([{ type: "del", key: numberKey(did) }], { durable: true });
      await deleteRange(store, catalogueRange(number));
    } finally {
      this.#deleting.delete(number);
    }
  }

  #follow(did: string): ActorRef<ReplicaMessage> | undefined {
    const { follow, replicasMax, numbers, system, store, log } = this.#options;
    const wanted = follow === "all" || (follow !== "none" && follow.includes(did));
    if (!wanted || this.#actors.size >= replicasMax) return undefined;
    const number = numbers.get(did) ?? freeNumber(new Set([...numbers.values(), ...this.#deleting]));
    if (number === undefined) return undefined;
    if (!numbers.has(did)) {
      numbers.set(did, number);
      const value = Buffer.allocUnsafe(2);
      value.writeUInt16BE(number);
      // In order before the replica's own rows, so that those are never without a name.
      store.batch([{ type: "put", key: numberKey(did), value }], { durable: false }).catch((error: unknown) => {
        log.error("a replica's number could not be stored", { did, error });
      });
    }
    const followed = { name: "", epoch: 0, previous: undefined, head: undefined, ...this.#sources(did) };
    const kept = new KeptStream();
    this.#followed.set(did, followed);
    const actor = system.spawn<ReplicaMessage>({
      name: `replica ${did}`,
      create: (context) => new ReplicaActor({ ...this.#options, home: did, number, followed, kept }, context),
    });
    this.#actors.set(did, actor);
    return actor;
  }

  #sources(did: string): Pick<Followed, "sources" | "web"> {
    const others = this.#connected.filter((other) => other !== did).slice(0, OTHER_SOURCES_MAX);
    const isConnected = this.#connected.includes(did);
    const web = isConnected || this.#options.web === undefined ? undefined : this.#webPeers.get(did);
    const home = isConnected ? peerIdOfDid(did) : web?.url;
    return { sources: [...(home === undefined ? [] : [home]), ...others.map(peerIdOfDid)], web };
  }
}

export async function loadReplicaNumbers(store: Store): Promise<Map<string, number>> {
  const numbers = new Map<string, number>();
  for await (const rows of store.scan({ from: NUMBERS, to: Buffer.of(0x04) })) {
    for (const [key, value] of rows) numbers.set(fromUtf8(key.subarray(1)), Buffer.from(value).readUInt16BE());
  }
  return numbers;
}

function numberKey(did: string): Uint8Array {
  return Buffer.concat([NUMBERS, utf8(did)]);
}

function freeNumber(taken: ReadonlySet<number>): number | undefined {
  for (let number = 1; number <= CATALOGUE_NUMBER_MAX; number++) if (!taken.has(number)) return number;
  return undefined;
}
