import { randomBytes } from "node:crypto";
import type { ClientHttp2Session } from "node:http2";
import type { ConnectionOptions } from "node:tls";
import { encodeBundle } from "../../protocols/bundle/bundle.ts";
import type { PageRefusal, PageRequest } from "../../protocols/http/catalog-page.ts";
import { MemoryStore } from "../../src/adapters/memory/store.ts";
import { systemClock } from "../../src/adapters/system/clock.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import type { Status } from "../../src/api.ts";
import { CONFIG_DEFAULTS } from "../../src/config.ts";
import type { FacadeContext } from "../../src/facade/context.ts";
import type { Route } from "../../src/facade/route.ts";
import { openFacade, type Facade, type FacadeOptions } from "../../src/facade/server.ts";
import type { KnownRegistry, OwnVersion, RequestBudget, RunningNode } from "../../src/federation-api.ts";
import { createRegistryIdentity, type RegistryIdentity } from "../../src/identity/registry-identity.ts";
import type { Authority } from "../../src/ports/certificates.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Credentials, Svid } from "../../src/ports/credentials.ts";
import type { Log } from "../../src/ports/log.ts";
import type { Store } from "../../src/ports/store.ts";
import { Rate } from "../../src/facade/rate.ts";
import { http2To, signedBy, type Sending, type Signing } from "./client.ts";
import { descriptorOf, HOUR_MS, leafOf, newAuthority, validFor } from "./registry-documents.ts";

export { send, type Received, type Sending } from "./client.ts";

export const clock: Clock = systemClock();
export const OPERATOR_TOKEN = "token-of-the-operator";

/** Credentials over real certificates, rotated by hand. */
export class TestCredentials implements Credentials {
  readonly identity: RegistryIdentity;
  readonly #listeners = new Set<(what: "svid" | "bundle") => void>();
  #authority: Authority;
  #svid: Svid;
  #sequence = 1;

  private constructor(identity: RegistryIdentity, authority: Authority, svid: Svid) {
    this.identity = identity;
    this.#authority = authority;
    this.#svid = svid;
  }

  static async create(identity: RegistryIdentity, lifetimeMs: number = HOUR_MS): Promise<TestCredentials> {
    const authority = await newAuthority(identity);
    const svid = await leafOf(identity, authority, validFor(lifetimeMs));
    return new TestCredentials(identity, authority, svid);
  }

  svid(): Svid {
    return this.#svid;
  }

