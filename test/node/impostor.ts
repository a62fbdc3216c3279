import { ANNOUNCE_TOPIC, encodeAnnouncement, type Announcement } from "../../protocols/announce/announcement.ts";
import { exchangeHello, HELLO_PROTOCOL, type Hello } from "../../protocols/announce/hello.ts";
import { serveCatalogSync, type Answer, type SyncSource } from "../../protocols/catalog-sync/handler.ts";
import { CATALOG_SYNC_PROTOCOL, type RefusalCode, type SyncRequest } from "../../protocols/catalog-sync/messages.ts";
import { encodeCommit } from "../../protocols/checkpoint/commit.ts";
import type { SignedHead } from "../../protocols/checkpoint/head.ts";
import { commitLeafHash } from "../../protocols/checkpoint/log.ts";
import { checkpointOrigin, encodeCheckpoint } from "../../protocols/checkpoint/note.ts";
import { signDescriptor } from "../../protocols/descriptor/codec.ts";
import type { DescriptorFields } from "../../protocols/descriptor/descriptor.ts";
import { hex } from "../../protocols/lib/bytes.ts";
import { encodeCanonical } from "../../protocols/lib/canonical.ts";
import { mintDid } from "../../protocols/lib/did.ts";
import type { Frames } from "../../protocols/lib/frames.ts";
import { keyOf, valueOf } from "../../protocols/lib/hash.ts";
import { decodeRecord } from "../../protocols/record/codec.ts";
import { nextHlc } from "../../protocols/record/hlc.ts";
import type { Outcome, Reply } from "../../src/actors/actor.ts";
import { createMemoryNetwork, type MemoryNetwork } from "../../src/adapters/memory/network.ts";
import { MemoryStore } from "../../src/adapters/memory/store.ts";
import { Catalogue, type Change } from "../../src/catalog/catalogue.ts";
import { CatalogueQueries } from "../../src/catalog/queries.ts";
import type { RegistryIdentity } from "../../src/identity/registry-identity.ts";
import { agent, type World } from "./harness.ts";

/** How one stream is treated: served honestly, or by the test's own hands. */
export type Behave = (frames: Frames, honest: (frames: Frames) => Promise<void>) => Promise<void>;

/**
 * A registry with a real key and no scruples: it signs whatever catalogue a test wants, and serves it through the real handler of
 * the protocol, or not at all.
 */
export class Impostor {
  readonly identity: RegistryIdentity;
  readonly network: MemoryNetwork;
  readonly store: MemoryStore = new MemoryStore();
  catalogue: Catalogue;
  /** Falsifies answers before they are sent. */
  twist: (answer: Answer) => Answer = (answer) => answer;
  behave: Behave = (frames, honest) => honest(frames);
  /** What it says when it meets somebody. */
  greeting: (hello: Hello) => Hello = (hello) => hello;
  /** Hellos that came. */
  readonly heard: Hello[] = [];
  /** Sync requests that came. */
  readonly asked: SyncRequest[] = [];
  streams = 0;
  batches = 0;
  descriptor: Uint8Array;
  readonly #world: World;
  #hlc: string | undefined;
  #sequence = 0;

  private constructor(world: World, name: string) {
    this.#world = world;
    this.identity = world.identity(name);
    this.network = createMemoryNetwork(world.hub, { peerId: this.identity.peerId, listen: [`/memory/${name}`] });
    this.catalogue = new Catalogue(0, this.identity.did);
    this.descriptor = this.describe();
  }

