import { createHash } from "node:crypto";
import { decodePage, encodePage } from "../../protocols/http/catalog-documents.ts";
import type { CatalogPage, PageRefusal, PageRequest } from "../../protocols/http/catalog-page.ts";
import { decodePageRequest, encodePageRequest } from "../../protocols/http/page-request.ts";
import type { Descriptor } from "../../protocols/descriptor/descriptor.ts";
import type { SignedHead } from "../../protocols/checkpoint/head.ts";
import { ActorSystem } from "../../src/actors/system.ts";
import type { ActorRef, Outcome, Reply } from "../../src/actors/actor.ts";
import { createMemoryNetwork, type MemoryNetwork } from "../../src/adapters/memory/network.ts";
import { MemoryStore, type MemoryStoreHooks } from "../../src/adapters/memory/store.ts";
import type { Mutation, SyncStatus } from "../../src/api.ts";
import { CatalogActor } from "../../src/catalog/actor.ts";
import { CursorSeal } from "../../src/cursor-seal.ts";
import { CatalogueQueries } from "../../src/catalog/queries.ts";
import type { CatalogMessage, CatalogueQuery, Published } from "../../src/catalog/messages.ts";
import { rowSuffix, tableRange } from "../../src/catalog/rows.ts";
import type { RegistryIdentity } from "../../src/identity/registry-identity.ts";
import { WebError, type Web, type WebPeer } from "../../src/ports/web.ts";
import { RequestLimiter } from "../../src/replication/limiter.ts";
import type { ReplicaMessage, ReplicaStatus } from "../../src/replication/messages.ts";
import { Replicas } from "../../src/replication/replicas.ts";
import { serveFollower } from "../../src/replication/serve.ts";
import { CATALOG_SYNC_PROTOCOL } from "../../protocols/catalog-sync/messages.ts";
import { decodeRecord } from "../../protocols/record/codec.ts";
import { checksummed } from "../../src/adapters/checksum/store.ts";
import { agent, type Logged, type World } from "../node/harness.ts";
import type { Impostor } from "../node/impostor.ts";

/** Longer than any test: deadlines of asks are not what is tested here. */
const ASK_MS = 10 ** 10;
/** Whoever asks a twin. */
const ASKER = "did:key:zAsker";

export type Serve = (request: PageRequest) => Promise<CatalogPage | PageRefusal>;

/** The client of one web face without a network between: requests and pages pass through their documents. */
export class WebTwin implements Web {
  readonly asked: PageRequest[] = [];
  /** Falsifies pages before they are sent. */
  twist: (page: CatalogPage, request: PageRequest) => CatalogPage | PageRefusal = (page) => page;
  /** Runs before each request reaches the server, with its number from 1: it may wait, change the catalogue, or throw. */
  before: (count: number, request: PageRequest) => void | Promise<void> = () => undefined;
  serve: Serve;

  constructor(serve: Serve) {
    this.serve = serve;
  }

