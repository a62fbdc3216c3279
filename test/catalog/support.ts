import { ActorSystem } from "../../src/actors/system.ts";
import type { ActorRef, Reply } from "../../src/actors/actor.ts";
import { systemScheduler } from "../../src/adapters/system/scheduler.ts";
import type { AgentInput, CatalogStatus, Mutation, MutationResult } from "../../src/api.ts";
import { CatalogActor, COMMIT_INTERVAL_MS } from "../../src/catalog/actor.ts";
import type { LostRecord } from "../../src/catalog/repairs.ts";
import type { CatalogMessage, Published, StoredRecord } from "../../src/catalog/messages.ts";
import type { Store } from "../../src/ports/store.ts";
import type { AgentRecord } from "../../protocols/record/record.ts";
import { hex } from "../../protocols/lib/bytes.ts";
import { keyOf } from "../../protocols/lib/hash.ts";
import { memoryLog, settled, VirtualClock } from "../actors/virtual-time.ts";
import { ACME, type TestKey } from "../protocols/checkpoint/support.ts";

/** Longer than any test: deadlines are not what is tested here. */
const ASK_MS = 10 ** 12;

export interface OpenOptions {
  readonly store: Store;
  readonly clock?: VirtualClock;
  readonly unsure?: boolean;
  readonly key?: TestKey;
  /** Chance of the actor, 0 ≤ unit < 1; 0 by default. */
  readonly unit?: () => number;
  /** As of `CatalogOptions`. */
  readonly reachedRowsMax?: number;
}

/** One running catalogue actor on a clock that the test moves. */
export class Bench {
  readonly clock: VirtualClock;
  readonly log: ReturnType<typeof memoryLog> = memoryLog();
  readonly published: Published[] = [];
  readonly actor: ActorRef<CatalogMessage>;
  /** What peers have, by key in hex. */
  readonly copies: Map<string, Uint8Array> = new Map();
  settledTimes = 0;
  readonly #system: ActorSystem;

  constructor({
    store,
    clock = new VirtualClock(),
    unsure = false,
    key = ACME,
    unit = (): number => 0,
    reachedRowsMax,
  }: OpenOptions) {
    this.clock = clock;
    this.#system = new ActorSystem({ clock, log: this.log, scheduler: systemScheduler() });
    const options = {
      ...{ did: key.did, sign: key.sign, store, clock, log: this.log, unsure },
      ...(reachedRowsMax !== undefined && { reachedRowsMax }),
      random: { unit, bytes: (length: number): Uint8Array => new Uint8Array(length) },
      refetch: (lost: LostRecord): Promise<Uint8Array | undefined> => Promise.resolve(this.copies.get(hex(lost.key))),
      settled: () => void (this.settledTimes += 1),
      publish: (version: Published) => void this.published.push(version),
    };
    this.actor = this.#system.spawn<CatalogMessage>({
      name: "catalogue",
      create: (context) => new CatalogActor(options, context),
    });
  }

  ask<R>(make: (reply: Reply<R>) => CatalogMessage): Promise<R> {
    return this.actor.ask(make, ASK_MS);
  }

  /** Sends the mutations; the clock has to move for a second commit. */
  send(...mutations: readonly Mutation[]): Promise<MutationResult[]> {
    return this.ask((reply) => ({ type: "mutate", mutations, reply }));
  }

  /** Sends the mutations and lets as much time pass as their commits take. */
  mutate(...mutations: readonly Mutation[]): Promise<MutationResult[]> {
    return this.finish(this.send(...mutations));
  }

  put(agent: AgentInput, options: Omit<Extract<Mutation, { op: "put" }>, "op" | "agent"> = {}): Promise<MutationResult> {
    return this.mutate({ op: "put", agent, ...options }).then(([result]) => result as MutationResult);
  }

  remove(did: string): Promise<MutationResult> {
    return this.mutate({ op: "delete", did }).then(([result]) => result as MutationResult);
  }

  async get(did: string): Promise<AgentRecord | undefined> {
    const found = await this.ask<StoredRecord | "withheld" | undefined>((reply) => ({ type: "get", key: keyOf(did), reply }));
    return found === "withheld" ? undefined : found?.record;
  }

  status(): Promise<CatalogStatus> {
    return this.ask((reply) => ({ type: "status", reply }));
  }

  drain(): Promise<void> {
    return this.finish(this.ask<void>((reply) => ({ type: "drain", reply })));
  }

  /** Moves the clock, a commit interval at a time, until the promise is settled. */
  async finish<T>(promise: Promise<T>): Promise<T> {
    let open = true;
    const closed = (): void => void (open = false);
    promise.then(closed, closed);
    for (let steps = 0; steps < 1_000; steps++) {
      // A batch of rows or a restart takes several turns of the event loop.
      for (let turns = 0; turns < 50 && open; turns++) await settled();
      if (!open) break;
      this.clock.advance(COMMIT_INTERVAL_MS);
    }
    return promise;
  }

  stop(): void {
    this.#system.stopAll();
  }
}

/** Everything that can go on without the clock has gone on. */
export async function quiet(): Promise<void> {
  for (let turns = 0; turns < 30; turns++) await settled();
}

export function agent(humanReadableId: string, fields: Partial<AgentInput> = {}): AgentInput {
  return {
    humanReadableId,
    name: humanReadableId,
    description: "an agent",
    capabilities: ["translation"],
    tags: [],
    endpoints: [{ url: "https://agents.example.org/", protocol: "a2a" }],
    version: "1.0.0",
    status: "active",
    ...fields,
  };
}

export function put(humanReadableId: string, fields: Partial<AgentInput> = {}): Mutation {
  return { op: "put", agent: agent(humanReadableId, fields) };
}
