import { MemoryHub } from "../../src/adapters/memory/hub.ts";
import type { WireEvent } from "../../src/adapters/memory/link.ts";
import { WallClock } from "../engine/clock.ts";
import type { SeededRandom } from "../engine/random.ts";
import type { Simulation } from "../engine/simulation.ts";
import { FaultCounter } from "../faults/counts.ts";
import { FaultyDisk } from "../faults/disk.ts";
import { FaultyLink } from "../faults/link.ts";
import type { FaultPlan } from "../faults/plan.ts";
import { virtualLog } from "./log.ts";
import { Machine } from "./machine.ts";
import type { StartNode } from "./start-node.ts";

/** Machines listen on `/memory/<this and up>`. */
const PORT_FIRST = 1_000;
/** Configured peers of a machine: drawn among those that were there before it. */
const CONFIGURED_PEERS_MAX = 2;

export interface FederationOptions {
  readonly simulation: Simulation;
  readonly faults: FaultPlan;
  readonly startNode: StartNode;
  /** Sees all that goes over the wire, after the trace did. */
  readonly observe?: (event: WireEvent) => void;
  readonly onLogLine?: (line: string) => void;
}

/** All machines of a run, and the network between them. */
export class Federation {
  readonly simulation: Simulation;
  readonly faults: FaultPlan;
  readonly counter: FaultCounter = new FaultCounter();
  readonly link: FaultyLink;
  readonly #options: FederationOptions;
  readonly #hub: MemoryHub;
  readonly #machines: Machine[] = [];
  readonly #names = new Map<string, string>();

  constructor(options: FederationOptions) {
    const { simulation, faults } = options;
    this.simulation = simulation;
    this.faults = faults;
    this.#options = options;
    this.link = new FaultyLink(simulation.random.fork("link"), faults.network, this.counter);
    this.#hub = new MemoryHub({
      clock: {
        now: () => simulation.nowMs,
        monotonic: () => simulation.nowMs,
        after: (delayMs, fire) => simulation.after(delayMs, fire),
      },
      random: simulation.random.fork("gossip"),
      link: this.link,
      observe: (event) => this.#observe(event),
    });
  }

  get machines(): readonly Machine[] {
    return this.#machines;
  }

  /** Machines whose node is up. */
  get running(): Machine[] {
    return this.#machines.filter((machine) => machine.node !== undefined);
  }

  /** A machine's name by peer id. */
  nameOf(peerId: string): string {
    return this.#names.get(peerId) ?? peerId;
  }

  /** Adds a machine that knows one or two of those before it; it is off. */
  add(): Machine {
    const { simulation, faults } = this;
    const name = `n${this.#machines.length}`;
    const random = simulation.random.fork(name);
    const { skewMsMax } = faults.clocks;
    const machine = new Machine(name, {
      simulation,
      hub: this.#hub,
      link: this.link,
      wall: new WallClock(simulation, Math.round(random.fork("skew").between(-skewMsMax, skewMsMax))),
      disk: new FaultyDisk(simulation, name, random.fork("disk"), faults.disks, this.counter),
      log: (run) => virtualLog(run, () => simulation.nowMs, this.#options.onLogLine),
      random,
      startNode: this.#options.startNode,
      address: `/memory/${PORT_FIRST + this.#machines.length}`,
      peers: this.#peersFor(random.fork("peers")),
    });
    this.#names.set(machine.peerId, name);
    this.#machines.push(machine);
    return machine;
  }

  #peersFor(random: SeededRandom): string[] {
    const count = random.integer(1, CONFIGURED_PEERS_MAX);
    return random
      .shuffle(this.#machines)
      .slice(0, count)
      .map((machine) => machine.address);
  }

  #observe(event: WireEvent): void {
    const { simulation } = this;
    if (event.stage === "delivered") {
      const path = `${this.nameOf(event.from)}>${this.nameOf(event.to)}`;
      simulation.trace.record(simulation.nowMs, "deliver", path, event.type, event.bytes);
    }
    this.#options.observe?.(event);
  }
}
