import type { Clock } from "../../ports/clock.ts";
import { NetworkError } from "../../ports/network.ts";
import type { Random } from "../../ports/random.ts";
import { directLink, type Link, type WireEvent } from "./link.ts";
// A hub and the networks on it know one another, as a cable and what is plugged into it.
// oxlint-disable-next-line import/no-cycle
import type { MemoryNetwork } from "./network.ts";
import { Wire } from "./wire.ts";

/** Ports that are given out where an address asks for any (0), from here on. */
const ANY_PORT_FIRST = 20_000;

export interface HubOptions {
  /** True time: machines may have clocks of their own. */
  readonly clock: Clock;
  readonly random: Random;
  /** A perfect network by default. */
  readonly link?: Link;
  /** Sees all that is sent and delivered. */
  readonly observe?: (event: WireEvent) => void;
}

/** The world in which the memory networks of one process find each other. */
export class MemoryHub {
  readonly wire: Wire;
  readonly #listeners = new Map<string, MemoryNetwork>();
  #nextPort = ANY_PORT_FIRST;
  #nextSession = 0;

  constructor(options: HubOptions) {
    const { clock, random, link = directLink, observe = () => undefined } = options;
    this.wire = new Wire({ clock, random, link, observe });
  }

  /** The address as bound: port 0 becomes a free one. @throws NetworkError `address_in_use` */
  bind(address: string, network: MemoryNetwork): string {
    const bound = address.replace(/\/0$/, () => `/${this.#nextPort++}`);
    if (this.#listeners.has(bound)) throw new NetworkError("address_in_use", `${bound} is in use by another network of this hub`);
    this.#listeners.set(bound, network);
    return bound;
  }

  release(address: string, network: MemoryNetwork): void {
    if (this.#listeners.get(address) === network) this.#listeners.delete(address);
  }

  at(address: string): MemoryNetwork | undefined {
    return this.#listeners.get(address);
  }

  /** A number for each start of a network, so that a restarted one is told from its predecessor. */
  session(): number {
    return this.#nextSession++;
  }
}
