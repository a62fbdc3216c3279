import assert from "node:assert/strict";
import { serveCatalogSync, type Answer, type Comparison, type SyncSource } from "../../../protocols/catalog-sync/handler.ts";
import {
  BATCH_FRAME_BYTES,
  COMPARE_HINTS_MAX,
  DESCENT_ROUNDS_MAX,
  LOG_FRAME_LEAVES,
  type BatchEntry,
  type ClientMessage,
  type CompareRequest,
  type FetchRequest,
  type RefusalCode,
} from "../../../protocols/catalog-sync/messages.ts";
import { prefixOf, ROOT_PREFIX } from "../../../protocols/checkpoint/prefix.ts";
import { FramesError } from "../../../protocols/lib/frames.ts";
import { RECORD_BYTES_MAX } from "../../../protocols/record/record.ts";
import { answerOf, compareOf, fetchOf, Peer, QueueFrames, REQUEST, sampleRecords } from "./support.ts";

interface Served {
  readonly peer: Peer;
  readonly done: Promise<void>;
  readonly asked: (ClientMessage & { readonly since?: number })[];
  closed: number;
}

interface Answers {
  readonly open?: Answer | RefusalCode;
  readonly compare?: Comparison | RefusalCode;
  readonly fetch?: Answer | RefusalCode;
  readonly retryAfterMs?: () => number;
}

function serve(answers: Answers = {}): Served {
  const [near, far] = QueueFrames.pair();
  const asked: Served["asked"] = [];
  const closed = (): void => void (served.closed += 1);
  const source: SyncSource = {
    retryAfterMs: answers.retryAfterMs ?? (() => 0),
    open: async (request) => {
      asked.push(request);
      return answers.open ?? answerOf(sampleRecords(2), closed);
    },
    compare: async (request) => {
      asked.push(request);
      return answers.compare ?? { version: asked.length, differing: [] };
    },
    fetch: async (request, since) => {
      asked.push({ ...request, since });
      return answers.fetch ?? answerOf(sampleRecords(1), closed);
    },
  };
  const served: Served = { peer: new Peer(far), done: serveCatalogSync(near, source), asked, closed: 0 };
  served.done.catch(() => undefined);
  return served;
}

const kinds = (messages: readonly { kind: string }[]): string[] => messages.map(({ kind }) => kind);

/** The handler said `bad_request` and closed; the source was not asked. */
async function refusedAsBad(served: Served, ...said: readonly (ClientMessage | Uint8Array)[]): Promise<void> {
  await served.peer.say(...said);
  assert.deepEqual(await served.peer.hear(), { kind: "refusal", code: "bad_request", retryAfterMs: 0 });
  assert.equal(await served.peer.hear(), undefined);
  await served.done;
}

