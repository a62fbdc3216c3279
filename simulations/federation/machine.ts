import { mintDid } from "../../protocols/lib/did.ts";
import { checksummed } from "../../src/adapters/checksum/store.ts";
import type { MemoryHub } from "../../src/adapters/memory/hub.ts";
import { createMemoryNetwork, type MemoryNetwork } from "../../src/adapters/memory/network.ts";
import type { SortedMap } from "../../src/adapters/memory/sorted-map.ts";
import type { RegistryNode } from "../../src/api.ts";
import { SEED_BYTES } from "../../src/identity/key-material.ts";
import { createRegistryIdentity, type RegistryIdentity } from "../../src/identity/registry-identity.ts";
import type { Log } from "../../src/ports/log.ts";
import { VirtualClock, type WallClock } from "../engine/clock.ts";
import { Power } from "../engine/power.ts";
import { VirtualScheduler } from "../engine/scheduler.ts";
import type { SeededRandom } from "../engine/random.ts";
import type { Simulation } from "../engine/simulation.ts";
import type { FaultyDisk } from "../faults/disk.ts";
import type { FaultyLink } from "../faults/link.ts";
import { GatedStore } from "./gated-store.ts";
import { Ledger, type LedgerCopy } from "./ledger.ts";
import type { NodeSettings, StartNode } from "./start-node.ts";

/** A process that could not start is started again after this, as a service manager would, in milliseconds. */
const RESTART_MS = 1_000;
/** Starts in a row that may fail before the machine is given up. */
const FAILED_STARTS_MAX = 60;

export interface MachineParts {
  readonly simulation: Simulation;
  readonly hub: MemoryHub;
  readonly link: FaultyLink;
  readonly wall: WallClock;
  readonly disk: FaultyDisk;
  /** The log of one run of the process. */
  readonly log: (run: string) => Log;
  readonly random: SeededRandom;
  readonly startNode: StartNode;
  readonly address: string;
  /** Addresses of the peers that its operator configured. */
  readonly peers: readonly string[];
}

/** A copy of a machine's disk, and what its owner knew when it was made. */
export interface Backup {
  readonly content: SortedMap;
  readonly ledger: LedgerCopy;
}

/** A computer with a disk, a clock, a network card and one registry, which may crash and start again. */
export class Machine {
  readonly name: string;
  readonly peerId: string;
  readonly did: string;
  readonly address: string;
  readonly ledger: Ledger = new Ledger();
  readonly #parts: MachineParts;
  readonly #identity: RegistryIdentity;
  #runs = 0;
  #power: Power = new Power("off");
  #network: MemoryNetwork | undefined;
  #node: RegistryNode | undefined;
  /** Recorded beside the store, as a data directory records whose it is. */
  #restored = false;

  constructor(name: string, parts: MachineParts) {
    this.name = name;
    this.#parts = parts;
    this.#identity = createRegistryIdentity(parts.random.fork("key").bytes(SEED_BYTES), name);
    this.peerId = this.#identity.peerId;
    this.did = this.#identity.did;
    this.address = `${parts.address}/p2p/${this.peerId}`;
    this.#power.off();
  }

  get wall(): WallClock {
    return this.#parts.wall;
  }

  get disk(): FaultyDisk {
    return this.#parts.disk;
  }

  /** The node while it is up. */
  get node(): RegistryNode | undefined {
    return this.#node;
  }

  get network(): MemoryNetwork | undefined {
    return this.#network;
  }

  get power(): Power {
    return this.#power;
  }

  /** The DID that this registry mints for an agent. */
  mintedDid(humanReadableId: string): string {
    return mintDid(this.#identity.publicKey, humanReadableId);
  }

  /** Starts of the process so far. */
  get runs(): number {
    return this.#runs;
  }

  /**
   * Resolves once the node is up, or the machine crashed on the way.
   * @throws the node's own error when it refuses to start FAILED_STARTS_MAX times in a row
   */
  async start(): Promise<void> {
    for (let failures = 0; !this.#power.on;) {
      try {
        await this.#startOnce();
        return;
      } catch (error) {
        if (++failures >= FAILED_STARTS_MAX) throw error;
        this.#parts.log(this.#power.name).warn("the node did not start", { error });
        this.crash({ powerCut: false });
        await this.#parts.simulation.sleep(RESTART_MS);
      }
    }
  }

  /** The process dies now. With `powerCut` the machine does too, and comes back with the next start. */
  crash(options: { readonly powerCut: boolean }): void {
    if (!this.#power.on) return;
    this.#power.off();
    this.#node = undefined;
    if (options.powerCut) this.#parts.link.setDown(this.peerId, true);
    this.#network?.crash({ reset: !options.powerCut });
    this.#network = undefined;
    this.disk.reopen(options);
  }

  backup(): Backup {
    return { content: this.disk.store.content, ledger: this.ledger.copy() };
  }

  /** The machine is lost, and another one takes its place with a copy of its disk, or with its key alone. */
  restore(backup: Backup | undefined): void {
    this.crash({ powerCut: true });
    this.disk.replace(backup?.content);
    this.ledger.rewind(backup?.ledger);
    this.#restored = true;
  }

  /** The answer of `question`, or `undefined` when the machine is down or crashes meanwhile. Rejects as the node does. */
  async ask<T>(question: (node: RegistryNode) => Promise<T>): Promise<T | undefined> {
    return this.#node === undefined ? undefined : this.#power.whileOn(question(this.#node));
  }

  async #startOnce(): Promise<void> {
    const { simulation, hub, link, wall, disk, log, random, startNode } = this.#parts;
    const power = new Power(`${this.name}#${++this.#runs}`);
    const chance = random.fork(power.name);
    this.#power = power;
    link.setDown(this.peerId, false);
    const network = createMemoryNetwork(hub, { peerId: this.peerId, listen: [this.#parts.address] });
    this.#network = network;
    const settings: NodeSettings = {
      identity: this.#identity,
      peers: this.#parts.peers,
      unsure: this.#restored,
      settled: () => {
        if (power.on) this.#restored = false;
      },
    };
    const ports = {
      clock: new VirtualClock(simulation, wall, power),
      random: chance.fork("node"),
      network,
      store: checksummed(new GatedStore(disk, power)),
      log: log(power.name),
      scheduler: new VirtualScheduler(simulation, power, chance.fork("turns")),
    };
    const node = await power.whileOn(startNode(ports, settings));
    if (node !== undefined && power.on) this.#node = node;
  }
}