  bundle(): string {
    const authorities = [this.#authority.certificate];
    return encodeBundle({ authorities, sequence: this.#sequence, refreshHintSeconds: 60 });
  }

  onChange(listener: (what: "svid" | "bundle") => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  issue({ path, lifetimeMs }: { path: string; lifetimeMs: number }): Promise<Svid> {
    return leafOf(this.identity, this.#authority, validFor(lifetimeMs), path);
  }

  close(): void {
    this.#listeners.clear();
  }

  /** A new leaf of the same authority. */
  async rotate(lifetimeMs: number = HOUR_MS): Promise<void> {
    this.#svid = await leafOf(this.identity, this.#authority, validFor(lifetimeMs));
    for (const listener of this.#listeners) listener("svid");
  }

  /** Another authority in the place of the old one. */
  async replaceAuthority(): Promise<void> {
    this.#authority = await newAuthority(this.identity);
    this.#sequence++;
    await this.rotate();
    for (const listener of this.#listeners) listener("bundle");
  }
}

/** A registry as others see it: its key, its certificates and its descriptor. */
export class TestRegistry {
  readonly identity: RegistryIdentity;
  readonly credentials: TestCredentials;

  private constructor(identity: RegistryIdentity, credentials: TestCredentials) {
    this.identity = identity;
    this.credentials = credentials;
  }

  static async create(name: string, lifetimeMs?: number): Promise<TestRegistry> {
    const identity = createRegistryIdentity(randomBytes(32), name);
    return new TestRegistry(identity, await TestCredentials.create(identity, lifetimeMs));
  }

  get did(): string {
    return this.identity.did;
  }

  descriptor(urls: readonly string[] = []): Uint8Array {
    return descriptorOf(this.identity, { sequence: 1, facade: { urls }, bundle: this.credentials.bundle() });
  }
}

/** What admission asks of a node, answered from maps; the routes of a whole node are tested with one. */
export class AdmissionNode {
  readonly known: Map<string, KnownRegistry> = new Map();
  readonly announcedDescriptors: Uint8Array[] = [];
  requestsTaken: number = 0;
  paused: string | null = null;
  refusal: PageRefusal = "empty";
  readonly #versionListeners = new Set<(version: OwnVersion) => void>();
  readonly #versionAsked: (() => void)[] = [];
  #version: OwnVersion | undefined;
  readonly #rate: Rate;
  readonly #self: TestRegistry;

  constructor(self: TestRegistry, perMinute: number) {
    this.#self = self;
    this.#rate = new Rate(perMinute, perMinute, 64);
  }

  introduction(): Promise<{ descriptor: Uint8Array }> {
    return Promise.resolve({ descriptor: this.#self.descriptor() });
  }

  version(): OwnVersion | undefined {
    for (const heard of this.#versionAsked.splice(0)) heard();
    return this.#version;
  }

  onVersion(listener: (version: OwnVersion) => void): void {
    this.#versionListeners.add(listener);
  }

  /** When somebody asks for the version next: what it does in the same turn is done when this resolves. */
  versionAsked(): Promise<void> {
    return new Promise((resolve) => this.#versionAsked.push(resolve));
  }

  publish(version: OwnVersion): void {
    this.#version = version;
    for (const listener of this.#versionListeners) listener(version);
  }

  announced({ descriptor }: { descriptor: Uint8Array }): Promise<unknown> {
    this.announcedDescriptors.push(descriptor);
    return Promise.resolve({ descriptor: this.#self.descriptor(), known: [], heads: [] });
  }

  catalogPage(): Promise<PageRefusal> {
    return Promise.resolve(this.refusal);
  }

  isContinuation({ cursor }: PageRequest): boolean {
    return cursor !== undefined;
  }

  knownRegistry(did: string): Promise<KnownRegistry | undefined> {
    return Promise.resolve(this.known.get(did));
  }

  takeRequest(did: string): RequestBudget {
    this.requestsTaken++;
    return { retryAfterMs: this.#rate.take(did, clock.monotonic()), limit: 100, remaining: 1, resetMs: 1_000 };
  }

  status(): Promise<Status> {
    return Promise.resolve({ multiaddrs: [], catalog: { paused: this.paused } } as unknown as Status);
  }

  knows(registry: TestRegistry, more: Partial<KnownRegistry> = {}): void {
    this.known.set(registry.did, { bundle: registry.credentials.bundle(), isolated: false, isWanted: false, ...more });
  }
}

export interface WorldOptions {
  readonly store?: Store;
  readonly routes?: readonly Route[];
  readonly requestsPerMinute?: number;
  readonly registry?: TestRegistry;
  readonly clock?: Clock;
  readonly pressure?: () => number;
  readonly webCertificate?: FacadeOptions["webCertificate"];
  readonly connections?: FacadeOptions["connections"];
  readonly domain?: string;
  readonly urls?: () => readonly string[];
}

/** One registry that serves, and what it logged. */
export class ServedRegistry {
  readonly registry: TestRegistry;
  readonly node: AdmissionNode;
  readonly facade: Facade;
  readonly logged: string[];
  readonly #sessions: ClientHttp2Session[] = [];

  private constructor(registry: TestRegistry, node: AdmissionNode, facade: Facade, logged: string[]) {
    this.registry = registry;
    this.node = node;
    this.facade = facade;
    this.logged = logged;
  }

  static async start(options: WorldOptions = {}): Promise<ServedRegistry> {
    const registry = options.registry ?? (await TestRegistry.create("server"));
    const { identity, credentials } = registry;
    const logged: string[] = [];
    const log = collector(logged);
    const facade = await openFacade({
      ...{ listen: { host: "127.0.0.1", port: 0 }, credentials, clock: options.clock ?? clock, log },
      ...(options.webCertificate && { webCertificate: options.webCertificate }),
      ...(options.connections && { connections: options.connections }),
    });
    const node = new AdmissionNode(registry, options.requestsPerMinute ?? 1_000);
    const context: FacadeContext = {
      ...{
        node: node as unknown as RunningNode,
        identity,
        credentials,
        clock: options.clock ?? clock,
        random: systemRandom(),
        log,
      },
      ...{ pressure: { current: () => 0, eventLoop: options.pressure ?? (() => 0) }, store: options.store ?? new MemoryStore() },
      ...{
        domain: options.domain ?? null,
        urls: options.urls ?? (() => [`https://127.0.0.1:${facade.port}`]),
        operatorToken: OPERATOR_TOKEN,
        requestsPerAddressPerMinuteMax: CONFIG_DEFAULTS.requestsPerAddressPerMinuteMax,
      },
    };
    await facade.serve(context, options.routes);
    return new ServedRegistry(registry, node, facade, logged);
  }

  get authority(): string {
    return `127.0.0.1:${this.facade.port}`;
  }

  /** A session that presents the certificate of `registry`, or another one. @param tls with `address`, as of `Connecting` */
  connect(
    registry?: TestRegistry | Svid,
    { address, ...tls }: ConnectionOptions & { address?: string } = {},
  ): ClientHttp2Session {
    const present = registry instanceof TestRegistry ? registry.credentials.svid() : registry;
    const session = http2To(this.facade.port, { present, address, tls });
    this.#sessions.push(session);
    return session;
  }

  async stop(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    await this.facade.close();
  }
}

/** A request from `sender` to `receiver`, signed. */
export function signed(
  { identity }: TestRegistry,
  { authority, registry }: Pick<ServedRegistry, "authority" | "registry">,
  signing: Signing,
): Required<Sending> {
  return signedBy(identity, { authority, did: registry.did }, signing);
}

function collector(into: string[]): Log {
  const note = (message: string, fields?: unknown): void => void into.push(`${message} ${describe(fields)}`);
  return { debug: () => undefined, info: note, warn: note, error: note, child: () => collector(into) };
}

function describe(fields: unknown): string {
  const error = (fields as { error?: unknown } | undefined)?.error;
  return error instanceof Error ? (error.stack ?? error.message) : "";
}
