import assert from "node:assert/strict";
import { VirtualClock, WallClock } from "../../simulations/engine/clock.ts";
import { Power } from "../../simulations/engine/power.ts";
import { VirtualScheduler } from "../../simulations/engine/scheduler.ts";
import { Simulation } from "../../simulations/engine/simulation.ts";
import { checksummed } from "../../src/adapters/checksum/store.ts";
import { MemoryHub } from "../../src/adapters/memory/hub.ts";
import { directLink, type Link } from "../../src/adapters/memory/link.ts";
import { createMemoryNetwork, type MemoryNetwork } from "../../src/adapters/memory/network.ts";
import { MemoryStore, type MemoryStoreHooks } from "../../src/adapters/memory/store.ts";
import type { AgentInput, AgentReader, MutationResult, PeerStatus, RegistryNode } from "../../src/api.ts";
import { CONFIG_DEFAULTS } from "../../src/config.ts";
import { createRegistryIdentity, type RegistryIdentity } from "../../src/identity/registry-identity.ts";
import { createNode, type NodeOptions, type NodePorts } from "../../src/node.ts";
import type { Log } from "../../src/ports/log.ts";
import type { StoreOperation } from "../../src/ports/store.ts";

/** Virtual milliseconds that a script may take, and that a condition is waited for. */
const SCRIPT_MS_MAX = 7_200_000;
export const WAIT_MS_MAX = 120_000;
const POLL_MS = 10;

export interface StartOptions extends Partial<
  Pick<NodeOptions, "follow" | "agentsPerReplicaMax" | "replicasMax" | "registriesMax" | "requestsPerPeerPerMinuteMax" | "unsure">
> {
  readonly peers?: readonly (TestNode | string)[];
  /** What the disk holds already: a restart, or a restored copy. */
  readonly disk?: MemoryStore;
  readonly hooks?: MemoryStoreHooks;
  readonly identity?: RegistryIdentity;
  /** Addresses of the node's own, `/memory/<name>` by default. */
  readonly listen?: readonly string[];
}

/** One logged event. */
export interface Logged {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A registry under test and what it stands on. */
export class TestNode {
  readonly name: string;
  readonly identity: RegistryIdentity;
  readonly network: MemoryNetwork;
  readonly disk: MemoryStore;
  readonly power: Power;
  readonly logged: Logged[];
  readonly options: StartOptions;
  readonly node: RegistryNode & AgentReader;

  constructor(parts: Omit<TestNode, "did" | "address" | "peer" | "add" | "remove" | "logs">) {
    this.name = parts.name;
    this.identity = parts.identity;
    this.network = parts.network;
    this.disk = parts.disk;
    this.power = parts.power;
    this.logged = parts.logged;
    this.options = parts.options;
    this.node = parts.node;
  }

  get did(): string {
    return this.identity.did;
  }

  get address(): string {
    return this.network.addresses()[0] as string;
  }

  /** What this node says of `did`. */
  async peer(did: string): Promise<PeerStatus | undefined> {
    return (await this.node.listPeers()).find((peer) => peer.did === did);
  }

  async add(...names: readonly string[]): Promise<MutationResult[]> {
    const results = await this.node.mutate(names.map((name) => ({ op: "put", agent: agent(name) })));
    for (const { outcome } of results) assert.notEqual(outcome, "refused");
    return results;
  }

  async remove(...dids: readonly string[]): Promise<void> {
    await this.node.mutate(dids.map((did) => ({ op: "delete", did })));
  }

