import type { Answer } from "../../protocols/catalog-sync/handler.ts";
import {
  BATCH_RECORDS_MAX,
  type BatchEntry,
  type FetchRequest,
  type FrontierEntry,
} from "../../protocols/catalog-sync/messages.ts";
import { comparePrefixes, containsKey, prefixOf, type Prefix } from "../../protocols/checkpoint/prefix.ts";
import { compare } from "../../protocols/lib/bytes.ts";
import { HASH_BYTES } from "../../protocols/lib/hash.ts";
import { StoreError, type StoreSnapshot } from "../ports/store.ts";
import type { Catalogue } from "./catalogue.ts";
import { leafHint } from "./descent.ts";
import { rowKey, rowSuffix, tableRange } from "./rows.ts";
import { LEAF_BYTES } from "./tree/slab.ts";
import { changesFrontier, LeafCounts, leavesUnder, wholeFrontier } from "./tree/subtrees.ts";

/** Answers to sync requests, made in one step from the map as it stands and a snapshot of the rows of the same version. */
export interface AnswerContext {
  readonly catalogue: Catalogue;
  readonly snapshot: StoreSnapshot;
  /** Leaf hashes that the follower has. */
  readonly logSize: number;
  /** Told of a record whose stored bytes failed their checksum while it was being sent. */
  readonly damaged: (key: Uint8Array) => void;
}

/** Keys that may change during a descent: each is a prefix of 256 bits, which the follower folds one by one. */
export const FETCH_CHANGES_MAX = 1_024;

/** Everything, for a follower with nothing: records as they lie in the store, streamed in key order. */
export function answerWhole(context: AnswerContext): Answer {
  const { catalogue, snapshot } = context;
  const frontier = wholeFrontier(catalogue.map, BATCH_RECORDS_MAX).filter(({ changes }) => changes > 0);
  const range = tableRange(catalogue.number, "record");
  async function* batches(): AsyncGenerator<BatchEntry[]> {
    let entry = 0;
    let batch: BatchEntry[] = [];
    for await (const rows of snapshot.scan(range)) {
      for (const [key, record] of rows) {
        batch.push({ op: "put", key: rowSuffix(key), record });
        if (batch.length === frontier[entry]?.changes) {
          yield batch;
          entry += 1;
          batch = [];
        }
      }
    }
    if (entry !== frontier.length) throw new Error("the stored records are not those of the map");
  }
  return answer(context, "delta", frontier, batches);
}

/** What changed: `keys` ascending and unique, whether they still exist or not. */
export function answerChanges(context: AnswerContext, keys: readonly Uint8Array[]): Answer {
  const { catalogue, snapshot } = context;
  const frontier = changesFrontier(catalogue.map, keys, BATCH_RECORDS_MAX);
  async function* batches(): AsyncGenerator<BatchEntry[]> {
    let from = 0;
    for (const { changes } of frontier) {
      const some = keys.slice(from, from + changes);
      from += changes;
      const records = await snapshot.getMany(some.map((key) => rowKey(catalogue.number, "record", key)));
      yield some.map((key, i) => {
        const record = records[i];
        return record === undefined ? { op: "delete", key } : { op: "put", key, record };
      });
    }
  }
  return answer(context, "delta", frontier, batches);
}

/**
 * The subtrees that a descent found (`handler.ts` checked their order), and the at most FETCH_CHANGES_MAX keys that changed since
 * it began; leaves that the follower has are named, not sent.
 */