  static async start(world: World, name: string): Promise<Impostor> {
    const impostor = new Impostor(world, name);
    const { network } = impostor;
    network.handle(HELLO_PROTOCOL, (frames) => impostor.#hello(frames), { streamsPerPeerMax: 4 });
    network.handle(CATALOG_SYNC_PROTOCOL, (frames) => impostor.#sync(frames), { streamsPerPeerMax: 8 });
    network.subscribe(ANNOUNCE_TOPIC, () => "accept");
    await network.start();
    impostor.descriptor = impostor.describe();
    return impostor;
  }

  get did(): string {
    return this.identity.did;
  }

  get address(): string {
    return this.network.addresses()[0] as string;
  }

  get head(): SignedHead {
    return this.catalogue.head?.signed as SignedHead;
  }

  /** A descriptor of the next sequence, or whatever `more` says. */
  describe(more: Partial<DescriptorFields> = {}): Uint8Array {
    const { did, name, peerId, spiffeId } = this.identity;
    const now = this.now();
    const fields = {
      ...{ did, name, peerId, spiffeId, multiaddrs: this.network.addresses(), sequence: ++this.#sequence },
      ...{ issuedAt: now, expiresAt: now + 86_400_000, catalog: { epoch: this.catalogue.epoch } },
    };
    return signDescriptor({ ...fields, ...more }, (bytes) => this.identity.sign(bytes));
  }

  announce(announcement: Announcement = { descriptor: this.descriptor, head: this.head }): Promise<void> {
    return this.network.publish(ANNOUNCE_TOPIC, encodeAnnouncement(announcement));
  }

  async connect(address: string): Promise<string> {
    return this.network.connect({ addresses: [address] }, { signal: new AbortController().signal });
  }

  /** Says hello to a connected peer, of our own accord. */
  async greet(peerId: string, hello: Hello = this.greeting(this.#mine())): Promise<Hello> {
    const frames = await this.network.open(peerId, HELLO_PROTOCOL, { signal: new AbortController().signal });
    return exchangeHello(frames, hello);
  }

  /** Exact bytes of a record as a home would publish it; `more` replaces fields, also by what no home may write. */
  record(name: string, more: Readonly<Record<string, unknown>> = {}): Uint8Array {
    this.#hlc = nextHlc(this.#hlc, this.now());
    const { identity, catalogue } = this;
    const did = mintDid(identity.publicKey, `test/${name}`);
    const trail = { registry: identity.did, epoch: catalogue.epoch, revision: 1, hlc: this.#hlc };
    return encodeCanonical({ ...agent(name), did, ...trail, ...more } as never);
  }

  /** Puts records as they are, whatever they say; `keyOf` their DID unless named. */
  async commit(records: readonly Uint8Array[], options: { readonly deletes?: readonly string[] } = {}): Promise<SignedHead> {
    const puts = records.map((record): Change => {
      const { did } = JSON.parse(Buffer.from(record).toString()) as { did: string };
      return { key: keyOf(did), value: valueOf(record), record };
    });
    const deletes = (options.deletes ?? []).map((did): Change => ({ key: keyOf(did) }));
    const changes = [...puts, ...deletes];
    const { catalogue } = this;
    catalogue.apply(changes);
    catalogue.map.update();
    const { signed, leaf } = this.signHead(changes.length);
    catalogue.setHead(signed);
    await this.store.batch(
      [
        ...catalogue.changeOperations(changes, catalogue.sequence),
        catalogue.leafOperation(catalogue.log.size - 1, leaf),
        catalogue.headOperation(),
      ],
      { durable: false },
    );
    catalogue.recent.add(
      catalogue.sequence,
      changes.map(({ key }) => key),
      catalogue.mapRoot,
    );
    return signed;
  }

  /** Appends a commit of the map as it stands to the log and signs it. */
  signHead(changes: number, more: { readonly agents?: number } = {}): { signed: SignedHead; leaf: Uint8Array } {
    const { catalogue } = this;
    const seq = catalogue.log.size;
    const roots = { map: hex(catalogue.map.root()) };
    const agents = more.agents ?? catalogue.map.size;
    const commit = { agents, changes, epoch: catalogue.epoch, prev: roots, roots, seq, time: this.now() };
    const leaf = encodeCommit(commit);
    catalogue.log.append(commitLeafHash(leaf));
    const head = { origin: checkpointOrigin(this.did, catalogue.epoch), size: seq + 1, root: catalogue.log.root() };
    const note = encodeCheckpoint(head, (bytes) => this.identity.sign(bytes));
    return { signed: { note, commit: leaf, logProof: catalogue.log.inclusion(seq, seq + 1) }, leaf };
  }

  now(): number {
    return 1_893_456_000_000 + Math.floor(this.#world.simulation.nowMs);
  }

  #mine(): Hello {
    const { head } = this.catalogue;
    return { descriptor: this.descriptor, ...(head && { head: head.signed }), known: [], heads: [] };
  }

  async #hello(frames: Frames): Promise<void> {
    this.heard.push(await exchangeHello(frames, this.greeting(this.#mine())));
  }

  #sync(frames: Frames): Promise<void> {
    this.streams += 1;
    return this.behave(frames, (honest) => serveCatalogSync(honest, this.#source()));
  }

  #source(): SyncSource {
    const run = <T>(work: (signal: AbortSignal) => Promise<T>, then: (outcome: Outcome<T>) => void): void => {
      work(new AbortController().signal).then(
        (value) => then({ ok: true, value }),
        (error: Error) => then({ ok: false, error }),
      );
    };
    const queries = (): CatalogueQueries =>
      new CatalogueQueries(this.catalogue, this.store, run, { read: decodeRecord, damaged: () => 0 });
    const asked = <T>(registry: string, ask: (reply: Reply<T | RefusalCode>) => void): Promise<T | RefusalCode> =>
      registry === this.did
        ? new Promise((resolve, reject) => ask({ resolve, reject }))
        : Promise.resolve<RefusalCode>("unknown_registry");
    const twisted = (answer: Answer | RefusalCode): Answer | RefusalCode => {
      if (typeof answer === "string") return answer;
      const made = this.twist(answer);
      const count = (): void => void (this.batches += 1);
      async function* batches(): ReturnType<Answer["batches"]> {
        for await (const batch of made.batches()) {
          count();
          yield batch;
        }
      }
      return { ...made, batches };
    };
    return {
      retryAfterMs: () => 0,
      open: async (request) => {
        this.asked.push(request);
        return twisted(await asked<Answer>(request.registry, (reply) => queries().answer({ type: "serve", request, reply })));
      },
      compare: (request) => asked(request.registry, (reply) => queries().answer({ type: "compare", request, reply })),
      fetch: async (request, since) =>
        twisted(await asked<Answer>(request.registry, (reply) => queries().answer({ type: "fetch", request, since, reply }))),
    };
  }
}
