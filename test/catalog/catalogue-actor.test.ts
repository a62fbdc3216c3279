import assert from "node:assert/strict";
import { openCheckpoint } from "../../protocols/checkpoint/note.ts";
import { verifyHead } from "../../protocols/checkpoint/head.ts";
import { hex } from "../../protocols/lib/bytes.ts";
import { didKey, mintDid } from "../../protocols/lib/did.ts";
import { valueOf } from "../../protocols/lib/hash.ts";
import { encodeRecord } from "../../protocols/record/codec.ts";
import { hlcTime } from "../../protocols/record/hlc.ts";
import { RECORD_BYTES_MAX, type AgentRecord } from "../../protocols/record/record.ts";
import { signAgent } from "../../protocols/record/signature.ts";
import { MemoryStore } from "../../src/adapters/memory/store.ts";
import { NodeError, type AgentInput, type MutationResult } from "../../src/api.ts";
import { COMMIT_INTERVAL_MS, HEARTBEAT_MS, QUEUED_MUTATIONS_MAX } from "../../src/catalog/actor.ts";
import { CHANGES_KEPT_MS } from "../../src/catalog/prune.ts";
import { OWN_CATALOGUE, tableRange } from "../../src/catalog/rows.ts";
import type { SyncRequest } from "../../protocols/catalog-sync/messages.ts";
import type { Answer } from "../../protocols/catalog-sync/handler.ts";
import { VirtualClock } from "../actors/virtual-time.ts";
import { ACME, OTHER } from "../protocols/checkpoint/support.ts";
import { agent, Bench, put, quiet } from "./support.ts";

const did = (name: string): string => mintDid(ACME.publicKey, name);

async function open(): Promise<Bench> {
  const bench = new Bench({ store: new MemoryStore() });
  await quiet();
  return bench;
}

function outcome(result: MutationResult): string {
  return result.outcome === "refused" ? result.code : `${result.outcome} ${result.revision}`;
}

/** What a write takes. */
const WRITE_MS = 5;

describe("catalogue: group commit", () => {
  it("signs an empty first version, and each version verifies", async () => {
    const bench = await open();
    await bench.mutate(put("acme/a"), put("acme/b"));
    assert.deepEqual(
      bench.published.map(({ size, agents }) => [size, agents]),
      [
        [1, 0],
        [2, 2],
      ],
    );
    for (const { head, mapRoot } of bench.published) assert.equal(verifyHead(head).commit.roots.map, mapRoot);
  });

  it("commits the first change after quiet at once, then at most four times a second", async () => {
    const bench = await open();
    bench.clock.advance(COMMIT_INTERVAL_MS);
    await bench.send(put("acme/first"));
    assert.equal(bench.published.length, 2);
    const waiting = Array.from({ length: 5 }, (_, i) => bench.send(put(`acme/later-${i}`)));
    await quiet();
    assert.equal(bench.published.length, 2, "they wait");
    bench.clock.advance(COMMIT_INTERVAL_MS - 1);
    await quiet();
    assert.equal(bench.published.length, 2, "they still wait");
    bench.clock.advance(1);
    await Promise.all(waiting);
    assert.equal(bench.published.length, 3, "and share one version");
  });

  it("signs at most four versions in a second of steady changes", async () => {
    const bench = await open();
    const before = bench.published.length;
    for (let ms = 0; ms < 1_000; ms += 50) {
      void bench.send(put(`acme/agent-${ms}`));
      await quiet();
      bench.clock.advance(50);
    }
    await quiet();
    const made = bench.published.length - before;
    assert.ok(made >= 3 && made <= 4, `${made} versions`);
  });

  it("makes no version when nothing changed", async () => {
    const bench = await open();
    await bench.mutate(put("acme/a"));
    const { length } = bench.published;
    const results = await bench.mutate(put("acme/a"), { op: "delete", did: did("acme/none") });
    assert.deepEqual(results.map(outcome), ["unchanged 1", "not_found"]);
    assert.equal(bench.published.length, length);
  });

  it("splits changes of one agent over commits, in order", async () => {
    const bench = await open();
    const results = await bench.mutate(
      put("acme/a", { name: "one" }),
      put("acme/a", { name: "two" }),
      { op: "delete", did: did("acme/a") },
      put("acme/a", { name: "three" }),
    );
    assert.deepEqual(results.map(outcome), ["created 1", "updated 2", "deleted 2", "created 3"]);
    assert.equal((await bench.get(did("acme/a")))?.name, "three");
  });

  it("signs a heartbeat each minute of quiet, with no changes, however long a commit takes", async () => {
    const clock = new VirtualClock();
    const store = new MemoryStore({ beforeWrite: () => clock.advance(WRITE_MS) });
    const bench = new Bench({ store, clock });
    await quiet();
    await bench.mutate(put("acme/a"));
    const { length } = bench.published;
    for (let second = 0; second < 600; second++) {
      clock.advance(1_000);
      await quiet();
    }
    const made = bench.published.slice(length).map(({ head }) => verifyHead(head).commit);
    assert.ok(made.length === 9 || made.length === 10, `${made.length} in ten minutes`);
    assert.ok(made.every(({ changes, agents }) => changes === 0 && agents === 1));
    bench.stop();
  });

  it("refuses more than may wait, and drains what does", async () => {
    const bench = await open();
    const mutations = Array.from({ length: QUEUED_MUTATIONS_MAX }, (_, i) => put(`acme/${i}`));
    const all = bench.ask<MutationResult[]>((reply) => ({ type: "mutate", mutations, reply }));
    await assert.rejects(bench.send(put("acme/b")), (error) => error instanceof NodeError && error.code === "overloaded");
    bench.stop();
    await assert.rejects(all);
    const drained = await open();
    const waiting = drained.send(put("acme/a"), put("acme/b"));
    const done = drained.ask<void>((reply) => ({ type: "drain", reply }));
    await assert.rejects(drained.send(put("acme/c")), (error) => error instanceof NodeError && error.code === "stopped");
    await done;
    assert.deepEqual((await waiting).map(outcome), ["created 1", "created 1"]);
  });
});

