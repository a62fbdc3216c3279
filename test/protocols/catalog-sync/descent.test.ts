import assert from "node:assert/strict";
import { followCatalogue, type SessionResult } from "../../../protocols/catalog-sync/client.ts";
import { serveCatalogSync, type Answer, type Comparison, type SyncSource } from "../../../protocols/catalog-sync/handler.ts";
import type { RefusalCode } from "../../../protocols/catalog-sync/messages.ts";
import { hex } from "../../../protocols/lib/bytes.ts";
import { mintDid } from "../../../protocols/lib/did.ts";
import { MemoryStore } from "../../../src/adapters/memory/store.ts";
import type { Mutation } from "../../../src/api.ts";
import { Catalogue } from "../../../src/catalog/catalogue.ts";
import type { Published } from "../../../src/catalog/messages.ts";
import { ReplicaSession } from "../../../src/replication/session.ts";
import { VirtualClock } from "../../actors/virtual-time.ts";
import { agent, Bench, put, quiet } from "../../catalog/support.ts";
import { ACME } from "../checkpoint/support.ts";
import { QueueFrames } from "./support.ts";

/** Both sides as they are: a catalogue that serves, a replica that follows, and the frames between them counted. */
class Pair {
  readonly server: Bench = new Bench({ store: new MemoryStore() });
  readonly store: MemoryStore = new MemoryStore();
  readonly replica: Catalogue = new Catalogue(1, ACME.did);
  asked: string[] = [];
  bytes = 0;
  /** Runs between the follower's last comparison and its fetch. */
  beforeFetch: (() => Promise<void>) | undefined;

  async sync(descend?: "short" | "full"): Promise<SessionResult> {
    const [near, far] = QueueFrames.pair();
    [this.asked, this.bytes] = [[], 0];
    const { server } = this;
    const source: SyncSource = {
      retryAfterMs: () => 0,
      open: (request) =>
        this.#ask("request", () => server.ask<Answer | RefusalCode>((reply) => ({ type: "serve", request, reply }))),
      compare: (request) =>
        this.#ask("compare", () => server.ask<Comparison | RefusalCode>((reply) => ({ type: "compare", request, reply }))),
      fetch: async (request, since) => {
        await this.beforeFetch?.();
        return this.#ask("fetch", () => server.ask<Answer | RefusalCode>((reply) => ({ type: "fetch", request, since, reply })));
      },
    };
    const served = serveCatalogSync(near, source);
    const received = far.receive.bind(far);
    far.receive = async () => {
      const frame = await received();
      this.bytes += frame?.length ?? 0;
      return frame;
    };
    const target = new ReplicaSession({
      ...{ catalogue: this.replica, store: this.store, clock: new VirtualClock(server.clock.now()) },
      random: { bytes: (length) => new Uint8Array(length).fill(7), unit: () => 0 },
      agentsMax: 1_000_000,
      turn: async (work) => work(),
      progress: () => undefined,
      seen: () => undefined,
    });
    const result = await followCatalogue({ frames: far, target, ...(descend && { descend }) });
    await far.close();
    await served;
    return result;
  }

  change(...mutations: readonly Mutation[]): Promise<unknown> {
    return this.server.mutate(...mutations);
  }

  assertSame(): void {
    this.replica.map.update();
    assert.equal(hex(this.replica.map.root()), (this.server.published.at(-1) as Published).mapRoot);
  }

  async #ask<T>(what: string, ask: () => Promise<T>): Promise<T> {
    this.asked.push(what);
    return ask();
  }
}

const many = (count: number, name = "agent"): Mutation[] => Array.from({ length: count }, (_, i) => put(`acme/${name}-${i}`));
const gone = (name: string): Mutation => ({ op: "delete", did: mintDid(ACME.publicKey, `acme/${name}`) });

async function synced(count: number): Promise<Pair> {
  const pair = new Pair();
  await quiet();
  await pair.change(...many(count));
  assert.equal((await pair.sync()).outcome, "completed");
  pair.assertSame();
  return pair;
}

describe("catalog-sync: both sides over one stream", () => {
  it("brings everything, then nothing, then what changed, each in one question", async () => {
    const pair = await synced(600);
    assert.deepEqual([pair.asked, await pair.sync()], [["request"], { outcome: "current", changes: 0 }]);
    await pair.change(put("acme/agent-5", { name: "x" }), gone("agent-6"), put("acme/new"));
    assert.deepEqual(await pair.sync(), { outcome: "completed", changes: 3 });
    pair.assertSame();
    assert.equal(pair.replica.map.size, 600);
  });

  it("finds one change of many by comparing, and sends that record alone", async () => {
    const pair = await synced(1_500);
    await pair.change(put("acme/agent-77", { name: "x" }));
    const result = await pair.sync("short");
    assert.equal(result.outcome, "completed");
    pair.assertSame();
    assert.deepEqual(pair.asked, ["compare", "compare", "fetch"]);
    assert.ok(pair.bytes < 6_000, `${pair.bytes} bytes came for one record`);
  });

  it("finds deletes as absences, with short hints and with whole hashes", async () => {
    for (const hints of ["short", "full"] as const) {
      const pair = await synced(400);
      await pair.change(...Array.from({ length: 60 }, (_, i) => gone(`agent-${i * 5}`)));
      assert.equal((await pair.sync(hints)).outcome, "completed");
      pair.assertSame();
      assert.equal(pair.replica.map.size, 340);
    }
  });

  it("replaces everything when the two have nothing in common", async () => {
    const pair = await synced(300);
    await pair.change(...Array.from({ length: 300 }, (_, i) => gone(`agent-${i}`)), ...many(500, "other"));
    assert.equal((await pair.sync("short")).outcome, "completed");
    pair.assertSame();
    assert.equal(pair.replica.map.size, 500);
  });

  it("empties the replica of a catalogue that is empty now", async () => {
    const pair = await synced(40);
    await pair.change(...Array.from({ length: 40 }, (_, i) => gone(`agent-${i}`)));
    assert.equal((await pair.sync("short")).outcome, "completed");
    pair.assertSame();
    assert.equal(pair.replica.map.size, 0);
  });

  it("brings what the server changed between comparing and fetching", async () => {
    const pair = await synced(800);
    await pair.change(put("acme/agent-1", { name: "x" }));
    pair.beforeFetch = async () => {
      await pair.server.put(agent("acme/agent-2", { name: "moved" }));
      await pair.change(gone("agent-3"), put("acme/brand-new"));
    };
    assert.equal((await pair.sync("short")).outcome, "completed");
    pair.assertSame();
  });

  it("asks to begin again when too much changed meanwhile", async () => {
    const pair = await synced(200);
    await pair.change(put("acme/agent-1", { name: "x" }));
    pair.beforeFetch = async () => {
      await pair.change(...many(1_100, "flood"));
    };
    const result = await pair.sync("short");
    assert.equal(result.outcome === "refused" && result.refusal.code, "busy");
    pair.beforeFetch = undefined;
    assert.equal((await pair.sync("short")).outcome, "completed");
    pair.assertSame();
  });

  it("completes a comparison in which nothing differs", async () => {
    const pair = await synced(500);
    assert.notEqual((await pair.sync("short")).outcome, "refused");
    assert.deepEqual(pair.asked, ["compare", "fetch"]);
    pair.assertSame();
  });
});