  logs(message: RegExp): Logged[] {
    return this.logged.filter((entry) => message.test(entry.message));
  }
}

/** An agent as an owner registers it. */
export function agent(name: string, more: Partial<AgentInput> = {}): AgentInput {
  return {
    ...{ humanReadableId: `test/${name}`, name, description: `The agent ${name}.`, capabilities: ["translation/en-fr"] },
    ...{ tags: [], endpoints: [{ url: `https://example.org/${name}`, protocol: "a2a" }], version: "1.0.0", status: "active" },
    ...more,
  };
}

export function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}-${i}`);
}

/** A federation in virtual time: what takes minutes there takes milliseconds here, and nothing waits for the machine. */
export class World {
  readonly simulation: Simulation;
  readonly hub: MemoryHub;
  /** Every checkpoint that went over the wire: origin and size → roots (base64). */
  readonly published: Map<string, Set<string>> = new Map();
  /** Replace its functions to delay, cut or lose what travels. */
  readonly link: { -readonly [K in keyof Link]: Link[K] } = { ...directLink };
  #runs = 0;

  constructor(seed: string) {
    this.simulation = new Simulation({ seed });
    const clock = this.#clock(new Power("world"));
    const { link } = this;
    this.hub = new MemoryHub({
      clock,
      random: this.simulation.random.fork("hub"),
      link: { ordered: (...a) => link.ordered(...a), gossip: (...a) => link.gossip(...a) },
      observe: ({ bytes }) => {
        if (bytes !== undefined) this.#note(Buffer.from(bytes));
      },
    });
  }

  /** Runs a test's script to its end. */
  run(script: () => Promise<void>): Promise<void> {
    return this.simulation.run(script, SCRIPT_MS_MAX);
  }

  identity(name: string): RegistryIdentity {
    return createRegistryIdentity(this.simulation.random.fork(`key ${name}`).bytes(32), name);
  }

  ports(network: MemoryNetwork, store: MemoryStore, logged: Logged[], power: Power = this.power("node")): NodePorts {
    const chance = this.simulation.random.fork(power.name);
    return {
      ...{ clock: this.#clock(power), random: chance.fork("node"), network, store: checksummed(store), log: collector(logged) },
      scheduler: new VirtualScheduler(this.simulation, power, chance.fork("turns")),
    };
  }

  power(name: string): Power {
    return new Power(`${name}#${++this.#runs}`);
  }

  async start(name: string, options: StartOptions = {}): Promise<TestNode> {
    const identity = options.identity ?? this.identity(name);
    const disk = options.disk ?? new MemoryStore(options.hooks);
    const network = createMemoryNetwork(this.hub, {
      peerId: identity.peerId,
      listen: options.listen ?? [`/memory/${name}`],
    });
    const logged: Logged[] = [];
    const power = this.power(name);
    const node = await createNode(this.ports(network, disk, logged, power), {
      ...{ identity, domain: null, follow: options.follow ?? "all", unsure: options.unsure ?? false },
      peers: (options.peers ?? []).map((peer) => (typeof peer === "string" ? peer : peer.address)),
      agentsPerReplicaMax: options.agentsPerReplicaMax ?? CONFIG_DEFAULTS.agentsPerReplicaMax,
      replicasMax: options.replicasMax ?? CONFIG_DEFAULTS.replicasMax,
      registriesMax: options.registriesMax ?? CONFIG_DEFAULTS.registriesMax,
      connectionsMax: CONFIG_DEFAULTS.connectionsMax,
      requestsPerPeerPerMinuteMax: options.requestsPerPeerPerMinuteMax ?? CONFIG_DEFAULTS.requestsPerPeerPerMinuteMax,
    });
    return new TestNode({ name, identity, network, disk, power, logged, options, node });
  }

  /** The process dies at once; what was written but not made durable stays, as after `kill -9`. */
  kill(node: TestNode): MemoryStore {
    node.power.off();
    node.network.crash({ reset: true });
    return node.disk.crash(node.disk.pendingBatches);
  }

  restart(node: TestNode, disk: MemoryStore, more: StartOptions = {}): Promise<TestNode> {
    return this.start(node.name, { ...node.options, identity: node.identity, ...more, disk });
  }

  /** Polls, in virtual time, until `condition` gives something. */
  async until<T>(
    what: string,
    condition: () => Promise<T | undefined | false> | T | undefined | false,
    limitMs: number = WAIT_MS_MAX,
  ): Promise<T> {
    const giveUpMs = this.simulation.nowMs + limitMs;
    for (;;) {
      const found = await condition();
      if (found !== undefined && found !== false) return found;
      if (this.simulation.nowMs >= giveUpMs) throw new Error(`waited ${limitMs} ms of virtual time for ${what}`);
      await this.simulation.sleep(POLL_MS);
    }
  }

  /** Until `follower` holds exactly what `home` has published. */
  async synced(follower: TestNode, home: TestNode, limitMs?: number): Promise<PeerStatus> {
    return this.until(
      `${follower.name} to hold the catalogue of ${home.name}`,
      async () => {
        const [{ catalog }, peer] = await Promise.all([home.node.status(), follower.peer(home.did)]);
        return peer?.syncedRoot === catalog.mapRoot && peer.agents === catalog.agents && peer;
      },
      limitMs,
    );
  }

  /** Fails if two roots were ever published for one origin and size. */
  assertNoContradiction(): void {
    assert.ok(this.published.size > 0);
    for (const [version, roots] of this.published) assert.equal(roots.size, 1, `${version} has ${roots.size} roots`);
  }

  #clock(power: Power): VirtualClock {
    return new VirtualClock(this.simulation, new WallClock(this.simulation, 0), power);
  }

  #note(bytes: Buffer): void {
    if (!bytes.includes("/catalog/")) return;
    for (const [, origin, size, root] of bytes.toString("latin1").matchAll(CHECKPOINTS)) {
      const version = `${origin} ${size}`;
      this.published.set(version, (this.published.get(version) ?? new Set()).add(root as string));
    }
  }
}

/** The text of a checkpoint wherever it stands in a message. */
const CHECKPOINTS = /(did:key:[1-9A-HJ-NP-Za-km-z]+\/catalog\/\d+)\n(\d+)\n([A-Za-z0-9+/]{43}=)\n/g;

/** A copy of a disk, as a backup or a cloned machine has it. */
export async function copyOf(disk: MemoryStore, hooks: MemoryStoreHooks = {}): Promise<MemoryStore> {
  const rows: StoreOperation[] = [];
  for await (const chunk of disk.scan({ from: Buffer.of(0), to: Buffer.alloc(8, 0xff) })) {
    for (const [key, value] of chunk) rows.push({ type: "put", key, value });
  }
  let isCopying = true;
  const beforeWrite: MemoryStoreHooks["beforeWrite"] = (...write) => (isCopying ? undefined : hooks.beforeWrite?.(...write));
  const copy = new MemoryStore({ beforeWrite });
  await copy.batch(rows, { durable: true });
  isCopying = false;
  return copy;
}

function collector(logged: Logged[], base: Readonly<Record<string, unknown>> = {}): Log {
  const at =
    (level: string) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void =>
      void logged.push({ level, message, fields: { ...base, ...fields } });
  return {
    ...{ debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") },
    child: (fields) => collector(logged, { ...base, ...fields }),
  };
}