describe("catalogue: records", () => {
  it("keep a trail: revision, prev and a clock that only goes forward", async () => {
    const bench = await open();
    const records: AgentRecord[] = [];
    for (const name of ["one", "two", "three"]) {
      await bench.put(agent("acme/a", { name }));
      records.push((await bench.get(did("acme/a"))) as AgentRecord);
      bench.clock.startMs -= 3_600_000;
    }
    assert.deepEqual(
      records.map(({ revision, prev }) => [revision, prev]),
      records.map((_, i) => [i + 1, i === 0 ? undefined : hex(valueOf(encodeRecord(records[i - 1] as AgentRecord)))]),
    );
    assert.deepEqual(
      records.map(({ hlc }) => hlc).toSorted(),
      records.map(({ hlc }) => hlc),
    );
    assert.equal(new Set(records.map(({ hlc }) => hlc)).size, 3);
    const times = bench.published.map(({ head }) => verifyHead(head).commit.time);
    assert.deepEqual(
      times.toSorted((a, b) => a - b),
      times,
      "commits never go back in time",
    );
    assert.ok(hlcTime((records[0] as AgentRecord).hlc) > 0);
  });

  it("are guarded by ifRevision and by mode", async () => {
    const bench = await open();
    assert.equal(outcome(await bench.put(agent("acme/a"), { mode: "update" })), "not_found");
    assert.equal(outcome(await bench.put(agent("acme/a"), { mode: "create", ifRevision: 0 })), "created 1");
    assert.equal(outcome(await bench.put(agent("acme/a", { name: "x" }), { mode: "create" })), "revision_conflict");
    assert.equal(outcome(await bench.put(agent("acme/a", { name: "x" }), { ifRevision: 3 })), "revision_conflict");
    assert.equal(outcome(await bench.put(agent("acme/a", { name: "x" }), { mode: "update", ifRevision: 1 })), "updated 2");
    const [stale] = await bench.mutate({ op: "delete", did: did("acme/a"), ifRevision: 1 });
    assert.equal(outcome(stale as MutationResult), "revision_conflict");
  });

  it("go on from their tombstone: a revision never starts over", async () => {
    const bench = await open();
    await bench.put(agent("acme/a"));
    await bench.put(agent("acme/a", { name: "x" }));
    assert.equal(outcome(await bench.remove(did("acme/a"))), "deleted 2");
    assert.equal(await bench.get(did("acme/a")), undefined);
    assert.equal(outcome(await bench.remove(did("acme/a"))), "not_found");
    assert.equal(outcome(await bench.put(agent("acme/a"))), "created 3");
  });

  it("have a name that is theirs alone, also within one commit", async () => {
    const web = "did:web:a.example.org";
    for (const order of [
      [put("acme/a"), put("acme/a", { did: web })],
      [put("acme/a", { did: web }), put("acme/a")],
      [put("acme/a", { did: "did:web:b.example.org" }), put("acme/a", { did: web })],
    ]) {
      const bench = await open();
      assert.deepEqual((await bench.mutate(...order)).map(outcome), ["created 1", "name_taken"]);
      const again = await bench.mutate(order[1] as never);
      assert.deepEqual(again.map(outcome), ["name_taken"], "and in a later one");
    }
    const bench = await open();
    await bench.put(agent("acme/a", { did: web }));
    await bench.put(agent("acme/b", { did: web }));
    assert.equal(outcome(await bench.put(agent("acme/b"))), "name_taken");
    assert.equal(outcome(await bench.put(agent("acme/a"))), "created 1", "a name given up is free");
    await bench.remove(web);
    assert.equal(outcome(await bench.put(agent("acme/b"))), "created 1", "and so is a deleted agent's");
  });

  it("T32 of another registry's minting are refused", async () => {
    const bench = await open();
    const foreign = await bench.put(agent("acme/a", { did: mintDid(OTHER.publicKey, "acme/a") }));
    assert.equal(outcome(foreign), "foreign_did");
    assert.equal(outcome(await bench.put(agent("acme/a", { did: did("acme/b") }))), "bad_did");
  });

  it("T31 of self-certified agents need a signature over the next revision at this home", async () => {
    const bench = await open();
    const self = didKey(OTHER.publicKey);
    const signed = (revision: number, registry = ACME.did, name = "n"): AgentInput => {
      const fields = agent("self/a", { did: self, name }) as AgentInput & { did: string };
      return { ...fields, agent_signature: signAgent({ ...fields, registry, revision }, OTHER.sign) };
    };
    assert.equal(outcome(await bench.put(agent("self/a", { did: self }))), "agent_signature_missing");
    assert.equal(outcome(await bench.put(signed(2))), "bad_signature");
    assert.equal(outcome(await bench.put(signed(1, OTHER.did))), "bad_signature");
    assert.equal(outcome(await bench.put(signed(1))), "created 1");
    assert.equal(outcome(await bench.put(signed(1))), "unchanged 1");
    assert.equal(outcome(await bench.put(signed(1, ACME.did, "changed"))), "bad_signature");
    assert.equal(outcome(await bench.put(signed(2, ACME.did, "changed"))), "updated 2");
  });

  it("T51 are refused when they are too large or malformed, and the good ones beside them go in", async () => {
    const bench = await open();
    const original = { media_type: "text/plain", document: "x".repeat(RECORD_BYTES_MAX) };
    const results = await bench.mutate(
      put("acme/large", { original }),
      put("acme/nan", { reputation_score: Number.NaN }),
      put("acme/high", { reputation_score: 1.5 }),
      put(""),
      put("acme//a"),
      { op: "delete", did: "no did" },
      put("acme/good", { reputation_score: 0.123 }),
    );
    assert.deepEqual(results.map(outcome), ["too_large", "schema", "schema", "bad_did", "bad_did", "bad_did", "created 1"]);
    assert.equal((await bench.get(did("acme/good")))?.reputation_score, 0.12);
  });
});