describe("catalog-sync: the serving side", () => {
  it("answers sessions one after another on one stream, and closes when the follower does", async () => {
    const served = serve();
    for (let session = 1; session <= 2; session++) {
      await served.peer.say(REQUEST);
      assert.deepEqual(kinds(await served.peer.hearUntil("end")), ["header", "log", "frontier", "batch", "batch", "end"]);
    }
    await served.peer.frames.close();
    await served.done;
    assert.equal(await served.peer.hear(), undefined);
    assert.equal(served.closed, 2, "each answer lets go of its snapshot");
  });

  it("parts long logs and heavy batches into bounded frames", async () => {
    const records = Array.from(
      { length: 4 },
      (_, i) => ({ op: "put", key: Buffer.alloc(32, i), record: Buffer.alloc(RECORD_BYTES_MAX) }) as const,
    );
    const base = answerOf([]);
    const logLeaves = new Uint8Array((LOG_FRAME_LEAVES + 1) * 32);
    const frontier = [{ prefix: ROOT_PREFIX, hash: new Uint8Array(32), changes: 4 }];
    const open: Answer = {
      ...base,
      ...{ logLeaves, frontier },
      async *batches() {
        yield records satisfies BatchEntry[];
      },
    };
    const { peer } = serve({ open });
    await peer.say(REQUEST);
    const heard = await peer.hearUntil("end");
    assert.deepEqual(kinds(heard), ["header", "log", "log", "frontier", "batch", "batch", "batch", "batch", "end"]);
    const last = heard.flatMap((message) => (message.kind === "batch" ? [message.last] : []));
    assert.deepEqual(last, [false, false, false, true]);
    assert.ok(BATCH_FRAME_BYTES > RECORD_BYTES_MAX);
  });

  it("sends an empty catalogue: header, log, end", async () => {
    const { peer } = serve({ open: answerOf([]) });
    await peer.say(REQUEST);
    assert.deepEqual(kinds(await peer.hearUntil("end")), ["header", "log", "end"]);
  });

  for (const code of ["unknown_registry", "unknown_base", "busy", "empty"] as const) {
    it(`passes the source's refusal on and stays: ${code}`, async () => {
      const { peer, asked } = serve({ open: code, compare: code, fetch: code });
      for (const question of [REQUEST, compareOf(), fetchOf()]) {
        await peer.say(question);
        assert.deepEqual(await peer.hear(), { kind: "refusal", code, retryAfterMs: 0 });
      }
      assert.equal(asked.length, 3);
    });
  }

  it("asks the limiter once a session and says how long to wait", async () => {
    const waits = [0, 250.5, 2 ** 40];
    const served = serve({ open: "unknown_base", retryAfterMs: () => waits.shift() ?? 0 });
    await served.peer.say(REQUEST, compareOf(), compareOf(), fetchOf());
    await served.peer.hearUntil("end");
    assert.equal(waits.length, 2, "the descent belongs to the request");
    for (const retryAfterMs of [251, 0xffff_ffff]) {
      await served.peer.say(REQUEST);
      assert.deepEqual(await served.peer.hear(), { kind: "refusal", code: "throttled", retryAfterMs });
    }
    await served.peer.say(REQUEST);
    assert.equal((await served.peer.hear())?.kind, "refusal");
    assert.equal(served.asked.length, 5);
  });

  it("gives one refusal to a throttled question of many frames", async () => {
    const waits = [1_000];
    const { peer, asked } = serve({ retryAfterMs: () => waits.shift() ?? 0 });
    const [low, high] = [prefixOf(Buffer.alloc(32, 0), 8), prefixOf(Buffer.alloc(32, 1), 8)];
    await peer.say(
      compareOf([low], 0, true),
      compareOf([high], 0, false),
      compareOf([low], 0, true),
      compareOf([high], 0, false),
    );
    assert.equal((await peer.hear())?.kind, "refusal");
    assert.deepEqual(await peer.hear(), { kind: "differs", more: false, prefixes: [] });
    assert.equal(asked.length, 1);
  });

  it("joins a question that spans frames, and hands the first comparison's version to fetch", async () => {
    const served = serve();
    const [low, high] = [prefixOf(Buffer.alloc(32, 0), 8), prefixOf(Buffer.alloc(32, 1), 8)];
    await served.peer.say(
      compareOf([low], 1, true),
      compareOf([high], 1),
      compareOf([low], 1),
      fetchOf([low], true),
      fetchOf([high]),
    );
    await served.peer.hearUntil("end");
    const [first, second, third] = served.asked as [CompareRequest, CompareRequest, FetchRequest & { since: number }];
    assert.deepEqual(first.prefixes, [low, high]);
    assert.equal(first.hints.length, 32);
    assert.deepEqual(second.prefixes, [low]);
    assert.deepEqual(third.prefixes, [low, high]);
    assert.equal(third.since, 1, "changes after the first comparison belong to the answer");
  });

  it("takes a fetch without any comparison", async () => {
    const served = serve();
    await served.peer.say(fetchOf());
    await served.peer.hearUntil("end");
    assert.equal(served.asked[0]?.since, Number.POSITIVE_INFINITY);
  });

  describe("T51 answers bad_request and closes", () => {
    const [low, high] = [prefixOf(Buffer.alloc(32, 0), 8), prefixOf(Buffer.alloc(32, 1), 8)];
    const hostile: Record<string, readonly (ClientMessage | Uint8Array)[]> = {
      "an unknown type": [Uint8Array.of(99)],
      "a truncated request": [Uint8Array.of(1, 0)],
      "a server's frame": [Uint8Array.of(22)],
      "prefixes out of order": [compareOf([high, low])],
      "prefixes out of order over two frames": [compareOf([high], 0, true), compareOf([low])],
      "a prefix under another": [fetchOf([prefixOf(Buffer.alloc(32), 4), low])],
      "bits below the deepest level": [compareOf([prefixOf(Buffer.alloc(32), 250)], 7)],
      "a frame without prefixes that goes on": [compareOf([], 0, true)],
      "a question of two kinds": [compareOf([low], 0, true), fetchOf([high])],
      "a question with two salts": [compareOf([low], 0, true), { ...compareOf([high]), salt: Buffer.alloc(8) } as ClientMessage],
      "a question with two depths": [compareOf([low], 0, true), compareOf([high], 1)],
      "a question about two registries": [compareOf([low], 0, true), { ...compareOf([high]), registry: "did:web:b.example" }],
      "more hints than may be compared": Array.from({ length: COMPARE_HINTS_MAX / 2 ** 14 + 1 }, (_, i) =>
        compareOf([prefixOf(Buffer.alloc(32, i), 8)], 14, true),
      ),
    };
    for (const [name, said] of Object.entries(hostile)) {
      it(name, async () => {
        const served = serve();
        await refusedAsBad(served, ...said);
        assert.deepEqual(served.asked, []);
      });
    }

    it("more rounds than a descent may have", async () => {
      const served = serve();
      for (let round = 0; round <= DESCENT_ROUNDS_MAX; round++) {
        await served.peer.say(compareOf());
        assert.equal((await served.peer.hear())?.kind, "differs");
      }
      await refusedAsBad(served, compareOf());
    });
  });

  it("T36 ends when the follower goes away in the middle, and lets go of the snapshot", async () => {
    const gate = Promise.withResolvers<void>();
    let closed = 0;
    const open: Answer = {
      ...answerOf(sampleRecords(1), () => void (closed += 1)),
      async *batches() {
        await gate.promise;
        yield [];
      },
    };
    const served = serve({ open });
    await served.peer.say(REQUEST);
    await served.peer.hearUntil("frontier");
    served.peer.frames.abort(new Error("gone"));
    gate.resolve();
    await assert.rejects(served.done, FramesError);
    assert.equal(closed, 1);
  });

  it("rejects when its source fails in the middle of an answer, and lets go of the snapshot", async () => {
    let closed = 0;
    const open: Answer = {
      ...answerOf(sampleRecords(1), () => void (closed += 1)),
      async *batches() {
        yield await Promise.reject(new Error("the disk is gone"));
      },
    };
    const served = serve({ open });
    await served.peer.say(REQUEST);
    await assert.rejects(served.done, /the disk is gone/);
    assert.equal(closed, 1);
  });
});
