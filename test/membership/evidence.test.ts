import assert from "node:assert/strict";
import { checksummed } from "../../src/adapters/checksum/store.ts";
import { MemoryStore } from "../../src/adapters/memory/store.ts";
import {
  EVIDENCE_MAX,
  EVIDENCE_PER_REGISTRY_MAX,
  EVIDENCE_RESERVED,
  EvidenceIndex,
  ISOLATED_MAX,
  ISOLATED_RESERVED,
} from "../../src/membership/evidence.ts";
import { loadMembership } from "../../src/membership/load.ts";
import { memberRange } from "../../src/membership/rows.ts";
import { sha256 } from "../../protocols/lib/hash.ts";

describe("the evidence that is kept", () => {
  const piece = (i: number): Uint8Array => Buffer.from(`evidence ${i}`);
  let store: MemoryStore;
  let index: EvidenceIndex;

  beforeEach(() => {
    store = new MemoryStore();
    index = new EvidenceIndex();
  });

  const take = async (did: string, evidence: Uint8Array, isWanted = false): Promise<boolean | undefined> => {
    const taken = index.take(did, evidence, isWanted);
    if (taken !== undefined) await store.batch(taken.operations, { durable: true });
    return taken?.isKept;
  };
  const restarted = async (): Promise<EvidenceIndex> => {
    const { isolated, evidence } = await loadMembership(store);
    const again = new EvidenceIndex();
    again.load(isolated, evidence);
    return again;
  };
  const stored = async (): Promise<string[]> => {
    const found: string[] = [];
    for await (const rows of store.scan(memberRange("evidence"))) {
      for (const [, value] of rows) found.push(Buffer.from(value).toString());
    }
    return found;
  };

  it("is bounded for each registry, and never the same twice", async () => {
    assert.equal(await take("did:a", piece(0)), true);
    assert.equal(await take("did:a", piece(0)), undefined);
    for (let i = 1; i < 50; i++) await take("did:a", piece(i));
    assert.equal(index.size, EVIDENCE_PER_REGISTRY_MAX);
    assert.equal((await stored()).length, EVIDENCE_PER_REGISTRY_MAX);
  });

  it("is taken again after a write that failed; the verdict stands meanwhile", () => {
    const first = index.take("did:a", piece(0), false);
    first?.undo();
    assert.equal(index.size, 0);
    assert.equal(index.has("did:a"), true);
    assert.deepEqual(
      index.take("did:a", piece(0), false)?.operations.map(({ type }) => type),
      ["put", "put"],
    );
  });

  it("T9 T26 throwaway keys cannot fill it: the next registry is isolated all the same, also after restarts", async () => {
    const room = EVIDENCE_MAX - EVIDENCE_RESERVED;
    for (let i = 0; i < room; i++) await take(`did:throwaway:${i}`, piece(i));
    index = await restarted();
    for (let i = room; i < room + 100; i++) assert.equal(await take(`did:throwaway:${i}`, piece(i)), true);
    assert.equal(index.size, room);
    assert.equal(await take("did:liar", piece(-1)), true);
    const kept = await stored();
    assert.equal(kept.length, room);
    assert.ok(kept.includes("evidence -1") && kept.includes("evidence 101"));
    assert.ok(!kept.includes("evidence 0") && !kept.includes("evidence 100"), "the oldest left");
    for (const one of [index, await restarted()]) {
      assert.ok(one.has("did:liar") && one.has("did:throwaway:0"), "no verdict left with its evidence");
    }
    assert.equal(await take("did:throwaway:0", piece(0)), undefined, "whose evidence left does not drive out that of others");
  });

  it("T9 T26 strangers leave room for the evidence against those that are wanted", async () => {
    for (let i = 0; i < EVIDENCE_MAX; i++) await take(`did:throwaway:${i}`, piece(i));
    for (let i = 0; i < EVIDENCE_RESERVED; i++) assert.equal(await take(`did:wanted:${i}`, piece(-i), true), true);
    assert.equal(index.size, EVIDENCE_MAX);
    await take("did:late", piece(EVIDENCE_MAX + 1));
    index = await restarted();
    for (let i = 0; i < EVIDENCE_MAX; i++) assert.equal(await take(`did:more:${i}`, piece(2 * EVIDENCE_MAX + i)), true);
    const kept = await stored();
    assert.equal(kept.length, EVIDENCE_MAX);
    for (let i = 1; i < EVIDENCE_RESERVED; i++) assert.ok(kept.includes(`evidence ${-i}`), "it stayed");
  });

  it("T45 a row that has rotted sets nobody free and keeps nothing from starting", async () => {
    for (const did of ["did:a", "did:b"]) await take(did, piece(0));
    for (const table of ["isolated", "evidence"] as const) {
      for await (const rows of store.scan(memberRange(table))) {
        for (const [key] of rows) await store.batch([{ type: "put", key, value: Buffer.from("rotten") }], { durable: true });
      }
    }
    const { isolated, evidence } = await loadMembership(checksummed(store));
    index = new EvidenceIndex();
    index.load(isolated, evidence);
    assert.deepEqual([index.has("did:a"), index.has("did:b"), index.size], [true, true, 2]);
  });

  it("T9 verdicts are bounded, with room for those that are wanted, and none is taken back", () => {
    const room = ISOLATED_MAX - ISOLATED_RESERVED;
    index.load(
      Array.from({ length: room }, (_, i) => sha256(Buffer.from(`did:throwaway:${i}`))),
      [],
    );
    assert.equal(index.take("did:stranger", piece(0), false), undefined);
    assert.equal(index.has("did:stranger"), false);
    assert.notEqual(index.take("did:wanted", piece(0), true), undefined);
    assert.ok(index.has("did:wanted") && index.has("did:throwaway:0"));
  });
});