  async catalogPage(
    _peer: WebPeer,
    request: PageRequest,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<CatalogPage | PageRefusal> {
    const count = this.asked.push(request);
    const aborted = new Promise<never>((_resolve, reject) => {
      const onAbort = (): void => reject(new WebError("timeout", "called off", { cause: signal.reason }));
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
    });
    aborted.catch(() => undefined);
    await Promise.race([Promise.resolve(this.before(count, request)), aborted]);
    const read = decodePageRequest(encodePageRequest(request));
    const answer = await Promise.race([this.serve(read), aborted]);
    const sent = typeof answer === "string" ? answer : this.twist(answer, read);
    return typeof sent === "string" ? sent : decodePage(encodePage(sent, read));
  }

  introduction(): Promise<never> {
    return Promise.reject(new WebError("refused", "pages only"));
  }

  announce(): Promise<never> {
    return this.introduction();
  }

  head(): Promise<never> {
    return this.introduction();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** The catalogue of a registry, by the actor that serves it in a node. */
export class Home {
  readonly identity: RegistryIdentity;
  readonly network: MemoryNetwork;
  readonly store: MemoryStore;
  readonly #world: World;
  #actor: ActorRef<CatalogMessage>;
  #system: ActorSystem;
  #newest: Published | undefined;
  #cursors: CursorSeal;

  constructor(world: World, name: string) {
    this.#world = world;
    this.identity = world.identity(name);
    this.store = new MemoryStore();
    this.network = createMemoryNetwork(world.hub, { peerId: this.identity.peerId, listen: [`/memory/${name}`] });
    [this.#system, this.#actor, this.#cursors] = this.#start();
  }

  get did(): string {
    return this.identity.did;
  }

  get newest(): Published {
    if (this.#newest === undefined) throw new Error("nothing is published yet");
    return this.#newest;
  }

  get page(): Serve {
    return async (sealed) => {
      const request = this.#cursors.open(sealed, ASKER);
      if (request === undefined) return "bad_cursor";
      const page = await this.#actor.ask<CatalogPage | PageRefusal>((reply) => ({ type: "page", request, reply }), ASK_MS);
      return typeof page === "string" ? page : this.#cursors.seal(page, request, ASKER);
    };
  }

  /** One commit of all mutations. */
  async mutate(...mutations: readonly Mutation[]): Promise<void> {
    const results = await this.#actor.ask<{ outcome: string; code?: string }[]>(
      (reply) => ({ type: "mutate", mutations, reply }),
      ASK_MS,
    );
    // Who is not there cannot be deleted: the one refusal that a history may bring.
    for (const { outcome, code } of results) if (outcome === "refused" && code !== "not_found") throw new Error(String(code));
  }

  put(...names: readonly string[]): Promise<void> {
    return this.mutate(...names.map((name): Mutation => ({ op: "put", agent: agent(name) })));
  }

  /** The process is replaced by a new one over the same store. */
  async restart(): Promise<void> {
    this.#system.stopAll();
    [this.#system, this.#actor, this.#cursors] = this.#start();
    await this.page({ limit: 1, proofs: "none" });
  }

  async listen(): Promise<void> {
    await serve(this.#world, this.network, (did) => (did === this.did ? this.#actor : undefined));
  }

  #start(): [ActorSystem, ActorRef<CatalogMessage>, CursorSeal] {
    const ports = this.#world.ports(this.network, this.store, [], this.#world.power("home"));
    const system = new ActorSystem(ports);
    const { did } = this.identity;
    const options = {
      ...{ did, sign: (bytes: Uint8Array) => this.identity.sign(bytes), unsure: false, settled: undefined, ...ports },
      publish: (version: Published) => void (this.#newest = version),
      refetch: () => Promise.resolve(undefined),
    };
    const actor = system.spawn<CatalogMessage>({
      name: "catalog",
      create: (context) => new CatalogActor(options, context),
    });
    return [system, actor, new CursorSeal(options.sign)];
  }
}

/** Serves followers over streams, as a node does. */
async function serve(
  world: World,
  network: MemoryNetwork,
  findActor: (did: string) => ActorRef<CatalogMessage> | ActorRef<ReplicaMessage> | undefined,
): Promise<void> {
  const { clock } = world.ports(network, new MemoryStore(), [], world.power("streams"));
  const limiter = new RequestLimiter(100_000);
  const find = (did: string): ActorRef<CatalogueQuery> | undefined => findActor(did) as ActorRef<CatalogueQuery> | undefined;
  network.handle(CATALOG_SYNC_PROTOCOL, (frames, peerId) => serveFollower({ clock, limiter, find }, frames, peerId), {
    streamsPerPeerMax: 8,
  });
  await network.start();
}

/** Pages of whatever an impostor has signed. */
export function pagesOf(impostor: Impostor): Serve {
  const run = <T>(work: (signal: AbortSignal) => Promise<T>, then: (outcome: Outcome<T>) => void): void => {
    work(new AbortController().signal).then(
      (value) => then({ ok: true, value }),
      (error: Error) => then({ ok: false, error }),
    );
  };
  return (request) =>
    new Promise((resolve, reject) => {
      const queries = new CatalogueQueries(impostor.catalogue, impostor.store, run, {
        read: decodeRecord,
        damaged: () => 0,
      });
      queries.answer({ type: "page", request, reply: { resolve, reject } });
    });
}

/** What an impostor and a home have in common. */
export interface Followable {
  readonly identity: RegistryIdentity;
  readonly did: string;
}

export interface FollowerOptions {
  readonly store?: MemoryStore;
  readonly hooks?: MemoryStoreHooks;
  readonly agentsMax?: number;
}

/** The replicas of one node, which follows one registry. */
export class Follower {
  readonly store: MemoryStore;
  readonly logged: Logged[] = [];
  readonly evidence: Uint8Array[] = [];
  readonly replicas: Replicas;
  readonly network: MemoryNetwork;
  /** Its own. */
  readonly did: string;
  readonly #world: World;
  readonly #home: Followable;
  readonly #system: ActorSystem;

  constructor(world: World, home: Followable, web: Web, options: FollowerOptions = {}) {
    this.#home = home;
    this.store = options.store ?? new MemoryStore(options.hooks);
    const power = world.power("follower");
    const { peerId, did: ownDid } = world.identity(power.name.replace("#", "-"));
    [this.did, this.#world] = [ownDid, world];
    this.network = createMemoryNetwork(world.hub, { peerId, listen: [`/memory/${power.name}`] });
    const ports = world.ports(this.network, this.store, this.logged, power);
    this.#system = new ActorSystem(ports);
    this.replicas = new Replicas({
      ...{ ...ports, web, system: this.#system, follow: "all", replicasMax: 4, numbers: new Map([[home.did, 1]]) },
      agentsMax: options.agentsMax ?? 1_000_000,
      evidence: (evidence) => void this.evidence.push(evidence),
      changed: () => undefined,
    });
    const { did, name } = { did: home.did, name: "home" };
    this.replicas.member({ did, name, catalog: { epoch: 0 } } as Descriptor);
  }

  /** The home's web face is reached from now on, or no longer. */
  reach(isReached = true): void {
    const peer = { did: this.#home.did, url: "https://home.example", named: false, bundle: "" };
    this.replicas.reachable(new Map(isReached ? [[this.#home.did, peer]] : []));
  }

  listen(): Promise<void> {
    return serve(this.#world, this.network, (did) => this.replicas.get(did));
  }

  /** A connection over streams, to the home or to one that replicates it. */
  async connect(other: { readonly did: string; readonly network: MemoryNetwork }): Promise<void> {
    await this.network.start();
    const addresses = other.network.addresses();
    await this.network.connect({ addresses }, { signal: new AbortController().signal });
    this.replicas.connected([other.did]);
  }

  hear(head: SignedHead): void {
    this.replicas.head(this.#home.did, head);
  }

  /** Syncs now; resolves when up to date or failed. */
  sync(): Promise<SyncStatus> {
    return this.#ask((reply) => ({ type: "sync", reply }));
  }

  status(): Promise<ReplicaStatus> {
    return this.#ask((reply) => ({ type: "status", reply }));
  }

  records(): Promise<string> {
    return recordsOf(this.store, 1);
  }

  logs(message: RegExp): Logged[] {
    return this.logged.filter((entry) => message.test(entry.message));
  }

  stop(): void {
    this.#system.stopAll();
  }

  #ask<R>(make: (reply: Reply<R>) => ReplicaMessage): Promise<R> {
    const actor = this.replicas.get(this.#home.did);
    if (actor === undefined) throw new Error("nobody is followed");
    return actor.ask(make, ASK_MS);
  }
}

/** Number and digest of a catalogue's record rows: two that hold the same records have the same. */
export async function recordsOf(store: MemoryStore, number: number): Promise<string> {
  const digest = createHash("sha256");
  let count = 0;
  for await (const rows of checksummed(store).scan(tableRange(number, "record"))) {
    count += rows.length;
    for (const [key, record] of rows) digest.update(rowSuffix(key)).update(record);
  }
  return `${count} ${digest.digest("hex")}`;
}
