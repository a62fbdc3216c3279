import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { NodeUnreachableError } from "../../admin/errors.ts";
import type { Status } from "../../api.ts";
import { CliError, EXIT } from "../exit.ts";
import { startDevRegistry, type DevRegistry } from "./child.ts";

const NAMES = ["alder", "birch", "cedar", "dogwood", "elm", "fir", "ginkgo", "hazel", "ironwood", "juniper", "katsura", "larch"];
export const NODES_MIN = 2;
export const NODES_MAX: number = NAMES.length;

const POLL_MS = 50;

/** Registries in child processes over one temporary directory; all of it goes with `close`. */
export class Federation {
  readonly directory: string;
  readonly registries: DevRegistry[] = [];
  readonly #environment: Readonly<Record<string, string | undefined>>;
  // Whatever ends this process, no child and no directory stays behind.
  readonly #sweep = (): void => {
    for (const registry of this.registries) registry.kill();
    rmSync(this.directory, { recursive: true, force: true });
  };

  static async create(environment: Readonly<Record<string, string | undefined>>): Promise<Federation> {
    return new Federation(await mkdtemp(join(tmpdir(), "registry-dev-")), environment);
  }

  private constructor(directory: string, environment: Readonly<Record<string, string | undefined>>) {
    this.directory = directory;
    this.#environment = environment;
    process.on("exit", this.#sweep);
  }

  /** The first stands alone; every further one is told of the first and finds the others by itself. */
  async add(): Promise<DevRegistry> {
    const name = NAMES[this.registries.length] as string;
    const options = { name, directory: this.directory, peer: this.registries[0]?.multiaddr, environment: this.#environment };
    const registry = await startDevRegistry(options);
    this.registries.push(registry);
    return registry;
  }

  /** @throws CliError with the end of its log when a registry has ended by itself */
  statuses(): Promise<Status[]> {
    return Promise.all(
      this.registries.map((registry) => registry.client.status().catch((cause: unknown) => failed(registry, cause))),
    );
  }

  /** Polls until `isDone`. @throws CliError naming `what` after `timeoutMs` */
  async until(
    what: string,
    timeoutMs: number,
    signal: AbortSignal,
    isDone: (statuses: readonly Status[]) => boolean,
  ): Promise<readonly Status[]> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const statuses = await this.statuses();
      if (isDone(statuses)) return statuses;
      if (performance.now() > deadlineMs) {
        throw new CliError(EXIT.failure, "timeout", `${what} took longer than ${timeoutMs / 1_000} s`);
      }
      await pause(POLL_MS, undefined, { signal });
    }
  }

  async close(): Promise<void> {
    for (const { client } of this.registries) client.close();
    await Promise.all(this.registries.map((registry) => registry.stop()));
    await rm(this.directory, { recursive: true, force: true });
    process.off("exit", this.#sweep);
  }
}

function failed(registry: DevRegistry, cause: unknown): never {
  if (!(cause instanceof NodeUnreachableError)) throw cause;
  const message = `registry ${registry.name} ended by itself:\n${registry.lastWords()}`;
  throw new CliError(EXIT.failure, "ended", message, { cause });
}

/** Whether every registry knows, and has a connection to, each of the others. */
export function haveMet(statuses: readonly Status[]): boolean {
  return statuses.every((status) => others(status, statuses).every(({ did }) => peerOf(status, did)?.connected === true));
}

/** Agents replicated so far, over all registries. */
export function replicated(statuses: readonly Status[]): number {
  const held = statuses.map((status) => others(status, statuses).map(({ did }) => peerOf(status, did)?.agents ?? 0));
  return held.flat().reduce((sum, agents) => sum + agents, 0);
}

/** Whether every replica is complete up to the newest map root of its registry. */
export function areSynced(statuses: readonly Status[]): boolean {
  return statuses.every((status) =>
    others(status, statuses).every(({ did, catalog }) => peerOf(status, did)?.syncedRoot === catalog.mapRoot),
  );
}

function others(status: Status, statuses: readonly Status[]): readonly Status[] {
  return statuses.filter(({ did }) => did !== status.did);
}

function peerOf(status: Status, did: string): Status["peers"][number] | undefined {
  return status.peers.find((peer) => peer.did === did);
}
