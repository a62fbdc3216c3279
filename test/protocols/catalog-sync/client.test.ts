import assert from "node:assert/strict";
import { followCatalogue, type SessionResult, type SyncTarget } from "../../../protocols/catalog-sync/client.ts";
import { decodeClientMessage } from "../../../protocols/catalog-sync/codec.ts";
import {
  BATCH_RECORDS_MAX,
  COMPARE_HINTS_MAX,
  DESCENT_HINTS_MAX,
  DESCENT_ROUNDS_MAX,
  type BatchEntry,
  type BatchFrame,
  type ClientMessage,
  type CompareRequest,
  type FetchRequest,
  type ServerMessage,
  type SyncHeader,
  type SyncRequest,
} from "../../../protocols/catalog-sync/messages.ts";
import { childPrefix, prefixOf, ROOT_PREFIX, type Prefix } from "../../../protocols/checkpoint/prefix.ts";
import { ProtocolError, type ProtocolErrorCode } from "../../../protocols/lib/errors.ts";
import { FRAME_BYTES_MAX, FramesError } from "../../../protocols/lib/frames.ts";
import { framesOf, Peer, QueueFrames, REQUEST, SALT, sampleRecords } from "./support.ts";

interface Followed {
  readonly peer: Peer;
  readonly result: Promise<SessionResult>;
  readonly calls: string[];
  readonly batches: (readonly BatchEntry[])[];
}

interface Plan {
  readonly descend?: boolean;
  readonly leaves?: number;
  readonly verdict?: "proceed" | "current" | "descend";
  readonly mode?: "short" | "full";
  /** What the head of the answer is refused with. */
  readonly unexpected?: ProtocolError;
  readonly held?: (prefixes: readonly Prefix[], hintBytes: number) => { counts: number[]; hints: Uint8Array };
}

/** A follower whose target takes all and remembers what it was called with. */
function follow(plan: Plan = {}): Followed {
  const [near, far] = QueueFrames.pair();
  const calls: string[] = [];
  const batches: (readonly BatchEntry[])[] = [];
  const target: SyncTarget = {
    plan: async () => ({ request: REQUEST as SyncRequest, descend: plan.descend ?? false, leaves: plan.leaves ?? 0 }),
    expect: async () => {
      if (plan.unexpected !== undefined) throw plan.unexpected;
    },
    begin: async () => {
      calls.push("begin");
      return plan.verdict ?? "proceed";
    },
    batch: async (entry, entries) => {
      calls.push(`batch ${entry}`);
      batches.push(entries);
    },
    end: async () => void calls.push("end"),
    hints: async ({ prefixes, bits, hintBytes }) => new Uint8Array(prefixes.length * 2 ** bits * hintBytes),
    leaves: async ({ prefixes, hintBytes }) =>
      plan.held?.(prefixes, hintBytes) ?? { counts: prefixes.map(() => 0), hints: new Uint8Array(0) },
    salt: () => SALT,
  };
  const result = followCatalogue({ frames: near, target, ...(plan.mode && { descend: plan.mode }) });
  result.catch(() => undefined);
  return { peer: new Peer(far), result, calls, batches };
}

async function question(peer: Peer): Promise<ClientMessage> {
  return decodeClientMessage((await peer.frames.receive()) as Uint8Array);
}

/** All frames of one question. */
async function wholeQuestion(peer: Peer): Promise<(CompareRequest | FetchRequest)[]> {
  const parts: (CompareRequest | FetchRequest)[] = [];
  do parts.push((await question(peer)) as CompareRequest | FetchRequest);
  while (parts.at(-1)?.more === true);
  return parts;
}