describe("catalogue: change log", () => {
  async function changesSince(bench: Bench, { size, mapRoot }: { size: number; mapRoot: string }): Promise<string[] | string> {
    const base = { epoch: 0, baseSize: size, baseRoot: Buffer.from(mapRoot, "hex"), logSize: size };
    const request: SyncRequest = { kind: "request", registry: ACME.did, ...base };
    const answer = await bench.finish(bench.ask<Answer | string>((reply) => ({ type: "serve", request, reply })));
    if (typeof answer === "string") return answer;
    const keys: string[] = [];
    for await (const batch of answer.batches())
      for (const entry of batch) if ("key" in entry) keys.push(`${entry.op} ${hex(entry.key)}`);
    await answer.close();
    return keys;
  }

  it("keeps 30 days: older bases are unknown, older tombstones are gone, newer ones stay", async () => {
    const store = new MemoryStore();
    const bench = new Bench({ store });
    await quiet();
    await bench.put(agent("acme/old"));
    const old = bench.published.at(-1) as { size: number; mapRoot: string };
    await bench.remove(did("acme/old"));
    bench.clock.startMs += CHANGES_KEPT_MS;
    await bench.put(agent("acme/new"));
    const recent = bench.published.at(-1) as { size: number; mapRoot: string };
    await bench.remove(did("acme/new"));
    const tombstones = async (): Promise<number> => {
      let count = 0;
      for await (const rows of store.scan(tableRange(OWN_CATALOGUE, "tombstone"))) count += rows.length;
      return count;
    };
    assert.equal(await tombstones(), 2);
    bench.clock.advance(HEARTBEAT_MS);
    await quiet();
    assert.equal(await tombstones(), 1);
    await bench.put(agent("acme/last"));
    bench.stop();
    const again = new Bench({ store, clock: bench.clock });
    assert.equal(await changesSince(again, old), "unknown_base");
    const since = (await changesSince(again, recent)) as string[];
    assert.equal(since.length, 2);
    assert.equal(since.filter((change) => change.startsWith("delete")).length, 1);
    again.stop();
  });

  it("T44 a process that dies when old changes are gone answers for none of them afterwards", async () => {
    const store = new MemoryStore();
    const bench = new Bench({ store });
    await quiet();
    await bench.put(agent("acme/old"));
    const old = bench.published.at(-1) as { size: number; mapRoot: string };
    await bench.remove(did("acme/old"));
    bench.clock.startMs += CHANGES_KEPT_MS;
    await bench.put(agent("acme/new"));
    bench.clock.advance(HEARTBEAT_MS);
    await quiet();
    bench.stop();
    const again = new Bench({ store: store.crash(store.pendingBatches), clock: bench.clock });
    assert.equal(await changesSince(again, old), "unknown_base");
    again.stop();
  });

  it("keeps old changes while it cannot store that it lets go of them", async () => {
    let isFull = false;
    const beforeWrite = (): void => {
      if (isFull) throw new Error("no space left on device");
    };
    const store = new MemoryStore({ beforeWrite });
    const bench = new Bench({ store });
    const changeRows = async (): Promise<number> => {
      let count = 0;
      for await (const rows of store.scan(tableRange(OWN_CATALOGUE, "change"))) count += rows.length;
      return count;
    };
    await quiet();
    await bench.put(agent("acme/old"));
    await bench.remove(did("acme/old"));
    bench.clock.startMs += CHANGES_KEPT_MS;
    await bench.put(agent("acme/new"));
    for (const [full, left] of [
      [true, 3],
      [false, 1],
    ] as const) {
      isFull = full;
      bench.clock.advance(HEARTBEAT_MS);
      await quiet();
      assert.equal(await changeRows(), left);
    }
    bench.stop();
  });

  it("answers with what changed from memory, and the same from the rows after a restart", async () => {
    const store = new MemoryStore();
    const bench = new Bench({ store });
    await quiet();
    await bench.mutate(put("acme/a"), put("acme/b"), put("acme/c"));
    const base = bench.published.at(-1) as { size: number; mapRoot: string };
    await bench.mutate(put("acme/b", { name: "x" }), { op: "delete", did: did("acme/c") }, put("acme/d"));
    const fromMemory = await changesSince(bench, base);
    assert.equal(fromMemory.length, 3);
    bench.stop();
    const again = new Bench({ store, clock: bench.clock });
    assert.deepEqual(await changesSince(again, base), fromMemory);
    assert.equal(await changesSince(again, { size: base.size, mapRoot: "00".repeat(32) }), "unknown_base");
    assert.equal(await changesSince(again, { size: 99, mapRoot: base.mapRoot }), "unknown_base");
    assert.equal(openCheckpoint((again.published[0] as { head: { note: string } }).head.note).did, ACME.did);
    again.stop();
  });
});
