import type { HeadWait } from "../../protocols/http/head-wait.ts";
import type { SignedHead } from "../../protocols/checkpoint/head.ts";
import type { FederationNode, OwnVersion } from "../federation-api.ts";
import type { Clock } from "../ports/clock.ts";
import type { AdmittedRegistry } from "./caller.ts";

/** Requests of one registry that wait for news; with one more its oldest is answered. */
export const HELD_PER_REGISTRY_MAX = 2;
/** The same of all; those of registries that the operator named take the places of others. */
export const HELD_MAX = 1_024;

interface Held {
  readonly asker: AdmittedRegistry;
  readonly release: () => void;
}

export interface HeldBounds {
  readonly perRegistryMax: number;
  readonly max: number;
}

/** What may end a wait before its time: calls the listener once. */
export type OnEnding = (listener: () => void) => void;

/**
 * Requests for our newest version that wait for the next one (protocols/http/rest.md, "Waiting for news"). They hold nothing but
 * their place here, and who finds none is answered at once.
 */
export class HeldHeads {
  readonly #node: Pick<FederationNode, "version">;
  readonly #clock: Clock;
  readonly #bounds: HeldBounds;
  /** In the order in which they came. */
  readonly #held = new Set<Held>();

  constructor(
    node: Pick<FederationNode, "version" | "onVersion">,
    clock: Clock,
    bounds: HeldBounds = { perRegistryMax: HELD_PER_REGISTRY_MAX, max: HELD_MAX },
  ) {
    this.#node = node;
    this.#clock = clock;
    this.#bounds = bounds;
    node.onVersion(() => this.#releaseAll());
  }

  /** Requests that wait now. */
  get size(): number {
    return this.#held.size;
  }

  /** Our newest head: at once, or when it is another than `wait` names or the wait is over. `undefined` before the first commit. */
  async newest(asker: AdmittedRegistry, wait: HeadWait | undefined, onEnding: OnEnding): Promise<SignedHead | undefined> {
    const version = this.#node.version();
    if (wait !== undefined && isNamed(version, wait) && this.#makeRoom(asker)) await this.#hold(asker, wait, onEnding);
    return this.#node.version()?.head;
  }

  #hold(asker: AdmittedRegistry, { seconds }: HeadWait, onEnding: OnEnding): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const held: Held = {
      asker,
      release: () => {
        if (!this.#held.delete(held)) return;
        cancel();
        resolve();
      },
    };
    this.#held.add(held);
    const cancel = this.#clock.after(seconds * 1_000, held.release);
    onEnding(held.release);
    return promise;
  }

  /** An asker that comes again may have lost the connection of before, so its newest request counts. */
  #makeRoom({ did, isWanted }: AdmittedRegistry): boolean {
    const { perRegistryMax, max } = this.#bounds;
    const all = [...this.#held];
    const own = all.filter(({ asker }) => asker.did === did);
    if (own.length >= perRegistryMax) {
      own[0]?.release();
      return true;
    }
    if (all.length < max) return true;
    const other = isWanted ? all.find(({ asker }) => !asker.isWanted) : undefined;
    other?.release();
    return other !== undefined;
  }

  #releaseAll(): void {
    for (const held of [...this.#held]) held.release();
  }
}

function isNamed(version: OwnVersion | undefined, wait: HeadWait): boolean {
  return version?.epoch === wait.epoch && version.size === wait.size;
}