function fault(result: Promise<SessionResult>, code: ProtocolErrorCode): Promise<void> {
  return assert.rejects(result, (error) => {
    assert.ok(error instanceof ProtocolError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  });
}

const good = framesOf(sampleRecords(3));
const header = good[0] as SyncHeader;
const at = (i: number): ServerMessage => good[i] as ServerMessage;
const batch = (i: number): BatchFrame => good[3 + i] as BatchFrame;

describe("catalog-sync: the following side", () => {
  it("takes an answer batch by batch, then says that it is whole", async () => {
    const { peer, result, calls } = follow();
    assert.deepEqual((await question(peer)).kind, "request");
    await peer.say(...good);
    assert.deepEqual(await result, { outcome: "completed", changes: 3 });
    assert.deepEqual(calls, ["begin", "batch 0", "batch 1", "batch 2", "end"]);
  });

  it("joins a batch that spans frames", async () => {
    const { peer, result, batches } = follow();
    const entries = sampleRecords(3).map(({ key, record }) => ({ op: "put", key, record }) as const);
    const frontier = { kind: "frontier", entries: [{ prefix: ROOT_PREFIX, hash: Buffer.alloc(32, 1), changes: 3 }] } as const;
    const parts = entries.map((entry, i) => ({ kind: "batch", entry: 0, last: i === 2, entries: [entry] }) as const);
    await peer.say({ ...header, frontierEntries: 1 }, at(1), frontier, ...parts, { kind: "end" });
    assert.equal((await result).outcome, "completed");
    assert.deepEqual(
      batches.map((each) => each.map((entry) => entry.op === "put" && Buffer.from(entry.key).toString("hex"))),
      [entries.map(({ key }) => Buffer.from(key).toString("hex"))],
    );
  });

  it("is current when nothing came, and leaves the stream for the next session", async () => {
    const { peer, result, calls } = follow({ verdict: "current" });
    await peer.say(...framesOf([]));
    assert.deepEqual(await result, { outcome: "current", changes: 0 });
    assert.deepEqual(calls, ["begin"]);
  });

  it("T54 refuses a head before it reads anything that the header announces", async () => {
    const unexpected = new ProtocolError("not_the_last_commit", "an old commit");
    const { peer, result, calls } = follow({ unexpected });
    // Nothing follows the header: a follower that went on reading would never end.
    await peer.say({ ...header, logLeaves: 1_000_000 });
    await assert.rejects(result, unexpected);
    assert.deepEqual(calls, []);
  });

  it("blames nobody when the frontier does not fold", async () => {
    const { peer, result, calls } = follow({ verdict: "descend" });
    await peer.say(...good);
    assert.deepEqual(await result, { outcome: "not_foldable" });
    assert.deepEqual(calls, ["begin"]);
  });

  it("hands a refusal on, with how long to wait", async () => {
    const { peer, result } = follow();
    const refusal = { kind: "refusal", code: "throttled", retryAfterMs: 750 } as const;
    await peer.say(refusal);
    assert.deepEqual(await result, { outcome: "refused", refusal });
  });

  describe("T30 nothing is taken of an answer that is not what its header announced", () => {
    const put = (batch(0).entries[0] as BatchEntry) ?? assert.fail();
    const spoiled: Record<string, readonly [code: ProtocolErrorCode, frames: readonly ServerMessage[], began?: boolean]> = {
      "batches swapped": ["out_of_order", [...good.slice(0, 3), batch(1), batch(0)], true],
      "a batch twice": ["out_of_order", [...good.slice(0, 4), batch(0)], true],
      "a batch left out": ["out_of_order", [...good.slice(0, 4), batch(2)], true],
      "an end too early": ["out_of_order", [...good.slice(0, 5), { kind: "end" }], true],
      "a batch too many": ["out_of_order", [...good.slice(0, 6), { ...batch(2), entry: 3 }], true],
      "a header in place of the end": ["out_of_order", [...good.slice(0, 6), header], true],
      "an entry too many in a batch": ["bad_frame", [...good.slice(0, 3), { ...batch(0), entries: [put, put] }], true],
      "an entry too few in a batch": ["bad_frame", [...good.slice(0, 3), { ...batch(0), entries: [] }], true],
      "an endless batch of empty frames": [
        "limit_exceeded",
        [...good.slice(0, 3), { ...batch(0), entries: [], last: false }],
        true,
      ],
      "an endless batch": [
        "limit_exceeded",
        [
          ...good.slice(0, 3),
          { ...batch(0), entries: Array.from({ length: BATCH_RECORDS_MAX }, () => put), last: false },
          { ...batch(0), last: false },
        ],
        true,
      ],
      "a leaf named in a delta": ["bad_frame", [...good.slice(0, 3), { ...batch(0), entries: [{ op: "keep", leaf: 0 }] }], true],
      "a delete in a replace": [
        "bad_frame",
        [{ ...header, mode: "replace" }, at(1), at(2), { ...batch(0), entries: [{ op: "delete", key: Buffer.alloc(32) }] }],
        true,
      ],
      "more log leaves than announced": ["bad_frame", [header, { kind: "log", leaves: Buffer.alloc(64) }, at(2)]],
      "fewer log leaves than announced": ["out_of_order", [{ ...header, logLeaves: 2 }, at(1), at(2)]],
      "more of a frontier than announced": ["bad_frame", [{ ...header, frontierEntries: 2 }, at(1), at(2)]],
      "less of a frontier than announced": ["out_of_order", [{ ...header, frontierEntries: 4 }, at(1), at(2), batch(0)]],
      "changes that do not add up": ["bad_frame", [{ ...header, changes: 4 }, at(1), at(2)]],
      "a frontier out of order": [
        "out_of_order",
        [header, at(1), { kind: "frontier", entries: (at(2) as unknown as { entries: never[] }).entries.toReversed() }],
      ],
      "a frontier with one prefix under another": [
        "out_of_order",
        [
          { ...header, frontierEntries: 2, changes: 2 },
          at(1),
          {
            kind: "frontier",
            entries: [0, 1].map((length) => ({ prefix: prefixOf(Buffer.alloc(32), length), hash: Buffer.alloc(32), changes: 1 })),
          },
        ],
      ],
      "no header": ["out_of_order", [at(1)]],
      "an end at once": ["out_of_order", [{ kind: "end" }]],
      "a comparison that nobody asked for": ["out_of_order", [{ kind: "differs", more: false, prefixes: [] }]],
      "data after a frontier that is current": ["out_of_order", good, true],
    };
    for (const [name, [code, frames, began = false]] of Object.entries(spoiled)) {
      it(name, async () => {
        const { peer, result, calls } = follow(name.includes("current") ? { verdict: "current" } : {});
        await peer.say(...frames);
        await peer.frames.close();
        await fault(result, code);
        assert.equal(calls.includes("begin"), began, "folded before any data");
        assert.equal(calls.includes("end"), false);
      });
    }
  });

  it("T36 fails without blame when the peer closes or breaks off after any frame", async () => {
    for (let count = 0; count < good.length; count++) {
      for (const leave of ["close", "abort"] as const) {
        const { peer, result, calls } = follow();
        await peer.say(...good.slice(0, count));
        if (leave === "close") await peer.frames.close();
        else peer.frames.abort(new Error("gone"));
        await assert.rejects(result, FramesError, `after ${count} frames, ${leave}`);
        assert.equal(calls.includes("end"), false);
      }
    }
  });

  it("T51 refuses frames that are junk, wherever they stand", async () => {
    for (let count = 0; count < good.length; count++) {
      for (const [junk, code] of [
        [Uint8Array.of(0), "bad_frame"],
        [Uint8Array.of(17, 0, 0), "truncated"],
        [Uint8Array.of(1, 0, 0), "bad_frame"],
        [new Uint8Array(FRAME_BYTES_MAX + 1), "too_large"],
      ] as const) {
        const { peer, result } = follow();
        await peer.say(...good.slice(0, count), junk);
        await fault(result, code);
      }
    }
  });
});

describe("catalog-sync: descent, the following side", () => {
  const child = (prefix: Prefix, ...bits: (0 | 1)[]): Prefix => bits.reduce(childPrefix, prefix);

  it("a follower with few leaves names them at once", async () => {
    const held = { counts: [2], hints: Buffer.concat([SALT, SALT]) };
    const { peer, result, batches } = follow({ descend: true, leaves: 2, held: () => held });
    const fetch = (await question(peer)) as FetchRequest;
    assert.deepEqual([fetch.kind, fetch.prefixes.length, fetch.leaves, fetch.hints.length], ["fetch", 1, [2], 16]);
    const frontier = { kind: "frontier", entries: [{ prefix: ROOT_PREFIX, hash: Buffer.alloc(32, 1), changes: 2 }] } as const;
    const keep = { kind: "batch", entry: 0, last: true, entries: [0, 1].map((leaf) => ({ op: "keep", leaf }) as const) } as const;
    await peer.say({ ...header, mode: "replace", frontierEntries: 1, changes: 2 }, at(1), frontier, keep, { kind: "end" });
    assert.equal((await result).outcome, "completed");
    assert.deepEqual(batches[0], keep.entries);
  });

  it("goes on with comparing when its base is unknown, below what differs only", async () => {
    const { peer, result } = follow({ leaves: 1_024 });
    assert.equal((await question(peer)).kind, "request");
    await peer.say({ kind: "refusal", code: "unknown_base", retryAfterMs: 0 });
    const first = (await question(peer)) as CompareRequest;
    assert.deepEqual([first.bits, first.prefixes.length, first.hintBytes], [4, 1, 8]);
    const differs = child(ROOT_PREFIX, 1, 0, 1, 0);
    await peer.say({ kind: "differs", more: false, prefixes: [differs] });
    const second = (await question(peer)) as CompareRequest;
    assert.deepEqual([second.bits, second.prefixes], [3, [differs]]);
    await peer.say({ kind: "differs", more: true, prefixes: [child(differs, 0, 0, 1)] });
    await peer.say({ kind: "differs", more: false, prefixes: [child(differs, 1, 1, 1)] });
    const third = (await question(peer)) as FetchRequest;
    assert.deepEqual([third.kind, third.prefixes], ["fetch", [child(differs, 0, 0, 1), child(differs, 1, 1, 1)]]);
    await peer.say({ ...header, mode: "replace", frontierEntries: 0, changes: 0 }, at(1), { kind: "end" });
    assert.equal((await result).outcome, "completed");
  });

  it("asks with whole hashes after short ones did not fold", async () => {
    const { peer } = follow({ mode: "full", leaves: 1_024 });
    const first = (await question(peer)) as CompareRequest;
    assert.deepEqual([first.kind, first.hintBytes, first.hints.length], ["compare", 32, 16 * 32]);
  });

  it("asks for nothing more when nothing differs", async () => {
    const { peer } = follow({ mode: "short", leaves: 100_000 });
    await wholeQuestion(peer);
    await peer.say({ kind: "differs", more: false, prefixes: [] });
    const next = (await question(peer)) as FetchRequest;
    assert.deepEqual([next.kind, next.prefixes], ["fetch", []]);
  });

  it("parts a long question into frames, whole prefixes in each", async () => {
    const { peer } = follow({ mode: "full", leaves: 10_000_000 });
    const parts = (await wholeQuestion(peer)) as CompareRequest[];
    assert.deepEqual(
      parts.map(({ bits, hints, more }) => [bits, hints.length, more]),
      [[14, 2 ** 14 * 32, false]],
    );
    const all = Array.from({ length: 2 ** 12 }, (_, i) =>
      prefixOf(Uint8Array.of(i >> 6, (i << 2) & 0xff, ...new Uint8Array(30)), 14),
    );
    await peer.say({ kind: "differs", more: false, prefixes: all });
    const second = (await wholeQuestion(peer)) as CompareRequest[];
    assert.ok(second.length > 1);
    assert.deepEqual(
      second.flatMap(({ prefixes }) => prefixes),
      all,
    );
    assert.equal(
      second.reduce((sum, { hints }) => sum + hints.length, 0),
      all.length * 8 * 32,
    );
  });

  it("compares no more subtrees than a question may hold, and names no more leaves than a fetch may", async () => {
    const perPrefix = 100;
    const held = (prefixes: readonly Prefix[], hintBytes: number): { counts: number[]; hints: Uint8Array } => ({
      counts: prefixes.map(() => perPrefix),
      hints: new Uint8Array(prefixes.length * perPrefix * hintBytes),
    });
    const { peer } = follow({ mode: "short", leaves: 10_000_000, held });
    await wholeQuestion(peer);
    const all = Array.from({ length: 2 ** 14 }, (_, i) =>
      prefixOf(Uint8Array.of(i >> 6, (i << 2) & 0xff, ...new Uint8Array(30)), 14),
    );
    assert.ok(all.length * 2 ** 3 > COMPARE_HINTS_MAX);
    await peer.say(
      { kind: "differs", more: true, prefixes: all.slice(0, 8_192) },
      { kind: "differs", more: false, prefixes: all.slice(8_192) },
    );
    const parts = (await wholeQuestion(peer)) as FetchRequest[];
    const counts = parts.flatMap(({ leaves }) => leaves);
    assert.equal(counts.length, all.length, "every subtree is asked for");
    const named = Math.floor(DESCENT_HINTS_MAX / perPrefix);
    assert.deepEqual(counts, [...all.map((_, i) => (i < named ? perPrefix : 0))]);
    assert.equal(
      parts.reduce((sum, { hints }) => sum + hints.length / 8, 0),
      named * perPrefix,
    );
  });

  it("ends after a bounded number of rounds", async () => {
    const { peer } = follow({ mode: "short", leaves: 2 ** 48 });
    let differs = ROOT_PREFIX;
    for (let round = 0; round < DESCENT_ROUNDS_MAX; round++) {
      const [part] = (await wholeQuestion(peer)) as [CompareRequest];
      assert.equal(part.kind, "compare");
      differs = child(differs, ...Array.from({ length: part.bits }, () => 1 as const));
      await peer.say({ kind: "differs", more: false, prefixes: [differs] });
    }
    assert.equal((await question(peer)).kind, "fetch");
  });

  describe("T51 refuses comparisons that nobody could have asked for", () => {
    const below = child(ROOT_PREFIX, 1, 0, 1, 0);
    const hostile: Record<string, readonly [ProtocolErrorCode, ServerMessage[]]> = {
      "a prefix of another depth": ["bad_prefix", [{ kind: "differs", more: false, prefixes: [child(below, 1)] }]],
      "prefixes out of order": [
        "out_of_order",
        [{ kind: "differs", more: false, prefixes: [below, child(ROOT_PREFIX, 0, 0, 0, 0)] }],
      ],
      "a prefix twice": ["out_of_order", [{ kind: "differs", more: false, prefixes: [below, below] }]],
      "a header": ["out_of_order", [header]],
    };
    for (const [name, [code, said]] of Object.entries(hostile)) {
      it(name, async () => {
        const { peer, result } = follow({ mode: "short", leaves: 1_024 });
        await question(peer);
        await peer.say(...said);
        await fault(result, code);
      });
    }

    it("a prefix elsewhere", async () => {
      const { peer, result } = follow({ mode: "short", leaves: 1_024 });
      await question(peer);
      await peer.say({ kind: "differs", more: false, prefixes: [below] });
      await question(peer);
      await peer.say({ kind: "differs", more: false, prefixes: [child(ROOT_PREFIX, 1, 1, 1, 1, 1, 1, 1)] });
      await fault(result, "bad_prefix");
    });

    it("more prefixes than there are", async () => {
      const { peer, result } = follow({ mode: "short", leaves: 1_024 });
      await question(peer);
      const prefixes = Array.from({ length: 30_000 }, (_, i) =>
        prefixOf(Buffer.from([0, i >> 8, i & 0xff, ...new Uint8Array(29)]), 24),
      );
      for (let frame = 0; frame < 3; frame++) await peer.say({ kind: "differs", more: true, prefixes });
      await fault(result, "limit_exceeded");
    });
  });

  it("hands on a refusal in the middle of a descent", async () => {
    const { peer, result } = follow({ mode: "short", leaves: 1_024 });
    await question(peer);
    await peer.say({ kind: "refusal", code: "busy", retryAfterMs: 0 });
    assert.equal((await result).outcome, "refused");
  });
});