export function answerFetch(context: AnswerContext, request: FetchRequest, since: readonly Uint8Array[]): Answer {
  const { map, number } = context.catalogue;
  const moved = since.filter((key) => !covers(request.prefixes, key));
  const counts = new LeafCounts(map);
  const subtrees: Subtree[] = [];
  let first = 0;
  request.prefixes.forEach((prefix, i) => {
    const count = request.leaves[i] as number;
    const held = heldLeaves(request, first, count);
    for (const entry of wholeFrontier(map, BATCH_RECORDS_MAX, prefix, counts)) subtrees.push({ ...entry, held });
    first += count;
  });
  for (const key of moved) {
    const prefix = prefixOf(key, 256);
    for (const entry of wholeFrontier(map, BATCH_RECORDS_MAX, prefix, counts)) subtrees.push({ ...entry, held: new Map() });
  }
  subtrees.sort((a, b) => comparePrefixes(a.prefix, b.prefix));
  const leaves = subtrees.map(({ prefix }) => Uint8Array.from(leavesUnder(map, prefix)));
  async function* batches(): AsyncGenerator<BatchEntry[]> {
    for (let i = 0; i < subtrees.length; i++)
      yield await readSubtree(context.snapshot, number, request, subtrees[i] as Subtree, leaves[i] as Uint8Array);
  }
  return answer(context, "replace", subtrees, batches);
}

/** Whether one of the ascending, prefix-free prefixes covers the key: the last one that is not after it. */
function covers(prefixes: readonly Prefix[], key: Uint8Array): boolean {
  let [low, high] = [0, prefixes.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare((prefixes[middle] as Prefix).bits, key) <= 0) low = middle + 1;
    else high = middle;
  }
  const candidate = prefixes[low - 1];
  return candidate !== undefined && containsKey(candidate, key);
}

interface Subtree extends FrontierEntry {
  /** Hints (latin1) of the follower's leaves around here, with their place in the request. */
  readonly held: ReadonlyMap<string, number>;
}

function heldLeaves(request: FetchRequest, first: number, count: number): Map<string, number> {
  const { hints, hintBytes } = request;
  const held = new Map<string, number>();
  for (let leaf = first; leaf < first + count; leaf++)
    held.set(latin1(hints.subarray(leaf * hintBytes, (leaf + 1) * hintBytes)), leaf);
  return held;
}

async function readSubtree(
  snapshot: StoreSnapshot,
  number: number,
  { salt, hintBytes }: FetchRequest,
  subtree: Subtree,
  leaves: Uint8Array,
): Promise<BatchEntry[]> {
  const entries: BatchEntry[] = [];
  const missing: Uint8Array[] = [];
  for (let at = 0; at < leaves.length; at += LEAF_BYTES) {
    const key = leaves.subarray(at, at + HASH_BYTES);
    const leaf = subtree.held.size === 0 ? undefined : subtree.held.get(latin1(leafHint(leaves, at, salt, hintBytes)));
    if (leaf === undefined) missing.push(key);
    entries.push(leaf === undefined ? { op: "delete", key } : { op: "keep", leaf });
  }
  const records = await snapshot.getMany(missing.map((key) => rowKey(number, "record", key)));
  let next = 0;
  return entries.map((entry) => {
    if (entry.op !== "delete") return entry;
    const record = records[next];
    next += 1;
    if (record === undefined) throw new Error("the stored records are not those of the map");
    return { op: "put", key: entry.key, record };
  });
}

function answer(
  { catalogue, snapshot, logSize, damaged }: AnswerContext,
  mode: "delta" | "replace",
  frontier: readonly FrontierEntry[],
  batches: () => AsyncIterable<readonly BatchEntry[]>,
): Answer {
  const { head, log } = catalogue;
  if (head === undefined) throw new Error("an answer needs a completed version");
  const from = Math.min(logSize, log.size);
  const logLeaves = Buffer.concat(Array.from({ length: log.size - from }, (_, i) => log.leafHash(from + i)));
  async function* watched(): AsyncGenerator<readonly BatchEntry[]> {
    try {
      yield* batches();
    } catch (error) {
      if (error instanceof StoreError && error.code === "damaged" && error.key !== undefined) damaged(rowSuffix(error.key));
      throw error;
    }
  }
  return { head: head.signed, mode, logLeaves, frontier, batches: watched, close: () => snapshot.close() };
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
